/** Generates the encoder of an object of fields. */
import { fixedSize, integers, newName, type Scope, unionSize } from './layout.ts';
import type { Fields, Node } from './schema.ts';

/**
 * Source of `encode(b, o, v)`, which writes `v` into `b` from `o` on and returns the end, and
 * of `size(v)`, the number of bytes it will write.
 */
export function encoderSource(fields: Fields): { encode: string; size: string } {
  const out = createEmitter();
  encodeFields(out, fields, 'v', '', new Map());
  const size = createSizer();
  sizeFields(size, fields, 'v', '');
  return {
    encode: `${out.lines.join('\n')}\nreturn ${out.at()};`,
    size: `let n = 0;\n${size.lines.join('\n')}\nreturn n + ${size.fixed};`,
  };
}

interface Emitter {
  readonly lines: string[];
  /** The current position, as source. */
  at(plus?: number): string;
  /** Moves on by a number of bytes known now. */
  skip(bytes: number): void;
  /** Puts what `skip` added into the variable `o`: before loops and variable parts. */
  settle(): void;
}

function createEmitter(): Emitter {
  const lines: string[] = [];
  let offset = 0;
  return {
    lines,
    at: (plus = 0) => (offset + plus === 0 ? 'o' : `o + ${offset + plus}`),
    skip(bytes) {
      offset += bytes;
    },
    settle() {
      if (offset > 0) lines.push(`o += ${offset};`);
      offset = 0;
    },
  };
}

function encodeFields(out: Emitter, fields: Fields, value: string, path: string, up: Scope): void {
  const scope: Scope = new Map(up);
  for (const [name, node] of Object.entries(fields)) {
    const where = path === '' ? name : `${path}.${name}`;
    if (node.kind === 'count') {
      const local = newName('c');
      const limit = 2 ** (8 * (integers[node.base] ?? 0)) - 1;
      out.lines.push(`const ${local} = ${value}.${node.of}.length;`);
      out.lines.push(`if (${local} > ${limit}) bad('${where}', ${local});`);
      putInteger(out, node.base, local);
      continue;
    }
    const local = newName('x');
    out.lines.push(`const ${local} = ${value}.${name};`);
    scope.set(name, local);
    encodeNode(out, node, local, where, scope);
  }
}

function encodeNode(out: Emitter, node: Node, value: string, path: string, scope: Scope): void {
  const { lines } = out;
  switch (node.kind) {
    case 'enum':
      encodeInteger(out, node.base, value, path);
      break;
    case 'u64':
    case 'i64':
    case 'f64':
      encodeWide(out, node.kind, value, path);
      break;
    case 'bool':
      lines.push(`if (typeof ${value} !== 'boolean') bad('${path}', ${value});`);
      lines.push(`b[${out.at()}] = ${value} ? 1 : 0;`);
      out.skip(1);
      break;
    case 'string':
      lines.push(`writeString(b, ${out.at()}, ${node.bytes}, ${value}, '${path}');`);
      out.skip(node.bytes);
      break;
    case 'text':
      encodeText(out, value, path);
      break;
    case 'bytes':
      lines.push(`if (${value}?.length !== ${node.length}) bad('${path}', ${value});`);
      lines.push(`b.set(${value}, ${out.at()});`);
      out.skip(node.length);
      break;
    case 'blob':
      out.settle();
      lines.push(`b.set(${value}, o); o += ${value}.length;`);
      break;
    case 'array':
    case 'list':
      encodeElements(out, node, value, path, scope);
      break;
    case 'struct':
      lines.push(`if (${value} === undefined) bad('${path}', ${value});`);
      encodeFields(out, node.fields, value, path, scope);
      break;
    case 'union':
      encodeUnion(out, node, value, path, scope);
      break;
    case 'addressUnion':
      encodeAddressUnion(out, value, path, scope.get(node.by) ?? '');
      break;
    case 'count':
      throw new TypeError('a count stands only among the fields that it counts');
    default:
      if (node.kind in integers) encodeInteger(out, node.kind, value, path);
      else encodeAddress(out, node.kind, value, path);
      break;
  }
}

