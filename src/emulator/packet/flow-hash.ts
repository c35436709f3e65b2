import { type Family, word32 } from '../address.ts';
import { Protocol, protocolOf } from './headers.ts';

/**
 * VPP's flow hash, so that equal flows choose equal paths and backends on both data planes.
 *
 * IPv4: Bob Jenkins' lookup3 over source, destination ^ protocol, ports; IPv6: his 64-bit mix.
 * Source: VPP v26.06 `vnet/ip/ip4_inlines.h`, `ip6_inlines.h`, `vppinfra/hash.h`. Values are read
 * as a little-endian host reads them from the packet, so the result does not depend on ours.
 */
export const FlowHash = {
  source: 1,
  target: 2,
  sourcePort: 4,
  targetPort: 8,
  protocol: 16,
  reverse: 32,
  symmetric: 64,
  flowLabel: 128,
} as const;

/** VPP's `IP_FLOW_HASH_DEFAULT`: addresses, ports, protocol and the IPv6 flow label. */
export const flowHashDefault = 0x9f;

/** An unsigned 32-bit hash of the flow that `l3` belongs to. */
export function flowHash(l3: Buffer, family: Family, config: number): number {
  return family === 4 ? hash4(l3, config) : hash6(l3, config);
}

function hash4(l3: Buffer, config: number): number {
  const protocol = protocolOf(l3, 4);
  const source = config & FlowHash.source ? l3.readInt32LE(12) : 0;
  const target = config & FlowHash.target ? l3.readInt32LE(16) : 0;
  const reverse = (config & FlowHash.reverse) !== 0;
  let a = reverse ? target : source;
  let b = reverse ? source : target;
  const hasPorts = (protocol === Protocol.tcp || protocol === Protocol.udp) && l3.length >= 24;
  let from = hasPorts && config & FlowHash.sourcePort ? l3.readUInt16LE(20) : 0;
  let to = hasPorts && config & FlowHash.targetPort ? l3.readUInt16LE(22) : 0;
  if (config & FlowHash.symmetric) {
    if (b >>> 0 < a >>> 0) [a, b] = [b, a];
    if (to < from) [from, to] = [to, from];
  }
  if (config & FlowHash.protocol) b ^= protocol;
  const c = reverse ? (from << 16) | to : (to << 16) | from;
  return jenkins32(a, b, c).c >>> 0;
}

const mask64 = 0xffff_ffff_ffff_ffffn;

function hash6(l3: Buffer, config: number): number {
  const { protocol, ports } = ports6(l3);
  const source = l3.readBigUInt64LE(8) ^ l3.readBigUInt64LE(16);
  const target = l3.readBigUInt64LE(24) ^ l3.readBigUInt64LE(32);
  const t1 = config & FlowHash.source ? source : 0n;
  const t2 = config & FlowHash.target ? target : 0n;
  const reverse = (config & FlowHash.reverse) !== 0;
  let a = reverse ? t2 : t1;
  let b = reverse ? t1 : t2;
  let from = ports !== undefined && config & FlowHash.sourcePort ? l3.readUInt16LE(ports) : 0;
  let to = ports !== undefined && config & FlowHash.targetPort ? l3.readUInt16LE(ports + 2) : 0;
  if (config & FlowHash.symmetric) {
    if (b < a) [a, b] = [b, a];
    if (to < from) [from, to] = [to, from];
  }
  if (config & FlowHash.protocol) b ^= BigInt(protocol);
  let c = (BigInt(reverse ? from : to) << 16n) | BigInt(reverse ? to : from);
  // The flow label without the version and class, still in network order.
  if (config & FlowHash.flowLabel) c ^= BigInt((l3.readUInt32LE(0) & 0xffff0f00) >>> 0);
  [a, b, c] = mix64(a, b, c);
  return Number(c & 0xffff_ffffn);
}

function ports6(l3: Buffer): { protocol: number; ports: number | undefined } {
  let protocol = l3[6] ?? 0;
  let at = 40;
  if (protocol !== Protocol.tcp && protocol !== Protocol.udp) {
    if (protocol === Protocol.hopByHop && l3.length >= at + 8) {
      protocol = l3[at] ?? 0;
      at += ((l3[at + 1] ?? 0) + 1) * 8;
    }
    // A fragment has no ports for the hash, not even the first one.
    if (protocol === Protocol.fragment) return { protocol: l3[at] ?? 0, ports: undefined };
  }
  const known = protocol === Protocol.tcp || protocol === Protocol.udp;
  return { protocol, ports: known && l3.length >= at + 4 ? at : undefined };
}

const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));

/** lookup3's mix and final, with VPP's shift counts. */
export function jenkins32(a0: number, b0: number, c0: number): { a: number; b: number; c: number } {
  let a = a0 | 0;
  let b = b0 | 0;
  let c = c0 | 0;
  a = ((a - c) | 0) ^ rotate(c, 4);
  c = (c + b) | 0;
  b = ((b - a) | 0) ^ rotate(a, 6);
  a = (a + c) | 0;
  c = ((c - b) | 0) ^ rotate(b, 8);
  b = (b + a) | 0;
  a = ((a - c) | 0) ^ rotate(c, 16);
  c = (c + b) | 0;
  b = ((b - a) | 0) ^ rotate(a, 19);
  a = (a + c) | 0;
  c = ((c - b) | 0) ^ rotate(b, 4);
  b = (b + a) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return { a, b, c };
}

/** Jenkins' 64-bit mix: four rounds of three steps. */
export function mix64(a0: bigint, b0: bigint, c0: bigint): [bigint, bigint, bigint] {
  let a = a0;
  let b = b0;
  let c = c0;
  for (const [s0, s1, s2] of mix64Shifts) {
    a = ((a - (b + c)) & mask64) ^ (c >> s0);
    b = ((b - (c + a)) & mask64) ^ ((a << s1) & mask64);
    c = ((c - (a + b)) & mask64) ^ (b >> s2);
  }
  return [a, b, c];
}

const mix64Shifts: readonly (readonly [bigint, bigint, bigint])[] = [
  [43n, 9n, 8n],
  [38n, 23n, 5n],
  [35n, 49n, 11n],
  [12n, 18n, 22n],
];

/** The two numbers that place a backend in a Maglev table. Source: v26.06 `cnat_maglev.c`. */
export function maglevHashes(addr: string, port: number): { h1: number; h2: number } {
  if (addr.length === 4) {
    const { b, c } = jenkins32(word32(addr as never, 0), port, 0);
    return { h1: c >>> 0, h2: b >>> 0 };
  }
  const bytes = Buffer.from(addr, 'latin1');
  const [, b, c] = mix64(bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8), BigInt(port));
  return { h1: Number(c & 0xffff_ffffn), h2: Number(b & 0xffff_ffffn) };
}
