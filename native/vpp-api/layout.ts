/** Sizes of fields, shared by the generators of encoders and decoders. */
import type { Node } from './schema.ts';

/** Bytes of each kind of integer. */
export const integers: Readonly<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u32le: 4,
  i8: 1,
  i16: 2,
  i32: 4,
};

const others: Readonly<Record<string, number>> = {
  u64: 8,
  i64: 8,
  f64: 8,
  bool: 1,
  addressUnion: 16,
  ip4: 4,
  ip6: 16,
  address: 17,
  mac: 6,
  prefix: 18,
  ip4Prefix: 5,
  ip6Prefix: 17,
  addressWithPrefix: 18,
  ip4WithPrefix: 5,
  ip6WithPrefix: 17,
  lbPrefix: 18,
};

/** The local variables that hold the fields seen so far: counts and discriminators. */
export type Scope = Map<string, string>;

let names = 0;

/** A name that no other generated code has. */
export function newName(letter: string): string {
  return `${letter}${names++}`;
}

/** The bytes of a field, or undefined when that depends on the value. */
export function fixedSize(node: Node): number | undefined {
  switch (node.kind) {
    case 'string':
      return node.bytes;
    case 'bytes':
      return node.length;
    case 'count':
    case 'enum':
      return integers[node.base];
    case 'text':
    case 'blob':
    case 'list':
      return undefined;
    case 'array': {
      const each = fixedSize(node.element);
      return each === undefined ? undefined : each * node.length;
    }
    case 'struct':
      return sum(Object.values(node.fields));
    case 'union':
      return unionSize(node);
    default:
      return integers[node.kind] ?? others[node.kind];
  }
}

/** The fewest bytes that a field can have. */
export function leastSize(node: Node): number {
  if (node.kind === 'text') return 4;
  if (node.kind === 'struct') {
    return Object.values(node.fields).reduce((total, field) => total + leastSize(field), 0);
  }
  return fixedSize(node) ?? 0;
}

/** A union is as long as its longest member. */
export function unionSize(node: Extract<Node, { kind: 'union' }>): number {
  return Math.max(...Object.values(node.cases).map((member) => fixedSize(member.node) ?? 0));
}

function sum(nodes: readonly Node[]): number | undefined {
  let total = 0;
  for (const node of nodes) {
    const size = fixedSize(node);
    if (size === undefined) return undefined;
    total += size;
  }
  return total;
}
