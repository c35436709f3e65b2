import { ip, ipFromBytes } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildFrame, buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import type { Encapsulation } from '../../src/model/encapsulation.ts';

/**
 * The other end of this node's tunnels, as wires of their own: `ipip`, `gre` and `vxlan` carry
 * what travels inside of packets on the uplink over IPv4, `ipip6`, `gre6` and `vxlan6` over IPv6.
 */
interface TunnelWire {
  readonly kind: Encapsulation;
  readonly own: string;
  readonly peer: string;
  /** MAC address that this node has inside of VXLAN. */
  readonly ownMac: string;
}

const over4 = { own: '192.0.2.1', peer: '198.51.100.3', ownMac: '02:6b:c0:00:02:01' };
const over6 = { own: '2001:db8::1', peer: '2001:db8::3', ownMac: '02:6b:00:00:00:01' };

const wires: Readonly<Record<string, TunnelWire>> = {
  ipip: { kind: 'ipip', ...over4 },
  gre: { kind: 'gre', ...over4 },
  vxlan: { kind: 'vxlan', ...over4 },
  ipip6: { kind: 'ipip', ...over6 },
  gre6: { kind: 'gre', ...over6 },
  vxlan6: { kind: 'vxlan', ...over6 },
};

const protocols = { 4: 'ipip', 41: 'ipip', 47: 'gre', 17: 'vxlan' } as const;
const vxlanPort = 4789;
const vxlanHeader = Buffer.from('0800000000100000', 'hex');

/** The packet around a packet that the other end sends, or undefined for another wire. */
export function wrapFor(wire: string, inner: Buffer): Buffer | undefined {
  const tunnel = wires[wire];
  if (tunnel === undefined) return undefined;
  const six = (inner[0] ?? 0) >> 4 === 6;
  const etherType = six ? 0x86dd : 0x0800;
  const ends = { source: addrFromIp(ip(tunnel.peer)), target: addrFromIp(ip(tunnel.own)) };
  if (tunnel.kind === 'ipip') return buildIp({ ...ends, protocol: six ? 41 : 4, payload: inner });
  if (tunnel.kind === 'gre') {
    const header = Buffer.alloc(4);
    header.writeUInt16BE(etherType, 2);
    return buildIp({ ...ends, protocol: 47, payload: Buffer.concat([header, inner]) });
  }
  const frame = buildFrame(mac(tunnel.ownMac), mac('02:6b:00:00:00:03'), etherType, inner);
  const segment = udpSegment(55_555, vxlanPort, Buffer.concat([vxlanHeader, frame]));
  return buildIp({ ...ends, protocol: 17, payload: segment });
}

/** What is inside of a frame on the uplink, as a frame on the tunnel's wire. */
export function unwrap(
  frame: Buffer,
): { readonly wire: string; readonly frame: Buffer } | undefined {
  const l3 = frame.subarray(14);
  const six = frame.readUInt16BE(12) === 0x86dd;
  const protocol = (six ? l3[6] : l3[9]) ?? 0;
  const kind = protocols[protocol as keyof typeof protocols];
  const at = six ? 40 : 20;
  if (kind === undefined || l3.length < at + 4) return undefined;
  const end = six ? at + l3.readUInt16BE(4) : l3.readUInt16BE(2);
  const rest = l3.subarray(at, end);
  const target = ipFromBytes(six ? l3.subarray(24, 40) : l3.subarray(16, 20));
  const found = Object.entries(wires).find(([, one]) => one.kind === kind && one.peer === target);
  if (found === undefined) return undefined;
  const [wire] = found;
  if (kind !== 'vxlan') {
    const inner = rest.subarray(kind === 'gre' ? 4 : 0);
    return { wire, frame: inFrame(inner) };
  }
  if (rest.readUInt16BE(2) !== vxlanPort || !rest.subarray(8, 16).equals(vxlanHeader))
    return undefined;
  return { wire, frame: rest.subarray(16) };
}

function inFrame(l3: Buffer): Buffer {
  const none = mac('00:00:00:00:00:00');
  return buildFrame(none, none, (l3[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800, l3);
}
