/**
 * Generates the decoder of an object of fields.
 *
 * Decoders are total: whatever the bytes, the result is a value or a WireError. Every stretch
 * of fixed fields is checked against the end of the message once, before it is read, and a
 * count is checked against the bytes that are left before anything is made for it.
 */
import { fixedSize, integers, leastSize, newName, type Scope, unionSize } from './layout.ts';
import type { Fields, Node } from './schema.ts';

/** Source of `decode(b, o, end)`, which returns the value that begins at `o`. */
export function decoderSource(fields: Fields): string {
  const input = createReader();
  const object = decodeFields(input, fields, new Map());
  input.settle();
  return `${input.lines.join('\n')}\nreturn ${object};`;
}

interface Reader {
  readonly lines: string[];
  at(plus?: number): string;
  skip(bytes: number): void;
  settle(): void;
}

function createReader(): Reader {
  const lines: string[] = [''];
  let offset = 0;
  let check = 0; // the line where the check of the present stretch goes
  return {
    lines,
    at: (plus = 0) => (offset + plus === 0 ? 'o' : `o + ${offset + plus}`),
    skip(bytes) {
      offset += bytes;
    },
    settle() {
      if (offset > 0) {
        lines[check] = `if (o + ${offset} > end) short(o + ${offset}, end);`;
        lines.push(`o += ${offset};`);
      }
      offset = 0;
      check = lines.push('') - 1;
    },
  };
}

function decodeFields(input: Reader, fields: Fields, up: Scope): string {
  const scope: Scope = new Map(up);
  const members: string[] = [];
  for (const [name, node] of Object.entries(fields)) {
    const local = newName('x');
    const source = decodeNode(input, node, scope);
    input.lines.push(`const ${local} = ${source};`);
    scope.set(name, local);
    if (node.kind !== 'count') members.push(`${name}: ${local}`);
  }
  return `{ ${members.join(', ')} }`;
}

/** Emits what has to happen before, and returns the expression for the value. */
function decodeNode(input: Reader, node: Node, scope: Scope): string {
  switch (node.kind) {
    case 'count':
    case 'enum':
      return decodeInteger(input, node.base);
    case 'u64':
      return moved(input, 8, `b.readBigUInt64BE(${input.at()})`);
    case 'i64':
      return moved(input, 8, `b.readBigInt64BE(${input.at()})`);
    case 'f64':
      return moved(input, 8, `b.readDoubleLE(${input.at()})`);
    case 'bool':
      return moved(input, 1, `b[${input.at()}] !== 0`);
    case 'string':
      return moved(input, node.bytes, `readString(b, ${input.at()}, ${node.bytes})`);
    case 'text':
      return decodeText(input);
    case 'bytes':
      return moved(input, node.length, `copyBytes(b, ${input.at()}, ${node.length})`);
    case 'blob':
      return decodeBlob(input, scope.get(node.count) ?? '');
    case 'array':
      return decodeElements(input, node.element, `${node.length}`, scope);
    case 'list':
      return decodeElements(input, node.element, scope.get(node.count) ?? '', scope);
    case 'struct':
      return decodeFields(input, node.fields, scope);
    case 'union':
      return decodeUnion(input, node, scope);
    case 'addressUnion':
      return moved(input, 16, `readAddressUnion(b, ${input.at()}, ${scope.get(node.by)})`);
    default:
      if (node.kind in integers) return decodeInteger(input, node.kind);
      return decodeAddress(input, node.kind);
  }
}

/** The expression, checked by the stretch that it belongs to. */
function moved(input: Reader, bytes: number, source: string): string {
  const local = newName('t');
  // Evaluated here: later fields may move `o`. The check is on an earlier line.
  input.lines.push(`const ${local} = ${source};`);
  input.skip(bytes);
  return local;
}

