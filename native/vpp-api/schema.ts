/**
 * The language the catalogue is written in.
 *
 * A message is an object of fields in wire order; each field is a node that says how its bytes
 * look and, in its type, which value it holds. TypeScript types of all requests and replies
 * are inferred from here, and `compile.ts` turns the same nodes into straight-line code.
 *
 * VPP's rules (vppapigen): integers are big endian, `f64` is in host order (little endian on
 * every machine VPP runs on), arrays are packed without padding, an enum is its base type, and
 * a variable array is preceded somewhere by the field with its count. Counts are not part of
 * values: they are written from, and checked against, the array they count.
 */
import type { Ip, Prefix } from '../../src/core/ip.ts';
import type { AddressWithPrefix } from './address.ts';

declare const heldValue: unique symbol;

/** Integers of the wire, by VPP's names; `u32le` is one that VPP forgets to swap. */
export type IntegerKind = 'u8' | 'u16' | 'u32' | 'i8' | 'i16' | 'i32' | 'u32le';

/** How the bytes of one field look; what `compile.ts` reads. */
export type Node =
  | { readonly kind: IntegerKind | 'u64' | 'i64' | 'f64' | 'bool' }
  | { readonly kind: 'count'; readonly base: 'u8' | 'u16' | 'u32'; readonly of: string }
  | { readonly kind: 'string'; readonly bytes: number }
  | { readonly kind: 'text' }
  | { readonly kind: 'bytes'; readonly length: number }
  | { readonly kind: 'blob'; readonly count: string }
  | { readonly kind: 'array'; readonly element: Node; readonly length: number }
  | { readonly kind: 'list'; readonly element: Node; readonly count: string }
  | { readonly kind: 'struct'; readonly name: string; readonly fields: Fields }
  | { readonly kind: 'union'; readonly name: string; readonly by: string; readonly cases: Cases }
  | { readonly kind: 'enum'; readonly name: string; readonly base: IntegerKind }
  | { readonly kind: 'addressUnion'; readonly by: string }
  | { readonly kind: 'ip4' | 'ip6' | 'address' | 'mac' }
  | { readonly kind: 'prefix' | 'ip4Prefix' | 'ip6Prefix' }
  | { readonly kind: 'addressWithPrefix' | 'ip4WithPrefix' | 'ip6WithPrefix' | 'lbPrefix' };

/** A node together with the type of the value it holds. */
export type Field<T> = Node & { readonly [heldValue]?: T };

/** The count of a variable array: on the wire, but not in values. */
export type CountField = Extract<Node, { kind: 'count' }>;

/** Fields in wire order. */
export type Fields = { readonly [name: string]: Node };

/** The members of a union: the value of the discriminating field, then the member's node. */
export type Cases = { readonly [member: string]: { readonly when: number; readonly node: Node } };

/** The value held by a field. */
export type Value<F> = F extends { readonly [heldValue]?: infer T } ? Exclude<T, undefined> : never;

/** The value held by an object of fields: everything but the counts. */
export type Values<F extends Fields> = {
  readonly [K in keyof F as F[K] extends CountField ? never : K]: Value<F[K]>;
};

const scalar = <T>(kind: IntegerKind | 'u64' | 'i64' | 'f64' | 'bool'): Field<T> => ({ kind });

/** Unsigned 8 bits. */
export const u8 = scalar<number>('u8');
/** Unsigned 16 bits. */
export const u16 = scalar<number>('u16');
/** Unsigned 32 bits. */
export const u32 = scalar<number>('u32');
/** Signed 8 bits. */
export const i8 = scalar<number>('i8');
/** Signed 16 bits. */
export const i16 = scalar<number>('i16');
/** Signed 32 bits. */
export const i32 = scalar<number>('i32');
/** Unsigned 64 bits. */
export const u64 = scalar<bigint>('u64');
/** Signed 64 bits. */
export const i64 = scalar<bigint>('i64');
/** A double in host order, which is little endian. */
export const f64 = scalar<number>('f64');
/** One byte: anything but 0 is true. */
export const bool = scalar<boolean>('bool');

/** The number of elements of the field named `of`. */
export function count(base: 'u8' | 'u16' | 'u32', of: string): CountField {
  return { kind: 'count', base, of };
}

/** `string name[bytes]`: padded with NUL, and at least one NUL at the end. */
export function string(bytes: number): Field<string> {
  return { kind: 'string', bytes };
}

/** `string name[]`: a length of 32 bits, then that many bytes. */
export const text: Field<string> = { kind: 'text' };

/** `u8 name[length]`. */
export function bytes(length: number): Field<Uint8Array> {
  return { kind: 'bytes', length };
}

/** `u8 name[count]`. */
export function blob(countField: string): Field<Uint8Array> {
  return { kind: 'blob', count: countField };
}

