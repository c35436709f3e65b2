/**
 * The slow reading of the same catalogue: one node at a time, one byte string each. It shares
 * no code with the compiler, so that both being wrong in the same way is unlikely.
 */
import type { Fields, Node } from '../../native/vpp-api/schema.ts';
import { type Ip, ipBytes, type Prefix, prefixAddress, prefixLength } from '../../src/core/ip.ts';

/** The bytes of the fields, without message id and header. */
export function interpret(fields: Fields, value: Record<string, unknown>): Buffer {
  return interpretFields(fields, value, {});
}

function interpretFields(
  fields: Fields,
  value: Record<string, unknown>,
  outer: Record<string, unknown>,
): Buffer {
  const scope = { ...outer, ...value };
  return Buffer.concat(
    Object.entries(fields).map(([name, node]) =>
      node.kind === 'count'
        ? integer(node.base, (value[node.of] as { length: number }).length)
        : interpretNode(node, value[name], scope),
    ),
  );
}

function interpretNode(node: Node, value: unknown, scope: Record<string, unknown>): Buffer {
  switch (node.kind) {
    case 'enum':
      return integer(node.base, value as number);
    case 'u64': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(value as bigint);
      return bytes;
    }
    case 'i64': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(value as bigint);
      return bytes;
    }
    case 'f64':
      return Buffer.from(new Float64Array([value as number]).buffer);
    case 'bool':
      return Buffer.from([value === true ? 1 : 0]);
    case 'string':
      return padded(Buffer.from(value as string), node.bytes);
    case 'text': {
      const bytes = Buffer.from(value as string);
      return Buffer.concat([integer('u32', bytes.length), bytes]);
    }
    case 'bytes':
    case 'blob':
      return Buffer.from(value as Uint8Array);
    case 'array':
    case 'list':
      return Buffer.concat(
        (value as unknown[]).map((element) => interpretNode(node.element, element, scope)),
      );
    case 'struct':
      return interpretFields(node.fields, value as Record<string, unknown>, scope);
    case 'union': {
      const members = Object.entries(node.cases);
      const size = Math.max(...members.map(([, member]) => zeroSize(member.node)));
      const chosen = members.find(([, member]) => member.when === scope[node.by]);
      if (chosen === undefined) return Buffer.alloc(size);
      const inner = (value as Record<string, unknown>)[chosen[0]];
      return padded(interpretNode(chosen[1].node, inner, scope), size);
    }
    case 'mac':
      return Buffer.from((value as string).replaceAll(':', ''), 'hex');
    default:
      return interpretAddress(node.kind, value);
  }
}

function interpretAddress(kind: Node['kind'], value: unknown): Buffer {
  if (/^[ui]\d/.test(kind)) return integer(kind, value as number);
  if (kind === 'ip4' || kind === 'ip6') return Buffer.from(ipBytes(value as Ip));
  if (kind === 'addressUnion') return padded(Buffer.from(ipBytes(value as Ip)), 16);
  if (kind === 'address') return tagged(value as Ip);
  const address = prefixAddress(value as Prefix);
  const isIp4 = !address.includes(':');
  const length = prefixLength(value as Prefix) + (kind === 'lbPrefix' && isIp4 ? 96 : 0);
  const head = kind.startsWith('ip') ? Buffer.from(ipBytes(address)) : tagged(address);
  return Buffer.concat([head, Buffer.from([length])]);
}

function tagged(address: Ip): Buffer {
  const family = address.includes(':') ? 1 : 0;
  return Buffer.concat([Buffer.from([family]), padded(Buffer.from(ipBytes(address)), 16)]);
}

function integer(kind: string, value: number): Buffer {
  const size = Number(/\d+/.exec(kind)?.[0]) / 8;
  const bytes = Buffer.alloc(size);
  const unsigned = value < 0 ? value + 2 ** (8 * size) : value;
  if (kind.endsWith('le')) bytes.writeUIntLE(unsigned, 0, size);
  else bytes.writeUIntBE(unsigned, 0, size);
  return bytes;
}

function padded(bytes: Buffer, size: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}

/** Members of unions have fixed sizes: that of any value. */
function zeroSize(node: Node): number {
  if (node.kind !== 'struct') throw new TypeError('members of unions are structs');
  let size = 0;
  for (const field of Object.values(node.fields)) {
    const base = field.kind === 'enum' ? field.base : field.kind;
    size += Number(/\d+/.exec(base)?.[0]) / 8;
  }
  return size;
}