function encodeInteger(out: Emitter, kind: string, value: string, path: string): void {
  const inRange: Record<string, string> = {
    u8: `(${value} & 255)`,
    u16: `(${value} & 65535)`,
    u32: `(${value} >>> 0)`,
    u32le: `(${value} >>> 0)`,
    i8: `(${value} << 24 >> 24)`,
    i16: `(${value} << 16 >> 16)`,
    i32: `(${value} | 0)`,
  };
  out.lines.push(`if (${inRange[kind]} !== ${value}) bad('${path}', ${value});`);
  putInteger(out, kind, value);
}

function putInteger(out: Emitter, kind: string, value: string): void {
  const size = integers[kind] ?? 0;
  for (let i = 0; i < size; i++) {
    const shift = 8 * (kind === 'u32le' ? i : size - 1 - i);
    out.lines.push(`b[${out.at(i)}] = ${shift === 0 ? value : `${value} >>> ${shift}`};`);
  }
  out.skip(size);
}

function encodeWide(out: Emitter, kind: 'u64' | 'i64' | 'f64', value: string, path: string): void {
  if (kind === 'f64') {
    out.lines.push(`if (typeof ${value} !== 'number') bad('${path}', ${value});`);
    out.lines.push(`b.writeDoubleLE(${value}, ${out.at()});`);
  } else {
    const wrap = kind === 'u64' ? 'asUintN' : 'asIntN';
    out.lines.push(
      `if (typeof ${value} !== 'bigint' || BigInt.${wrap}(64, ${value}) !== ${value}) bad('${path}', ${value});`,
      `b.writeBig${kind === 'u64' ? 'UInt' : 'Int'}64BE(${value}, ${out.at()});`,
    );
  }
  out.skip(8);
}

function encodeText(out: Emitter, value: string, path: string): void {
  const length = newName('n');
  out.lines.push(
    `if (typeof ${value} !== 'string') bad('${path}', ${value});`,
    `const ${length} = textLength(${value});`,
  );
  putInteger(out, 'u32', length);
  out.settle();
  out.lines.push(`o += b.write(${value}, o);`);
}

function encodeElements(
  out: Emitter,
  node: Extract<Node, { kind: 'array' | 'list' }>,
  value: string,
  path: string,
  scope: Scope,
): void {
  const { lines } = out;
  out.settle();
  const index = newName('i');
  const element = newName('e');
  if (node.kind === 'array') {
    lines.push(`if (!(${value}?.length <= ${node.length})) bad('${path}', ${value}?.length);`);
  }
  lines.push(`for (let ${index} = 0; ${index} < ${value}.length; ${index}++) {`);
  lines.push(`const ${element} = ${value}[${index}];`);
  encodeNode(out, node.element, element, `${path}[]`, scope);
  out.settle();
  lines.push('}');
  if (node.kind === 'array') {
    const rest = `(${node.length} - ${value}.length) * ${fixedSize(node.element) ?? 0}`;
    lines.push(`b.fill(0, o, o + ${rest}); o += ${rest};`);
  }
}

function encodeUnion(
  out: Emitter,
  node: Extract<Node, { kind: 'union' }>,
  value: string,
  path: string,
  scope: Scope,
): void {
  const { lines } = out;
  out.settle();
  const size = unionSize(node);
  lines.push(`b.fill(0, o, o + ${size});`);
  lines.push(`switch (${scope.get(node.by)}) {`);
  for (const [name, member] of Object.entries(node.cases)) {
    const local = newName('m');
    lines.push(`case ${member.when}: { const ${local} = ${value}.${name};`);
    encodeNode(out, member.node, local, `${path}.${name}`, scope);
    out.settle();
    lines.push(`o += ${size - (fixedSize(member.node) ?? 0)}; break; }`);
  }
  lines.push(`default: o += ${size}; }`);
}

