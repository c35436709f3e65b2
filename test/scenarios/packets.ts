import { type Ip, ip, ipFromBytes } from '../../src/core/ip.ts';
import { unreachable } from '../../src/core/unreachable.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import {
  buildArp,
  buildIp,
  buildNeighbourMessage,
  icmpMessage,
  TcpFlag,
  tcpSegment,
  udpSegment,
} from '../../src/emulator/packet/build.ts';
import { crc32c } from '../../src/emulator/packet/crc32c.ts';
import {
  fragmentOffset,
  isFragment,
  transportChecksumRight,
} from '../../src/emulator/packet/headers.ts';

/** One side of a flow. Protocols without ports have 0. */
export interface Side {
  readonly ip: Ip;
  readonly port: number;
}

/** `icmp` is an echo and its reply, of either family. */
export type FlowProtocol = keyof typeof protocolNumbers | 'icmp';

export interface Flow {
  readonly protocol: FlowProtocol;
  readonly source: Side;
  readonly target: Side;
}

/**
 * `tcp 10.0.0.1:1 > 10.0.0.2:2`; IPv6 addresses stand in brackets. Without ports, and without
 * brackets: `icmp 10.0.0.1 > 10.0.0.2`.
 */
export function parseFlow(text: string): Flow {
  const match = /^(tcp|udp|sctp|icmp|gre|esp) (\S+) > (\S+)$/.exec(text);
  if (match === null) throw new Error(`not a flow: ${text}`);
  const [, name, source = '', target = ''] = match;
  const protocol = name as FlowProtocol;
  const side = (one: string) => (hasPorts(protocol) ? parseSide(one) : { ip: ip(one), port: 0 });
  return { protocol, source: side(source), target: side(target) };
}

function hasPorts(protocol: FlowProtocol): boolean {
  return protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp';
}

export function formatSides(flow: Flow): string {
  const side = ({ ip: address, port }: Side) => {
    if (!hasPorts(flow.protocol)) return address;
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  };
  return `${side(flow.source)} > ${side(flow.target)}`;
}

export function reverse(flow: Flow): Flow {
  return { protocol: flow.protocol, source: flow.target, target: flow.source };
}

/** Where in the life of a flow a packet stands. `again`: later, when it is open. */
export type Moment = 'first' | 'answer' | 'again';

const tcpFlags: { readonly [M in Moment]: number } = {
  first: TcpFlag.syn,
  answer: TcpFlag.syn | TcpFlag.ack,
  again: TcpFlag.psh | TcpFlag.ack,
};

/** A packet of a connection, a datagram, an echo or its reply. */
export function packetOf(flow: Flow, moment: Moment): Buffer {
  const { protocol, source, target } = flow;
  return buildIp({
    source: addrFromIp(source.ip),
    target: addrFromIp(target.ip),
    protocol: protocol === 'icmp' ? icmpOf(source.ip) : protocolNumbers[protocol],
    payload: segmentOf(flow, moment),
  });
}

const protocolNumbers = { tcp: 6, udp: 17, sctp: 132, gre: 47, esp: 50 } as const;

export function icmpOf(address: Ip): 1 | 58 {
  return address.includes(':') ? 58 : 1;
}

/** Type of an echo and of its reply: RFC 792, RFC 4443. */
const echoTypes = { 1: { echo: 8, reply: 0 }, 58: { echo: 128, reply: 129 } } as const;

function segmentOf({ protocol, source, target }: Flow, moment: Moment): Buffer {
  switch (protocol) {
    case 'tcp':
      return tcpSegment(source.port, target.port, tcpFlags[moment], new Uint8Array(0));
    case 'udp':
      return udpSegment(source.port, target.port, Buffer.from('scenario'));
    case 'sctp':
      return sctpInit(source.port, target.port);
    case 'icmp': {
      const { echo, reply } = echoTypes[icmpOf(source.ip)];
      return icmpMessage(moment === 'answer' ? reply : echo, 0, 0x00010001, Buffer.from('echo'));
    }
    // Nobody on the way looks into these. Of GRE the header says IPv4 (RFC 2784).
    case 'gre':
      return Buffer.from('0000080045', 'hex');
    case 'esp':
      return Buffer.alloc(16, 1);
    default:
      return unreachable(protocol);
  }
}

