import { type Ip, ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import {
  buildIp,
  buildNeighbourMessage,
  icmpMessage,
  udpSegment,
} from '../../src/emulator/packet/build.ts';
import { writeIp4Checksum, writeTransportChecksum } from '../../src/emulator/packet/headers.ts';
import { type Flow, icmpOf, packetOf, parseFlow, type Seen } from './packets.ts';

/**
 * Packets that are no flow of their own, so nobody answers them:
 *
 *     uplink too-big 192.0.2.2 about tcp 10.244.1.11:4000 > 10.244.2.12:80 => veth-a error
 *     veth-a message 135 fd00:10:244:1::11 > fd00:10:244:1::12 => veth-b message
 *     veth-a fragments udp 10.244.1.11:4000 > 10.244.1.12:53 => veth-b fragments
 *     veth-a solicit fd00:10:244:1::11 > 2001:db8::1 => veth-a message
 *
 * `too-big` says that a router could not forward a packet of the flow. `message` is any type of
 * ICMP or ICMPv6. `fragments` is a datagram in two: what arrives is `fragments` when both do, or
 * `first fragment`, or `later fragment`. `solicit` asks a neighbour for its address on the link.
 */
export type Stray =
  | { readonly kind: 'too-big'; readonly from: Ip; readonly about: Flow }
  | { readonly kind: 'message'; readonly type: number; readonly source: Ip; readonly target: Ip }
  | { readonly kind: 'solicit'; readonly source: Ip; readonly target: Ip }
  | { readonly kind: 'fragments'; readonly flow: Flow };

export function parseStray(text: string): Stray | undefined {
  const [word = '', first = '', ...rest] = text.split(' ');
  switch (word) {
    case 'too-big':
      return { kind: 'too-big', from: ip(first), about: parseFlow(rest.slice(1).join(' ')) };
    case 'message':
      return {
        kind: 'message',
        type: Number(first),
        source: ip(rest[0] ?? ''),
        target: ip(rest[2] ?? ''),
      };
    case 'solicit':
      return { kind: 'solicit', source: ip(first), target: ip(rest[1] ?? '') };
    case 'fragments':
      return { kind: 'fragments', flow: parseFlow([first, ...rest].join(' ')) };
    default:
      return undefined;
  }
}

/** The packets to send, in order. */
export function packetsOfStray(stray: Stray, mac: string): Buffer[] {
  switch (stray.kind) {
    case 'too-big': {
      const { from, about } = stray;
      const protocol = icmpOf(from);
      // RFC 1191: type 3 code 4; RFC 4443: type 2. Both say the MTU of the next link.
      const [type, code] = protocol === 58 ? [2, 0] : [3, 4];
      const payload = icmpMessage(type, code, mtu, packetOf(about, 'again'));
      const target = addrFromIp(about.source.ip);
      return [buildIp({ source: addrFromIp(from), target, protocol, payload })];
    }
    case 'message': {
      const payload = icmpMessage(stray.type, 0, 0, Buffer.alloc(16));
      const ends = { source: addrFromIp(stray.source), target: addrFromIp(stray.target) };
      return [buildIp({ ...ends, protocol: icmpOf(stray.source), payload })];
    }
    case 'solicit': {
      const [source, target] = [addrFromIp(stray.source), addrFromIp(stray.target)];
      const bytes = Buffer.from(mac.replaceAll(':', ''), 'hex').toString('latin1') as never;
      return [
        buildNeighbourMessage({ type: 135, source, destination: target, target, mac: bytes }),
      ];
    }
    case 'fragments':
      return fragmentsOf(stray.flow);
  }
}

const mtu = 1400;
/** Payload of the first fragment, a multiple of 8. */
const firstBytes = 800;

function fragmentsOf({ source, target }: Flow): Buffer[] {
  const ends = { source: addrFromIp(source.ip), target: addrFromIp(target.ip) };
  const datagram = udpSegment(source.port, target.port, Buffer.alloc(1200, 'f'));
  const six = source.ip.includes(':');
  const whole = buildIp({ ...ends, protocol: 17, id: 7, payload: datagram });
  writeTransportChecksum(whole, six ? 6 : 4);
  const payload = whole.subarray(six ? 40 : 20);
  return [0, firstBytes].map((offset) => {
    const part = payload.subarray(offset, offset === 0 ? firstBytes : undefined);
    const more = offset === 0 ? 1 : 0;
    if (!six) {
      const packet = buildIp({ ...ends, protocol: 17, id: 7, payload: part });
      // The transport's checksum is that of the whole: this is a part.
      part.copy(packet, 20);
      packet.writeUInt16BE((more << 13) | (offset / 8), 6);
      writeIp4Checksum(packet);
      return packet;
    }
    const header = Buffer.alloc(8);
    header[0] = 17;
    header.writeUInt16BE(offset | more, 2);
    header.writeUInt32BE(7, 4);
    return buildIp({ ...ends, protocol: 44, payload: Buffer.concat([header, part]) });
  });
}

/** Whether what came out of an interface can be of a stray that was sent; VPP sends its own, too. */
export function isOfStray(stray: Stray, seen: Seen): boolean {
  switch (stray.kind) {
    case 'too-big':
      return seen.kind === 'error';
    case 'message':
      return seen.kind === 'error' || (seen.kind === 'message' && seen.type === stray.type);
    case 'solicit':
      return seen.kind === 'message' && seen.type === 136 && seen.to === stray.source;
    case 'fragments':
      return seen.kind !== 'other' && seen.kind !== 'message';
  }
}