/** `type name[length]`: a shorter array is filled with zero bytes. */
export function array<F extends Node>(element: F, length: number): Field<readonly Value<F>[]> {
  return { kind: 'array', element, length };
}

/** `type name[count]`. */
export function list<F extends Node>(element: F, countField: string): Field<readonly Value<F>[]> {
  return { kind: 'list', element, count: countField };
}

/** A nested type, by VPP's name. */
export function struct<const F extends Fields>(name: string, fields: F): Field<Values<F>> {
  return { kind: 'struct', name, fields };
}

/**
 * A union, as long as its longest member. VPP does not say on the wire which member it is:
 * the field `by` of the same type does.
 */
export function union<const C extends Cases>(
  name: string,
  by: string,
  cases: C,
): Field<{ readonly [K in keyof C]?: Value<C[K]['node']> }> {
  return { kind: 'union', name, by, cases };
}

/** An enum or a set of flags: a number of its base type. */
export function enumeration(name: string, base: IntegerKind): Field<number> {
  return { kind: 'enum', name, base };
}

/** 16 bytes: an IPv6 address, or an IPv4 address in the first four when the field `by` is 0. */
export function addressUnion(by: string): Field<Ip> {
  return { kind: 'addressUnion', by };
}

/** `vl_api_ip4_address_t`: 4 bytes. */
export const ip4: Field<Ip> = { kind: 'ip4' };
/** `vl_api_ip6_address_t`: 16 bytes. */
export const ip6: Field<Ip> = { kind: 'ip6' };
/** `vl_api_address_t`: family, then 16 bytes with an IPv4 address in the first four. */
export const address: Field<Ip> = { kind: 'address' };
/** `vl_api_mac_address_t`, as `02:00:00:00:00:01`. */
export const mac: Field<string> = { kind: 'mac' };
/** `vl_api_prefix_t`: address and length; host bits are cleared. */
export const prefix: Field<Prefix> = { kind: 'prefix' };
/** `vl_api_ip4_prefix_t`. */
export const ip4Prefix: Field<Prefix> = { kind: 'ip4Prefix' };
/** `vl_api_ip6_prefix_t`. */
export const ip6Prefix: Field<Prefix> = { kind: 'ip6Prefix' };
/** `vl_api_address_with_prefix_t`: host bits are kept. */
export const addressWithPrefix: Field<AddressWithPrefix> = { kind: 'addressWithPrefix' };
/** `vl_api_ip4_address_with_prefix_t`. */
export const ip4WithPrefix: Field<AddressWithPrefix> = { kind: 'ip4WithPrefix' };
/** `vl_api_ip6_address_with_prefix_t`. */
export const ip6WithPrefix: Field<AddressWithPrefix> = { kind: 'ip6WithPrefix' };
/**
 * A prefix as the lb plugin wants it: an IPv4 length is sent as 96 + length. With the plain
 * length the plugin makes an IPv6 VIP out of it (measured on VPP 26.06).
 */
export const lbPrefix: Field<Prefix> = { kind: 'lbPrefix' };

/** What stands before the fields, after the message id. */
export type Header = 'client+context' | 'context' | 'client' | 'none';

/** One message: its CRC, its fields, and what answers it. */
export interface Message<
  F extends Fields = Fields,
  Reply extends string | undefined = string | undefined,
  Details extends string | undefined = string | undefined,
> {
  readonly crc: number;
  readonly header: Header;
  readonly fields: F;
  /** The message that ends the exchange. */
  readonly reply: Reply;
  /** The messages before it, for dumps and streams. */
  readonly details: Details;
}

/** A request with one reply. */
export function request<const F extends Fields, const R extends string>(
  crc: number,
  reply: R,
  fields: F,
): Message<F, R, undefined> {
  return { crc, header: 'client+context', fields, reply, details: undefined };
}

/** A request that is answered by any number of details, and by nothing at the end. */
export function dump<const F extends Fields, const D extends string>(
  crc: number,
  details: D,
  fields: F,
): Message<F, undefined, D> {
  return { crc, header: 'client+context', fields, reply: undefined, details };
}

/** A request that is answered by any number of details and then by its own reply. */
export function stream<const F extends Fields, const R extends string, const D extends string>(
  crc: number,
  reply: R,
  details: D,
  fields: F,
): Message<F, R, D> {
  return { crc, header: 'client+context', fields, reply, details };
}

/** A message from VPP that carries the context of its request. */
export function reply<const F extends Fields>(
  crc: number,
  fields: F,
): Message<F, undefined, undefined> {
  return { crc, header: 'context', fields, reply: undefined, details: undefined };
}

/** A message from VPP that nobody asked for at that moment. */
export function event<const F extends Fields>(
  crc: number,
  fields: F,
): Message<F, undefined, undefined> & { readonly header: 'client' } {
  return { crc, header: 'client', fields, reply: undefined, details: undefined };
}
