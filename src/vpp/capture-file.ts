import { type Ip, ipFromBytes } from '../core/ip.ts';

/**
 * Reads what VPP captured of dropped packets.
 *
 * The file is libpcap's, in the byte order of the machine. VPP appends `<node>: <reason>` to each
 * packet whose last buffer has room for it, which those up to some 1,900 bytes have; others
 * cannot be told and are left out. Source: VPP v26.06 `vnet/interface_output.c`,
 * `pcap_drop_trace`; looked at on a running VPP.
 */
export interface DeniedPacket {
  /** Of the interface whose filter denied it: `input` is what the interface received. */
  readonly direction: 'input' | 'output';
  readonly source: Ip;
  readonly destination: Ip;
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`, or the protocol's number. */
  readonly protocol: string;
  /** Undefined of fragments after the first, and of protocols without ports. */
  readonly sourcePort: number | undefined;
  /** Of the destination; of ICMP the type. */
  readonly port: number | undefined;
  /** `aa:bb:cc:dd:ee:ff`: of a packet that was received, as it came; otherwise of the next hop. */
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** The packet, from its IP header on; as it was when it was dropped, so translated already. */
  readonly bytes: Buffer;
}

const fileHeaderBytes = 24;
const recordHeaderBytes = 16;
/** pcap(5), little endian, microseconds. */
const magic = 0xa1b2c3d4;

/** The packets that filters denied; of a file that is cut short, those that are whole. */
export function readDenied(file: Buffer): DeniedPacket[] {
  if (file.length < fileHeaderBytes || file.readUInt32LE(0) !== magic) return [];
  const found: DeniedPacket[] = [];
  let at = fileHeaderBytes;
  while (at + recordHeaderBytes <= file.length) {
    const stored = file.readUInt32LE(at + 8);
    const start = at + recordHeaderBytes;
    const packet = readRecord(file.subarray(start, start + stored));
    if (start + stored <= file.length && packet !== undefined) found.push(packet);
    at = start + stored;
  }
  return found;
}

const denied = /acl-plugin-(in|out)-ip([46])-fa: ACL deny packets$/;
const deniedBytesMax = 40;

function readRecord(record: Buffer): DeniedPacket | undefined {
  const said = denied.exec(record.toString('latin1', Math.max(0, record.length - deniedBytesMax)));
  if (said === null) return undefined;
  const direction = said[1] === 'in' ? 'input' : 'output';
  const frame = record.subarray(0, record.length - said[0].length);
  const at = frameStart(frame, said[2] === '6' ? 6 : 4);
  return at === undefined ? undefined : readFrame(frame.subarray(at), direction);
}

const ethernetBytes = 14;
/** What may stand before the frame: Ethernet and IP headers, of IPv6 at most. */
const outerBytesMax = 96;

/**
 * Where the Ethernet header begins that belongs to the packet.
 *
 * Mostly at 0. Of a packet that came by a tunnel and leaves by an interface VPP shows the outer
 * headers, of which the last 14 bytes are overwritten by the new Ethernet header.
 */
function frameStart(frame: Buffer, family: 4 | 6): number | undefined {
  for (let at = 0; at <= outerBytesMax; at += 2) if (isWhole(frame.subarray(at), family)) return at;
  return undefined;
}

const tunnelProtocols: readonly number[] = [4, 41, 47];

function isWhole(frame: Buffer, family: 4 | 6): boolean {
  const l3 = frame.subarray(ethernetBytes);
  const smallest = family === 4 ? 20 : 40;
  if (l3.length < smallest || (l3[0] ?? 0) >> 4 !== family) return false;
  if (frame.readUInt16BE(12) !== (family === 4 ? 0x0800 : 0x86dd)) return false;
  // Ethernet may have filled the frame up, so there may be more than the packet.
  if (family === 4) return l3.readUInt16BE(2) <= l3.length && headerSum(l3) === 0xffff;
  if (40 + l3.readUInt16BE(4) > l3.length) return false;
  // IPv6 has no checksum: a header that VPP wrote over shows by another one inside of it.
  return !(tunnelProtocols.includes(l3[6] ?? 0) && isWholeInside(frame));
}

function isWholeInside(frame: Buffer): boolean {
  // Behind 40 bytes of IPv6, or 44 with GRE, whose last 14 were written over.
  return [40, 44].some((at) => isWhole(frame.subarray(at), 4) || isWhole(frame.subarray(at), 6));
}

/** RFC 1071; 0xffff where nothing was written over the header. */
function headerSum(l3: Buffer): number {
  const bytes = ((l3[0] ?? 0) & 15) * 4;
  let sum = 0;
  for (let i = 0; i + 1 < bytes && i + 1 < l3.length; i += 2) sum += l3.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

function readFrame(frame: Buffer, direction: DeniedPacket['direction']): DeniedPacket {
  const filled = frame.subarray(ethernetBytes);
  const v6 = (filled[0] ?? 0) >> 4 === 6;
  const l3 = filled.subarray(0, v6 ? 40 + filled.readUInt16BE(4) : filled.readUInt16BE(2));
  const { protocol, at, later } = v6 ? transport6(l3) : transport4(l3);
  const isIcmp = protocol === (v6 ? 58 : 1);
  const hasPorts = !later && [6, 17, 132].includes(protocol) && l3.length >= at + 4;
  const hasType = !later && isIcmp && l3.length > at;
  return {
    direction,
    source: ipFromBytes(v6 ? l3.subarray(8, 24) : l3.subarray(12, 16)),
    destination: ipFromBytes(v6 ? l3.subarray(24, 40) : l3.subarray(16, 20)),
    protocol: isIcmp ? (v6 ? 'ICMPv6' : 'ICMP') : (protocolNames[protocol] ?? String(protocol)),
    sourcePort: hasPorts ? l3.readUInt16BE(at) : undefined,
    port: hasPorts ? l3.readUInt16BE(at + 2) : hasType ? l3[at] : undefined,
    destinationMac: macText(frame, 0),
    sourceMac: macText(frame, 6),
    bytes: l3,
  };
}

const protocolNames: Readonly<Record<number, string>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

interface Transport {
  readonly protocol: number;
  readonly at: number;
  /** A fragment after the first. */
  readonly later: boolean;
}

function transport4(l3: Buffer): Transport {
  const later = (l3.readUInt16BE(6) & 0x1fff) !== 0;
  return { protocol: l3[9] ?? 0, at: ((l3[0] ?? 0) & 15) * 4, later };
}

/** Extension headers that say where the next one begins (RFC 8200 section 4). */
const extensions: readonly number[] = [0, 43, 44, 60];

function transport6(l3: Buffer): Transport {
  let protocol = l3[6] ?? 0;
  let at = 40;
  let later = false;
  while (extensions.includes(protocol) && at + 8 <= l3.length) {
    const isFragment = protocol === 44;
    if (isFragment) later = (l3.readUInt16BE(at + 2) & 0xfff8) !== 0;
    protocol = l3[at] ?? 0;
    at += isFragment ? 8 : ((l3[at + 1] ?? 0) + 1) * 8;
    if (later) break;
  }
  return { protocol, at, later };
}

function macText(frame: Buffer, at: number): string {
  return [...frame.subarray(at, at + 6)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}
