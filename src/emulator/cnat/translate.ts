import type { Family } from '../address.ts';
import { readAddr, writeAddr } from '../address.ts';
import { TcpFlag } from '../packet/build.ts';
import { checksumOf, sumAddr, sumWords, updateChecksum } from '../packet/checksum.ts';
import { crc32c } from '../packet/crc32c.ts';
import { isEcho, isIcmp4Error, isIcmp6CnatError, Protocol } from '../packet/headers.ts';
import type { Flow, Tuple } from './flow.ts';

/**
 * Rewrites a packet to a five-tuple, in place, checksums by increments.
 *
 * An ICMP error is translated twice: its own addresses, and the packet that it quotes, whose
 * direction is the other one. Source: VPP v26.06 `cnat_node.h`, `cnat_translation_*`.
 */
export function translatePacket(
  l3: Buffer,
  family: Family,
  tuple: Tuple,
  flow: Flow,
  tcpMaxAgeSeconds: number,
): void {
  const header = family === 4 ? 20 : 40;
  const protocol = (family === 4 ? l3[9] : l3[6]) ?? 0;
  switch (protocol) {
    case Protocol.tcp:
      rewriteTransport(l3, family, 0, tuple, 16);
      updateTcpLifetime(l3[header + 13] ?? 0, flow, tcpMaxAgeSeconds);
      return;
    case Protocol.udp:
      rewriteTransport(l3, family, 0, tuple, 6);
      return;
    case Protocol.sctp:
      // VPP has no IPv6 branch for SCTP (facts: read in the source).
      if (family === 4) rewriteSctp(l3, tuple);
      return;
    case Protocol.icmp:
    case Protocol.icmp6:
      rewriteIcmp(l3, family, tuple);
      return;
    default:
  }
}

/** SYN+ACK makes a connection long-lived, FIN or RST ends it soon. */
function updateTcpLifetime(flags: number, flow: Flow, tcpMaxAgeSeconds: number): void {
  if ((flags & (TcpFlag.syn | TcpFlag.ack)) === (TcpFlag.syn | TcpFlag.ack))
    flow.lifetime = tcpMaxAgeSeconds;
  else if (flags & (TcpFlag.fin | TcpFlag.rst)) flow.lifetime = closedSeconds;
}

/** Lifetime of a connection after FIN or RST. */
const closedSeconds = 5;

/** Addresses, ports and both checksums of the IP packet that starts at `at`. */
function rewriteTransport(
  l3: Buffer,
  family: Family,
  at: number,
  tuple: Tuple,
  checksumAt: number,
): void {
  const header = family === 4 ? 20 : 40;
  const body = at + header;
  const addrs = addressRange(family, at);
  const before = sumWords(l3, addrs.from, addrs.to);
  const portsBefore = sumWords(l3, body, body + 4);
  writeAddresses(l3, family, at, tuple);
  l3.writeUInt16BE(tuple.sourcePort, body);
  l3.writeUInt16BE(tuple.targetPort, body + 2);
  const after = sumAddr(tuple.source) + sumAddr(tuple.target);
  if (family === 4) patchChecksum(l3, at + 10, before, after);
  const field = body + checksumAt;
  // An inner packet of an ICMP error may be cut before its checksum.
  if (field + 2 > l3.length) return;
  const isUdp = checksumAt === 6;
  if (isUdp && l3.readUInt16BE(field) === 0) return;
  patchChecksum(l3, field, before + portsBefore, after + tuple.sourcePort + tuple.targetPort);
  if (isUdp && l3.readUInt16BE(field) === 0) l3.writeUInt16BE(0xffff, field);
}

function rewriteSctp(l3: Buffer, tuple: Tuple): void {
  const before = sumWords(l3, 12, 20);
  writeAddresses(l3, 4, 0, tuple);
  patchChecksum(l3, 10, before, sumAddr(tuple.source) + sumAddr(tuple.target));
  l3.writeUInt16BE(tuple.sourcePort, 20);
  l3.writeUInt16BE(tuple.targetPort, 22);
  if (l3.length < 32) return;
  // RFC 9260 appendix A: CRC32c over the packet with the field zero, sent least byte first.
  l3.writeUInt32LE(0, 28);
  l3.writeUInt32LE(crc32c(l3.subarray(20)), 28);
}