/** An INIT chunk (RFC 9260 section 3.3.2) with the checksum of section 6.8, little endian. */
function sctpInit(sourcePort: number, targetPort: number): Buffer {
  const packet = Buffer.alloc(32);
  packet.writeUInt16BE(sourcePort, 0);
  packet.writeUInt16BE(targetPort, 2);
  packet.writeUInt8(1, 12);
  packet.writeUInt16BE(20, 14);
  packet.writeUInt32BE(0x1234, 16);
  packet.writeUInt32BE(65_536, 20);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

function sctpChecksumRight(segment: Buffer): boolean {
  const copy = Buffer.from(segment);
  copy.writeUInt32LE(0, 8);
  return crc32c(copy) === segment.readUInt32LE(8);
}

/** What a host says to a packet for a closed port: RFC 9293 section 3.5.2, RFC 1122, RFC 4443. */
export function refusalOf(flow: Flow, packet: Buffer): Buffer {
  const { source, target } = reverse(flow);
  const ends = { source: addrFromIp(source.ip), target: addrFromIp(target.ip) };
  if (flow.protocol === 'tcp') {
    const flags = TcpFlag.rst | TcpFlag.ack;
    const payload = tcpSegment(source.port, target.port, flags, new Uint8Array(0));
    return buildIp({ ...ends, protocol: 6, payload });
  }
  const protocol = icmpOf(source.ip);
  // Port unreachable: type 3 code 3 (RFC 792), type 1 code 4 (RFC 4443).
  const payload = icmpMessage(protocol === 58 ? 1 : 3, protocol === 58 ? 4 : 3, 0, packet);
  return buildIp({ ...ends, protocol, payload });
}

/** What a frame carries: a flow, a fragment, an ICMP message that is no echo, or something else. */
export type Seen =
  | {
      readonly kind: 'flow';
      readonly flow: Flow;
      readonly checksumRight: boolean;
      readonly packet: Buffer;
    }
  | { readonly kind: 'first fragment' | 'later fragment'; readonly from: Ip; readonly to: Ip }
  | { readonly kind: 'error'; readonly from: Ip; readonly to: Ip }
  | { readonly kind: 'message'; readonly type: number; readonly from: Ip; readonly to: Ip }
  | { readonly kind: 'other' };

export function readFrame(frame: Buffer): Seen {
  const l3 = frame.subarray(14);
  const etherType = frame.readUInt16BE(12);
  const six = etherType === 0x86dd;
  if (!six && etherType !== 0x0800) return { kind: 'other' };
  const [from, to] = six
    ? [ipFromBytes(l3.subarray(8, 24)), ipFromBytes(l3.subarray(24, 40))]
    : [ipFromBytes(l3.subarray(12, 16)), ipFromBytes(l3.subarray(16, 20))];
  const family = six ? 6 : 4;
  if (isFragment(l3, family)) {
    const kind = fragmentOffset(l3, family) === 0 ? 'first fragment' : 'later fragment';
    return { kind, from, to };
  }
  const length = six ? 40 + l3.readUInt16BE(4) : l3.readUInt16BE(2);
  return readWhole(l3.subarray(0, length), six, { from, to });
}

function readWhole(l3: Buffer, six: boolean, ends: { readonly from: Ip; readonly to: Ip }): Seen {
  const number = (six ? l3[6] : l3[9]) ?? 0;
  const at = six ? 40 : ((l3[0] ?? 0) & 15) * 4;
  const protocol = nameOf(number, l3[at] ?? 0);
  if (protocol !== undefined) {
    const port = (offset: number) => (hasPorts(protocol) ? l3.readUInt16BE(at + offset) : 0);
    const flow: Flow = {
      protocol,
      source: { ip: ends.from, port: port(0) },
      target: { ip: ends.to, port: port(2) },
    };
    const checksumRight =
      protocol === 'sctp'
        ? sctpChecksumRight(l3.subarray(at))
        : transportChecksumRight(l3, six ? 6 : 4);
    return { kind: 'flow', flow, checksumRight, packet: l3 };
  }
  if (number !== 1 && number !== 58) return { kind: 'other' };
  const type = l3[at] ?? 0;
  const isError = number === 58 ? type < 128 : type === 3;
  return isError ? { kind: 'error', ...ends } : { kind: 'message', type, ...ends };
}

function nameOf(number: number, icmpType: number): FlowProtocol | undefined {
  if (number === 1 || number === 58) {
    const { echo, reply } = echoTypes[number];
    return icmpType === echo || icmpType === reply ? 'icmp' : undefined;
  }
  const known = Object.entries(protocolNumbers).find(([, one]) => one === number);
  return known?.[0] as FlowProtocol | undefined;
}

/** The answer to a request for a link address, or undefined when the frame is none. */
export function answerNeighbour(frame: Buffer, mac: string): Buffer | undefined {
  const body = frame.subarray(14);
  const etherType = frame.readUInt16BE(12);
  const asker = frame.toString('latin1', 6, 12);
  const own = macBytes(mac).toString('latin1');
  if (etherType === 0x0806 && body.readUInt16BE(6) === 1) {
    const arp = buildArp({
      operation: 2,
      senderMac: own as never,
      senderAddr: body.toString('latin1', 24, 28) as never,
      targetMac: asker as never,
      targetAddr: body.toString('latin1', 14, 18) as never,
    });
    return frameOf(asker, own, 0x0806, arp);
  }
  if (etherType !== 0x86dd || body[6] !== 58 || body[40] !== 135) return undefined;
  const target = body.toString('latin1', 48, 64);
  const message = buildNeighbourMessage({
    type: 136,
    source: target as never,
    destination: body.toString('latin1', 8, 24) as never,
    target: target as never,
    mac: own as never,
  });
  return frameOf(asker, own, 0x86dd, message);
}

/** An IP packet in a frame to `target` from `source`, both as `aa:bb:…`. */
export function frameIp(l3: Buffer, target: string, source: string): Buffer {
  const etherType = (l3[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800;
  const text = (mac: string) => macBytes(mac).toString('latin1');
  return frameOf(text(target), text(source), etherType, l3);
}

function frameOf(target: string, source: string, etherType: number, body: Buffer): Buffer {
  const frame = Buffer.alloc(Math.max(60, 14 + body.length));
  frame.write(target, 0, 'latin1');
  frame.write(source, 6, 'latin1');
  frame.writeUInt16BE(etherType, 12);
  body.copy(frame, 14);
  return frame;
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function parseSide(text: string): Side {
  const colon = text.lastIndexOf(':');
  return {
    ip: ip(text.slice(0, colon).replaceAll(/[[\]]/g, '')),
    port: Number(text.slice(colon + 1)),
  };
}