function encodeAddressUnion(out: Emitter, value: string, path: string, family: string): void {
  const { lines } = out;
  lines.push(`if (typeof ${value} !== 'string') bad('${path}', ${value});`);
  // Any family but IPv4 is written as 16 bytes, which is also how it is read.
  lines.push(
    `if (writeAddressUnion(b, ${out.at()}, ${value}, ${value}.length) !== (${family} === 0 ? 0 : 1)) bad('${path}', ${value});`,
  );
  out.skip(16);
}

function encodeAddress(out: Emitter, kind: string, value: string, path: string): void {
  const { lines } = out;
  lines.push(`if (typeof ${value} !== 'string') bad('${path}', ${value});`);
  const whole = `${value}, ${value}.length`;
  if (kind === 'mac') {
    lines.push(`writeMac(b, ${out.at()}, ${value});`);
    out.skip(6);
    return;
  }
  if (kind === 'ip4' || kind === 'ip6') {
    lines.push(`writeI${kind.slice(1)}(b, ${out.at()}, ${whole});`);
    out.skip(kind === 'ip4' ? 4 : 16);
    return;
  }
  if (kind === 'address') {
    lines.push(`writeAddress(b, ${out.at()}, ${whole});`);
    out.skip(17);
    return;
  }
  const slash = newName('s');
  lines.push(`const ${slash} = prefixEnd(${value});`);
  const size = kind.startsWith('ip4') ? 4 : kind.startsWith('ip6') ? 16 : 17;
  const write = size === 4 ? 'writeIp4' : size === 16 ? 'writeIp6' : 'writeAddress';
  lines.push(`${write}(b, ${out.at()}, ${value}, ${slash});`);
  const plus = kind === 'lbPrefix' ? ` + (b[${out.at()}] === 0 ? 96 : 0)` : '';
  lines.push(`b[${out.at(size)}] = lengthAfter(${value}, ${slash})${plus};`);
  out.skip(size + 1);
}

function createSizer() {
  return { lines: [] as string[], fixed: 0 };
}

function sizeFields(
  size: { lines: string[]; fixed: number },
  fields: Fields,
  value: string,
  path: string,
): void {
  for (const [name, node] of Object.entries(fields)) {
    sizeNode(size, node, `${value}.${name}`, path === '' ? name : `${path}.${name}`);
  }
}

function sizeNode(
  size: { lines: string[]; fixed: number },
  node: Node,
  value: string,
  path: string,
): void {
  const fixed = fixedSize(node);
  if (fixed !== undefined) {
    size.fixed += fixed;
    return;
  }
  if (node.kind === 'struct') {
    size.lines.push(`if (${value} === undefined) bad('${path}', undefined);`);
    sizeFields(size, node.fields, value, path);
    return;
  }
  if (node.kind === 'text') {
    size.fixed += 4;
    size.lines.push(`if (typeof ${value} !== 'string') bad('${path}', ${value});`);
    size.lines.push(`n += textLength(${value});`);
    return;
  }
  size.lines.push(`if (!(${value}?.length >= 0)) bad('${path}', ${value});`);
  if (node.kind === 'blob') {
    size.lines.push(`n += ${value}.length;`);
    return;
  }
  if (node.kind !== 'list') throw new TypeError(`${path}: the size of ${node.kind} is not known`);
  const each = fixedSize(node.element);
  if (each !== undefined) {
    size.lines.push(`n += ${value}.length * ${each};`);
    return;
  }
  const element = newName('e');
  const inner = createSizer();
  sizeNode(inner, node.element, element, `${path}[]`);
  size.lines.push(
    `for (const ${element} of ${value}) {`,
    ...inner.lines,
    `n += ${inner.fixed};`,
    '}',
  );
}