function rewriteIcmp(l3: Buffer, family: Family, tuple: Tuple): void {
  const body = family === 4 ? 20 : 40;
  const type = l3[body] ?? 0;
  if (isEcho(type, family)) rewriteEcho(l3, family, 0, tuple);
  else if (family === 4 ? isIcmp4Error(type) : isIcmp6CnatError(type))
    rewriteIcmpError(l3, family, tuple);
}

function rewriteEcho(l3: Buffer, family: Family, at: number, tuple: Tuple): void {
  const body = at + (family === 4 ? 20 : 40);
  const addrs = addressRange(family, at);
  const before = sumWords(l3, addrs.from, addrs.to);
  const idBefore = l3.readUInt16BE(body + 4);
  writeAddresses(l3, family, at, tuple);
  // The identifier stands in both ports; the source port is the one a rewrite changes.
  l3.writeUInt16BE(tuple.sourcePort, body + 4);
  const after = sumAddr(tuple.source) + sumAddr(tuple.target);
  if (family === 4) {
    patchChecksum(l3, at + 10, before, after);
    patchChecksum(l3, body + 2, idBefore, tuple.sourcePort);
  } else {
    patchChecksum(l3, body + 2, before + idBefore, after + tuple.sourcePort);
  }
}

function rewriteIcmpError(l3: Buffer, family: Family, tuple: Tuple): void {
  const header = family === 4 ? 20 : 40;
  const inner = header + 8;
  const length = family === 4 ? 4 : 16;
  const outerSource = readAddr(l3, family === 4 ? 12 : 8, length);
  const innerTarget = readAddr(l3, inner + (family === 4 ? 16 : 24), length);
  // The reporter keeps its address unless it is the very host that the flow talked to.
  const outer = outerSource === innerTarget ? tuple : { ...tuple, source: outerSource };
  rewriteInner(l3, family, inner, {
    source: tuple.target,
    target: tuple.source,
    sourcePort: tuple.targetPort,
    targetPort: tuple.sourcePort,
    protocol: tuple.protocol,
  });
  const before = sumWords(l3, ...range(addressRange(family, 0)));
  writeAddresses(l3, family, 0, outer);
  const after = sumAddr(outer.source) + sumAddr(outer.target);
  if (family === 4) patchChecksum(l3, 10, before, after);
  l3.writeUInt16BE(0, header + 2);
  const pseudo = family === 4 ? 0 : after + Protocol.icmp6 + (l3.length - header);
  l3.writeUInt16BE(checksumOf(sumWords(l3, header, l3.length, pseudo)), header + 2);
}

function rewriteInner(l3: Buffer, family: Family, at: number, tuple: Tuple): void {
  const protocol = (family === 4 ? l3[at + 9] : l3[at + 6]) ?? 0;
  if (protocol === Protocol.tcp) rewriteTransport(l3, family, at, tuple, 16);
  else if (protocol === Protocol.udp) rewriteTransport(l3, family, at, tuple, 6);
  else if (protocol === Protocol.icmp || protocol === Protocol.icmp6)
    rewriteEcho(l3, family, at, tuple);
}

function addressRange(family: Family, at: number): { from: number; to: number } {
  return family === 4 ? { from: at + 12, to: at + 20 } : { from: at + 8, to: at + 40 };
}

function range(value: { from: number; to: number }): [number, number] {
  return [value.from, value.to];
}

function writeAddresses(l3: Buffer, family: Family, at: number, tuple: Tuple): void {
  writeAddr(l3, at + (family === 4 ? 12 : 8), tuple.source);
  writeAddr(l3, at + (family === 4 ? 16 : 24), tuple.target);
}

function patchChecksum(l3: Buffer, at: number, before: number, after: number): void {
  l3.writeUInt16BE(updateChecksum(l3.readUInt16BE(at), before, after), at);
}
