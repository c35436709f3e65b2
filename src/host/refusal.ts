import { type Family, type Ip, ipBytes, ipFromBytes } from '../core/ip.ts';

/**
 * The answer to a packet that a policy denies: ICMP destination unreachable, administratively
 * prohibited, as kube-router's REJECT sends it.
 *
 * Linux ends a connect() by it at once: EHOSTUNREACH ("No route to host") for IPv4, EACCES
 * ("Permission denied") for IPv6 (seen; `icmp_err_convert`, `icmpv6_err_convert`). A reset would
 * do so, too, but it is a packet of the flow, which the client's own filters drop when they have
 * no session of it; errors of ICMP pass every filter (np-icmp).
 */
export interface RefusalOptions {
  /** The node's own address of each family: who says so. */
  readonly from: Readonly<Partial<Record<Family, Ip>>>;
  /**
   * Where the client sent the packet, when VPP has translated it since: the client knows an error
   * by the packet inside, and VPP, which forgets a flow that it drops, translates that no more.
   */
  readonly sentTo?: { readonly ip: Ip; readonly port: number };
}

/** A whole IP packet, and who gets it. */
export interface Refusal {
  readonly packet: Buffer;
  readonly to: Ip;
}

/**
 * Undefined for what is not answered: anything but the first packet of a TCP connection and
 * datagrams of UDP, later fragments, IPv6 extension headers, and what is to or from no single
 * host (RFC 1122 section 3.2.2, RFC 4443 section 2.4). `packet` begins with its IP header.
 */
export function refusalOf(packet: Buffer, options: RefusalOptions): Refusal | undefined {
  const told = readPacket(packet);
  if (told === undefined || !isAnswered(told)) return undefined;
  const { family, source } = told;
  const from = options.from[family];
  if (from === undefined || from === source) return undefined;
  const inside = Buffer.from(told.bytes.subarray(0, insideMax[family]));
  if (options.sentTo !== undefined) putBack(inside, told, options.sentTo);
  const answer = family === 4 ? answer4(from, source, inside) : answer6(from, source, inside);
  return { packet: answer, to: source };
}

/** What of the packet fits: 576 bytes in all (RFC 1812 section 4.3.2.3), 1,280 (RFC 4443). */
const insideMax = { 4: 576 - 28, 6: 1280 - 48 } as const;

interface Told {
  readonly bytes: Buffer;
  readonly family: Family;
  readonly protocol: number;
  /** Where TCP or UDP begins. */
  readonly at: number;
  readonly source: Ip;
  readonly destination: Ip;
}

const tcp = 6;
const udp = 17;

function readPacket(bytes: Buffer): Told | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4 && bytes.length >= 20) {
    const at = ((bytes[0] ?? 0) & 15) * 4;
    const isLater = (bytes.readUInt16BE(6) & 0x1fff) !== 0;
    if (at < 20 || isLater) return undefined;
    const [source, destination] = [ipFromBytes(bytes.subarray(12, 16)), ip4At(bytes, 16)];
    return { bytes, family: 4, protocol: bytes[9] ?? 0, at, source, destination };
  }
  if (version !== 6 || bytes.length < 40) return undefined;
  const [source, destination] = [ipFromBytes(bytes.subarray(8, 24)), ip6At(bytes, 24)];
  return { bytes, family: 6, protocol: bytes[6] ?? 0, at: 40, source, destination };
}

const ip4At = (bytes: Buffer, at: number) => ipFromBytes(bytes.subarray(at, at + 4));
const ip6At = (bytes: Buffer, at: number) => ipFromBytes(bytes.subarray(at, at + 16));

function isAnswered({ bytes, family, protocol, at, source, destination }: Told): boolean {
  if (!isHost(source, family) || !isHost(destination, family)) return false;
  if (protocol === udp) return bytes.length >= at + 8;
  return protocol === tcp && bytes.length >= at + 20 && opens(bytes[at + 13] ?? 0);
}

