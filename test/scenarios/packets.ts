import { type Ip, ip, ipFromBytes } from '../../src/core/ip.ts';
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
import { transportChecksumRight } from '../../src/emulator/packet/headers.ts';

/** One side of a flow. */
export interface Side {
  readonly ip: Ip;
  readonly port: number;
}

export type FlowProtocol = 'tcp' | 'udp' | 'sctp';

export interface Flow {
  readonly protocol: FlowProtocol;
  readonly source: Side;
  readonly target: Side;
}

/** `tcp 10.0.0.1:1 > 10.0.0.2:2`; IPv6 addresses stand in brackets. */
export function parseFlow(text: string): Flow {
  const match = /^(tcp|udp|sctp) (\S+) > (\S+)$/.exec(text);
  if (match === null) throw new Error(`not a flow: ${text}`);
  const [, protocol, source = '', target = ''] = match;
  return {
    protocol: protocol as FlowProtocol,
    source: parseSide(source),
    target: parseSide(target),
  };
}

export function formatSides(flow: Flow): string {
  const side = ({ ip: address, port }: Side) =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return `${side(flow.source)} > ${side(flow.target)}`;
}

export function reverse(flow: Flow): Flow {
  return { protocol: flow.protocol, source: flow.target, target: flow.source };
}

/** First packet of a connection (SYN), its answer (SYN and ACK), or a UDP datagram. */
export function packetOf(flow: Flow, answer: boolean): Buffer {
  const { source, target } = flow;
  const flags = answer ? TcpFlag.syn | TcpFlag.ack : TcpFlag.syn;
  return buildIp({
    source: addrFromIp(source.ip),
    target: addrFromIp(target.ip),
    protocol: protocolNumbers[flow.protocol],
    payload: segmentOf(flow, flags),
  });
}

const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const;

function segmentOf({ protocol, source, target }: Flow, flags: number): Buffer {
  if (protocol === 'sctp') return sctpInit(source.port, target.port);
  return protocol === 'tcp'
    ? tcpSegment(source.port, target.port, flags, new Uint8Array(0))
    : udpSegment(source.port, target.port, Buffer.from('scenario'));
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
  const six = source.ip.includes(':');
  // Port unreachable: type 3 code 3 (RFC 792), type 1 code 4 (RFC 4443).
  const payload = icmpMessage(six ? 1 : 3, six ? 4 : 3, 0, packet);
  return buildIp({ ...ends, protocol: six ? 58 : 1, payload });
}

/** What a frame carries: a flow, an ICMP error, or something else. */
export type Seen =
  | {
      readonly kind: 'flow';
      readonly flow: Flow;
      readonly checksumRight: boolean;
      readonly packet: Buffer;
    }
  | { readonly kind: 'error'; readonly from: Ip; readonly to: Ip }
  | { readonly kind: 'other' };

export function readFrame(frame: Buffer): Seen {
  const l3 = frame.subarray(14);
  const etherType = frame.readUInt16BE(12);
  const six = etherType === 0x86dd;
  if (!six && etherType !== 0x0800) return { kind: 'other' };
  const [from, to] = six
    ? [ipFromBytes(l3.subarray(8, 24)), ipFromBytes(l3.subarray(24, 40))]
    : [ipFromBytes(l3.subarray(12, 16)), ipFromBytes(l3.subarray(16, 20))];
  const protocol = (six ? l3[6] : l3[9]) ?? 0;
  const at = six ? 40 : ((l3[0] ?? 0) & 15) * 4;
  const name = Object.entries(protocolNumbers).find(([, number]) => number === protocol)?.[0];
  if (name !== undefined) {
    const flow: Flow = {
      protocol: name as FlowProtocol,
      source: { ip: from, port: l3.readUInt16BE(at) },
      target: { ip: to, port: l3.readUInt16BE(at + 2) },
    };
    const length = six ? 40 + l3.readUInt16BE(4) : l3.readUInt16BE(2);
    const whole = l3.subarray(0, length);
    const checksumRight =
      name === 'sctp'
        ? sctpChecksumRight(whole.subarray(at))
        : transportChecksumRight(whole, six ? 6 : 4);
    return { kind: 'flow', flow, checksumRight, packet: whole };
  }
  const type = l3[at] ?? 0;
  const isError = six ? protocol === 58 && type < 128 : protocol === 1 && type === 3;
  return isError ? { kind: 'error', from, to } : { kind: 'other' };
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
