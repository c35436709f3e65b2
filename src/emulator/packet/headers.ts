import { type Addr, type Family, readAddr } from '../address.ts';
import { checksumOf, sumPseudoHeader, sumWords } from './checksum.ts';

/** IANA protocol numbers that the data plane knows. */
export const Protocol = {
  hopByHop: 0,
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  fragment: 44,
  gre: 47,
  icmp6: 58,
  sctp: 132,
} as const;

export const EtherType = { ip4: 0x0800, arp: 0x0806, ip6: 0x86dd } as const;

export const ip4HeaderBytes = 20;
export const ip6HeaderBytes = 40;
export const ethernetHeaderBytes = 14;

export function familyOfHeader(l3: Buffer): Family {
  return (l3[0] ?? 0) >> 4 === 6 ? 6 : 4;
}

export function sourceOf(l3: Buffer, family: Family): Addr {
  return family === 4 ? readAddr(l3, 12, 4) : readAddr(l3, 8, 16);
}

export function targetOf(l3: Buffer, family: Family): Addr {
  return family === 4 ? readAddr(l3, 16, 4) : readAddr(l3, 24, 16);
}

export function protocolOf(l3: Buffer, family: Family): number {
  return (family === 4 ? l3[9] : l3[6]) ?? 0;
}

/** Where the payload starts. VPP's cnat assumes an IPv4 header without options; so do we there. */
export function headerBytes(l3: Buffer, family: Family): number {
  return family === 4 ? ((l3[0] ?? 0) & 15) * 4 : ip6HeaderBytes;
}

export function hopLimitOf(l3: Buffer, family: Family): number {
  return (family === 4 ? l3[8] : l3[7]) ?? 0;
}

export function dontFragment(l3: Buffer): boolean {
  return ((l3[6] ?? 0) & 0x40) !== 0;
}

/** True for any fragment, the first included. */
export function isFragment(l3: Buffer, family: Family): boolean {
  return family === 4 ? (l3.readUInt16BE(6) & 0x3fff) !== 0 : l3[6] === Protocol.fragment;
}

/** Offset of a fragment's payload in the whole, bytes; 0 for what is not a fragment. */
export function fragmentOffset(l3: Buffer, family: Family): number {
  if (family === 4) return (l3.readUInt16BE(6) & 0x1fff) * 8;
  return l3[6] === Protocol.fragment && l3.length >= 44 ? l3.readUInt16BE(42) & 0xfff8 : 0;
}

export function isIcmp4Error(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 6 || type === 11 || type === 12;
}

/** VPP leaves out "packet too big" (2) for cnat. Source: v26.06 `cnat_node.h`. */
export function isIcmp6CnatError(type: number): boolean {
  return type === 1 || type === 3 || type === 4;
}

export function isEcho(type: number, family: Family): boolean {
  return family === 4 ? type === 8 || type === 0 : type === 128 || type === 129;
}

export function writeIp4Checksum(l3: Buffer): void {
  l3[10] = 0;
  l3[11] = 0;
  l3.writeUInt16BE(checksumOf(sumWords(l3, 0, ((l3[0] ?? 0) & 15) * 4)), 10);
}

/** Offset of the checksum inside a transport header, or undefined when we know none. */
export function checksumOffset(protocol: number): number | undefined {
  switch (protocol) {
    case Protocol.tcp:
      return 16;
    case Protocol.udp:
      return 6;
    case Protocol.icmp:
    case Protocol.icmp6:
      return 2;
    default:
      return undefined;
  }
}

/** True when TCP, UDP or ICMP carry a right checksum; also for what has none. */
export function transportChecksumRight(l3: Buffer, family: Family): boolean {
  const start = headerBytes(l3, family);
  const protocol = protocolOf(l3, family);
  const at = checksumOffset(protocol);
  if (at === undefined || start + at + 2 > l3.length) return true;
  if (protocol === Protocol.udp && l3.readUInt16BE(start + 6) === 0) return family === 4;
  return checksumOf(sumWords(l3, start, l3.length, pseudoSum(l3, family, protocol, start))) === 0;
}

/** Recomputes the transport checksum of a whole packet. */
export function writeTransportChecksum(l3: Buffer, family: Family): void {
  const start = headerBytes(l3, family);
  const protocol = protocolOf(l3, family);
  const at = checksumOffset(protocol);
  if (at === undefined || start + at + 2 > l3.length) return;
  l3.writeUInt16BE(0, start + at);
  const sum = sumWords(l3, start, l3.length, pseudoSum(l3, family, protocol, start));
  const checksum = checksumOf(sum);
  l3.writeUInt16BE(checksum === 0 && protocol === Protocol.udp ? 0xffff : checksum, start + at);
}

function pseudoSum(l3: Buffer, family: Family, protocol: number, start: number): number {
  if (protocol === Protocol.icmp) return 0;
  return sumPseudoHeader(sourceOf(l3, family), targetOf(l3, family), protocol, l3.length - start);
}