function decodeInteger(input: Reader, kind: string): string {
  const at = (i: number) => `b[${input.at(i)}]`;
  const sources: Record<string, string> = {
    u8: at(0),
    i8: `${at(0)} << 24 >> 24`,
    u16: `${at(0)} << 8 | ${at(1)}`,
    i16: `(${at(0)} << 24 | ${at(1)} << 16) >> 16`,
    u32: `(${at(0)} << 24 | ${at(1)} << 16 | ${at(2)} << 8 | ${at(3)}) >>> 0`,
    u32le: `(${at(3)} << 24 | ${at(2)} << 16 | ${at(1)} << 8 | ${at(0)}) >>> 0`,
    i32: `${at(0)} << 24 | ${at(1)} << 16 | ${at(2)} << 8 | ${at(3)}`,
  };
  return moved(input, integers[kind] ?? 0, sources[kind] ?? '');
}

function decodeText(input: Reader): string {
  const length = decodeInteger(input, 'u32');
  return decodeVariable(input, length, `b.toString('utf8', o, o + ${length})`);
}

function decodeBlob(input: Reader, length: string): string {
  return decodeVariable(input, length, `copyBytes(b, o, ${length})`);
}

function decodeVariable(input: Reader, length: string, source: string): string {
  const local = newName('t');
  input.settle();
  input.lines.push(
    `if (${length} > end - o) short(o + ${length}, end);`,
    `const ${local} = ${source};`,
    `o += ${length};`,
  );
  input.settle();
  return local;
}

function decodeElements(input: Reader, element: Node, length: string, scope: Scope): string {
  const items = newName('a');
  const index = newName('i');
  input.settle();
  // Every element of ours has at least one byte, so this bounds the array by the message.
  const least = Math.max(1, leastSize(element));
  input.lines.push(
    `if (${length} * ${least} > end - o) short(o + ${length} * ${least}, end);`,
    `const ${items} = new Array(${length});`,
    `for (let ${index} = 0; ${index} < ${length}; ${index}++) {`,
  );
  input.settle();
  const source = decodeNode(input, element, scope);
  input.lines.push(`${items}[${index}] = ${source};`);
  input.settle();
  input.lines.push('}');
  input.settle();
  return items;
}

function decodeUnion(input: Reader, node: Extract<Node, { kind: 'union' }>, scope: Scope): string {
  const size = unionSize(node);
  const local = newName('u');
  input.settle();
  input.lines.push(
    `if (o + ${size} > end) short(o + ${size}, end);`,
    `let ${local};`,
    `switch (${scope.get(node.by)}) {`,
  );
  for (const [name, member] of Object.entries(node.cases)) {
    input.lines.push(`case ${member.when}: {`);
    input.settle();
    const source = decodeNode(input, member.node, scope);
    input.lines.push(`${local} = { ${name}: ${source} };`);
    input.settle();
    input.lines.push(`o += ${size - (fixedSize(member.node) ?? 0)}; break; }`);
  }
  input.lines.push(`default: ${local} = {}; o += ${size}; }`);
  input.settle();
  return local;
}

function decodeAddress(input: Reader, kind: string): string {
  if (kind === 'mac') return moved(input, 6, `readMac(b, ${input.at()})`);
  if (kind === 'ip4') return moved(input, 4, `readIp4(b, ${input.at()})`);
  if (kind === 'ip6') return moved(input, 16, `readIp6(b, ${input.at()})`);
  if (kind === 'address') return moved(input, 17, `readAddress(b, ${input.at()})`);
  const size = kind.startsWith('ip4') ? 4 : kind.startsWith('ip6') ? 16 : 17;
  const read = size === 4 ? 'readIp4' : size === 16 ? 'readIp6' : 'readAddress';
  const join = kind.endsWith('WithPrefix')
    ? 'addressWithLength'
    : kind === 'lbPrefix'
      ? 'joinLbPrefix'
      : 'joinPrefix';
  const source = `${join}(${read}(b, ${input.at()}), b[${input.at(size)}])`;
  return moved(input, size + 1, source);
}
