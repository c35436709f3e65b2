/** Arbitrary values for any field of the catalogue, and an interpreter to check the compiler. */
import fc from 'fast-check';
import { addressWithLength } from '../../native/vpp-api/address.ts';
import type { Fields, Node } from '../../native/vpp-api/schema.ts';
import { type Ip, ipFromBytes, prefixOf } from '../../src/core/ip.ts';

const ip4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes);
const ip6 = fc
  .oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    // Runs of zeros, for the compressed forms.
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
      .map((bytes) => new Uint8Array(bytes)),
  )
  .map(ipFromBytes);
const either = fc.oneof(ip4, ip6);
const withLength = (address: fc.Arbitrary<Ip>) =>
  fc.tuple(address, fc.nat(128)).map(([ip, n]) => [ip, n % (ip.includes(':') ? 129 : 33)] as const);

const integers: Record<string, fc.Arbitrary<number>> = {
  u8: fc.nat(0xff),
  u16: fc.nat(0xffff),
  u32: fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constant(0xffffffff)),
  u32le: fc.integer({ min: 0, max: 0xffffffff }),
  i8: fc.integer({ min: -128, max: 127 }),
  i16: fc.integer({ min: -32768, max: 32767 }),
  i32: fc.integer(),
};

const text = (limit: number) =>
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((value) => {
    let kept = value.replaceAll('\0', '');
    while (Buffer.byteLength(kept) > limit) kept = [...kept].slice(0, -1).join('');
    return kept;
  });

/** Values that fit a field. Unions and addresses depend on a field beside them: see `fieldsOf`. */
export function valueFor(node: Node): fc.Arbitrary<unknown> {
  switch (node.kind) {
    case 'u64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case 'i64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case 'f64':
      return fc.double({ noNaN: true });
    case 'bool':
      return fc.boolean();
    case 'string':
      return text(node.bytes - 1);
    case 'text':
      return text(1000);
    case 'bytes':
      return fc.uint8Array({ minLength: node.length, maxLength: node.length });
    case 'blob':
      return fc.uint8Array({ maxLength: 20 });
    case 'array':
      return fc.array(valueFor(node.element), { minLength: node.length, maxLength: node.length });
    case 'list':
      return fc.array(valueFor(node.element), { maxLength: 3 });
    case 'struct':
      return fieldsOf(node.fields);
    case 'enum':
      return integers[node.base] ?? fc.constant(0);
    case 'ip4':
      return ip4;
    case 'ip6':
      return ip6;
    case 'address':
      return either;
    case 'mac':
      return fc
        .uint8Array({ minLength: 6, maxLength: 6 })
        .map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
    case 'prefix':
    case 'lbPrefix':
      return withLength(either).map(([ip, length]) => prefixOf(ip, length));
    case 'ip4Prefix':
      return withLength(ip4).map(([ip, length]) => prefixOf(ip, length));
    case 'ip6Prefix':
      return withLength(ip6).map(([ip, length]) => prefixOf(ip, length));
    case 'addressWithPrefix':
      return withLength(either).map(([ip, length]) => addressWithLength(ip, length));
    case 'ip4WithPrefix':
      return withLength(ip4).map(([ip, length]) => addressWithLength(ip, length));
    case 'ip6WithPrefix':
      return withLength(ip6).map(([ip, length]) => addressWithLength(ip, length));
    case 'count':
    case 'union':
    case 'addressUnion':
      return fc.constant(undefined);
    default:
      return integers[node.kind] ?? fc.constant(0);
  }
}

/** Values of an object of fields; what depends on a discriminator follows it. */
export function fieldsOf(fields: Fields): fc.Arbitrary<Record<string, unknown>> {
  const shape: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [name, node] of Object.entries(fields)) {
    if (node.kind !== 'count') shape[name] = valueFor(node);
  }
  return fc
    .tuple(fc.record(shape), fc.nat(), ip4, ip6)
    .chain(([value, pick, four, six]) => settle(fields, value, pick, four, six));
}

function settle(
  fields: Fields,
  value: Record<string, unknown>,
  pick: number,
  four: Ip,
  six: Ip,
): fc.Arbitrary<Record<string, unknown>> {
  let settled: fc.Arbitrary<Record<string, unknown>> = fc.constant({ ...value });
  for (const [name, node] of Object.entries(fields)) {
    if (node.kind === 'addressUnion' && node.by in fields) {
      settled = settled.map((now) => ({
        ...now,
        [node.by]: pick % 2,
        [name]: pick % 2 ? six : four,
      }));
    } else if (node.kind === 'struct' && dependsOnParent(node.fields)) {
      // fib_path: the address of `nh` is of the family that `proto` beside it names.
      settled = settled.map((now) => ({
        ...now,
        proto: pick % 2,
        [name]: { ...(now[name] as object), address: pick % 2 ? six : four },
      }));
    } else if (node.kind === 'union') {
      const cases = Object.entries(node.cases);
      const [member, chosen] = cases[pick % cases.length] ?? ['', undefined];
      if (chosen === undefined) continue;
      settled = fc
        .tuple(settled, valueFor(chosen.node))
        .map(([now, inner]) => ({ ...now, [node.by]: chosen.when, [name]: { [member]: inner } }));
    }
  }
  return settled;
}

function dependsOnParent(fields: Fields): boolean {
  return Object.values(fields).some((node) => node.kind === 'addressUnion' && !(node.by in fields));
}
