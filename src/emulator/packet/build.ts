import { type Addr, addrFamily, type Mac, writeAddr } from '../address.ts';
import {
  EtherType,
  ethernetHeaderBytes,
  ip4HeaderBytes,
  ip6HeaderBytes,
  Protocol,
  writeIp4Checksum,
  writeTransportChecksum,
} from './headers.ts';

/** Bytes kept free before every packet that we build, for an Ethernet header. */
export const headroomBytes = ethernetHeaderBytes;

/** A buffer for a packet of `length` bytes with room for an Ethernet header before it. */
export function allocatePacket(length: number): Buffer {
  return Buffer.alloc(headroomBytes + length).subarray(headroomBytes);
}

export interface IpFields {
  readonly source: Addr;
  readonly target: Addr;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly hopLimit?: number;
  readonly dontFragment?: boolean;
  readonly id?: number;
  readonly trafficClass?: number;
}

/** An IP packet around `payload`, with headroom; the transport checksum is filled in. */
export function buildIp(fields: IpFields): Buffer {
  const family = addrFamily(fields.source);
  const start = family === 4 ? ip4HeaderBytes : ip6HeaderBytes;
  const l3 = allocatePacket(start + fields.payload.length);
  l3.set(fields.payload, start);
  writeIpHeader(l3, fields);
  writeTransportChecksum(l3, family);
  return l3;
}

/** Writes the IP header in front of a payload that is already in place. */
export function writeIpHeader(l3: Buffer, fields: Omit<IpFields, 'payload'>): void {
  const hopLimit = fields.hopLimit ?? 64;
  const trafficClass = fields.trafficClass ?? 0;
  if (addrFamily(fields.source) === 4) {
    l3[0] = 0x45;
    l3[1] = trafficClass;
    l3.writeUInt16BE(l3.length, 2);
    l3.writeUInt16BE(fields.id ?? 0, 4);
    l3.writeUInt16BE(fields.dontFragment ? 0x4000 : 0, 6);
    l3[8] = hopLimit;
    l3[9] = fields.protocol;
    writeAddr(l3, 12, fields.source);
    writeAddr(l3, 16, fields.target);
    writeIp4Checksum(l3);
    return;
  }
  l3.writeUInt32BE(((6 << 28) | (trafficClass << 20)) >>> 0, 0);
  l3.writeUInt16BE(l3.length - ip6HeaderBytes, 4);
  l3[6] = fields.protocol;
  l3[7] = hopLimit;
  writeAddr(l3, 8, fields.source);
  writeAddr(l3, 24, fields.target);
}

export function udpSegment(sourcePort: number, targetPort: number, payload: Uint8Array): Buffer {
  const segment = Buffer.alloc(8 + payload.length);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(targetPort, 2);
  segment.writeUInt16BE(segment.length, 4);
  segment.set(payload, 8);
  return segment;
}

/** TCP flag bits (RFC 793). */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

export function tcpSegment(
  sourcePort: number,
  targetPort: number,
  flags: number,
  payload: Uint8Array,
): Buffer {
  const segment = Buffer.alloc(20 + payload.length);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(targetPort, 2);
  segment[12] = 0x50;
  segment[13] = flags;
  segment.writeUInt16BE(65535, 14);
  segment.set(payload, 20);
  return segment;
}

/** An ICMP or ICMPv6 message: type, code, the four bytes after the checksum, and the rest. */
export function icmpMessage(type: number, code: number, word: number, rest: Uint8Array): Buffer {
  const message = Buffer.alloc(8 + rest.length);
  message[0] = type;
  message[1] = code;
  message.writeUInt32BE(word >>> 0, 4);
  message.set(rest, 8);
  return message;
}

/** An Ethernet frame around a copy of `payload`. */
export function buildFrame(
  target: Mac,
  source: Mac,
  etherType: number,
  payload: Uint8Array,
): Buffer {
  const frame = Buffer.alloc(ethernetHeaderBytes + payload.length);
  frame.write(target, 0, 'latin1');
  frame.write(source, 6, 'latin1');
  frame.writeUInt16BE(etherType, 12);
  frame.set(payload, ethernetHeaderBytes);
  return frame;
}

/** The bytes of a packet with its Ethernet header, in place when there is headroom. */
export function frameInPlace(l3: Buffer, target: Mac, source: Mac): Buffer {
  const etherType = (l3[0] ?? 0) >> 4 === 6 ? EtherType.ip6 : EtherType.ip4;
  if (l3.byteOffset < headroomBytes) return buildFrame(target, source, etherType, l3);
  const frame = Buffer.from(l3.buffer, l3.byteOffset - headroomBytes, l3.length + headroomBytes);
  for (let i = 0; i < 6; i++) {
    frame[i] = target.charCodeAt(i);
    frame[6 + i] = source.charCodeAt(i);
  }
  frame.writeUInt16BE(etherType, 12);
  return frame;
}

export interface ArpFields {
  readonly operation: 1 | 2;
  readonly senderMac: Mac;
  readonly senderAddr: Addr;
  readonly targetMac: Mac;
  readonly targetAddr: Addr;
}

/** The 28 bytes of an ARP packet for IPv4 over Ethernet (RFC 826). */
export function buildArp(fields: ArpFields): Buffer {
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(EtherType.ip4, 2);
  arp[4] = 6;
  arp[5] = 4;
  arp.writeUInt16BE(fields.operation, 6);
  arp.write(fields.senderMac, 8, 'latin1');
  arp.write(fields.senderAddr, 14, 'latin1');
  arp.write(fields.targetMac, 18, 'latin1');
  arp.write(fields.targetAddr, 24, 'latin1');
  return arp;
}

/** Neighbour solicitation (135) or advertisement (136) with the link-layer option (RFC 4861). */
export function buildNeighbourMessage(fields: {
  readonly type: 135 | 136;
  readonly source: Addr;
  readonly destination: Addr;
  readonly target: Addr;
  readonly mac: Mac;
}): Buffer {
  const rest = Buffer.alloc(24);
  rest.write(fields.target, 0, 'latin1');
  rest[16] = fields.type === 135 ? 1 : 2;
  rest[17] = 1;
  rest.write(fields.mac, 18, 'latin1');
  // Solicited and override, as an answer to a solicitation (RFC 4861 section 7.2.4).
  const word = fields.type === 136 ? 0x60000000 : 0;
  return buildIp({
    source: fields.source,
    target: fields.destination,
    protocol: Protocol.icmp6,
    hopLimit: 255,
    payload: icmpMessage(fields.type, 0, word, rest),
  });
}