/** SYN, and none of FIN, RST and ACK. */
function opens(flags: number): boolean {
  return (flags & 0x17) === 0x02;
}

/** False for unspecified, loopback, multicast and broadcast addresses, and those without use. */
function isHost(address: Ip, family: Family): boolean {
  const bytes = ipBytes(address);
  const [first = 0] = bytes;
  if (family === 4) return first !== 0 && first !== 127 && first < 224;
  const isLow = bytes.subarray(0, 15).every((byte) => byte === 0);
  return first !== 0xff && !isLow;
}

/** Puts the address and port of the client's own packet into it, and the checksums right. */
function putBack(
  inside: Buffer,
  { family, protocol, at }: Told,
  sentTo: { readonly ip: Ip; readonly port: number },
): void {
  const addressAt = family === 4 ? 16 : 24;
  const port = Buffer.alloc(2);
  port.writeUInt16BE(sentTo.port);
  const sumAt = at + (protocol === tcp ? 16 : 6);
  // A UDP checksum of 0 says that there is none (RFC 768).
  const hasSum = protocol === tcp || inside.readUInt16BE(sumAt) !== 0;
  const sums = [...(family === 4 ? [10] : []), ...(hasSum ? [sumAt] : [])];
  replace(inside, { at: addressAt, by: ipBytes(sentTo.ip), sums });
  replace(inside, { at: at + 2, by: port, sums: hasSum ? [sumAt] : [] });
}

/** Overwrites bytes in pairs; the checksums at `sums` follow (RFC 1624, equation 3). */
function replace(
  packet: Buffer,
  { at, by, sums }: { at: number; by: Uint8Array; sums: readonly number[] },
): void {
  const after = Buffer.from(by);
  for (let i = 0; i < after.length; i += 2) {
    const was = packet.readUInt16BE(at + i);
    const is = after.readUInt16BE(i);
    for (const sumAt of sums) {
      const sum = (~packet.readUInt16BE(sumAt) & 0xffff) + (~was & 0xffff) + is;
      packet.writeUInt16BE(~fold(sum) & 0xffff, sumAt);
    }
    packet.writeUInt16BE(is, at + i);
  }
}

/** Linux sends its own errors with precedence "internetwork control" (RFC 1812 section 4.3.2.5). */
const internetworkControl = 0xc0;
const hops = 64;
const icmp = 1;
const icmp6 = 58;

/** RFC 792 and RFC 1812 section 5.2.7.1: type 3, code 13. */
function answer4(from: Ip, to: Ip, inside: Buffer): Buffer {
  const packet = Buffer.alloc(28 + inside.length);
  packet.set([0x45, internetworkControl]);
  packet.writeUInt16BE(packet.length, 2);
  packet.set([hops, icmp], 8);
  packet.set(ipBytes(from), 12);
  packet.set(ipBytes(to), 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.set([3, 13], 20);
  packet.set(inside, 28);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

/** RFC 4443 section 3.1: type 1, code 1. */
function answer6(from: Ip, to: Ip, inside: Buffer): Buffer {
  const packet = Buffer.alloc(48 + inside.length);
  packet[0] = 0x60;
  packet.writeUInt16BE(packet.length - 40, 4);
  packet.set([icmp6, hops], 6);
  packet.set(ipBytes(from), 8);
  packet.set(ipBytes(to), 24);
  packet.set([1, 1], 40);
  packet.set(inside, 48);
  // RFC 8200 section 8.1: over both addresses, the length and the protocol, too.
  const more = packet.length - 40 + icmp6;
  packet.writeUInt16BE(checksum(packet.subarray(8), more), 42);
  return packet;
}

/** RFC 1071, over `bytes` and a number before them. */
function checksum(bytes: Buffer, more = 0): number {
  let sum = more;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  if (bytes.length % 2 === 1) sum += (bytes.at(-1) ?? 0) << 8;
  return ~fold(sum) & 0xffff;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}
