import { type Addr, addrFamily, ipFromAddr } from '../address.ts';
import { allocatePacket, writeIpHeader } from '../packet/build.ts';
import { EtherType, headerBytes, Protocol, sourceOf, targetOf } from '../packet/headers.ts';
import { outputArc, partsFor, rewrite } from './forward.ts';
import type { Interface, Tunnel } from './interfaces.ts';
import { type FlowState, note, type Packet, tunnelDepthMax } from './packet.ts';
import { drop, type Plane } from './plane.ts';

const greHeaderBytes = 4;

/** Sends a packet into a tunnel: its own rewrite and output arc, then the outer header. */
export function tunnelOutput(plane: Plane, packet: Packet, out: Interface): void {
  const { tunnel } = out;
  const node = `ip${packet.family}-midchain`;
  if (tunnel === undefined || !out.adminUp) {
    drop(packet, node, `${out.name} is down`);
    return;
  }
  if (packet.depth >= tunnelDepthMax) {
    drop(packet, node, 'tunnels inside tunnels without end');
    return;
  }
  if (!rewrite(plane, packet, out)) return;
  for (const part of partsFor(packet, out)) {
    if (!outputArc(plane, part, out)) continue;
    note(packet, node, `${out.name} wraps it towards ${ipFromAddr(tunnel.target)}`);
    out.counters.txPackets++;
    out.counters.txBytes += part.l3.length;
    const l3 = encapsulate(part.l3, packet.family, tunnel);
    // cnat's output knows neither protocol: the outer header stays as it is.
    sendOuter(plane, packet, { l3, tableId: tunnel.tableId, flowState: 'done' });
  }
}

/** What a tunnel made of a packet. */
export interface Outer {
  readonly l3: Buffer;
  readonly tableId: number;
  readonly flowState: FlowState;
}

/** Routes a packet around which an outer header was put. */
export function sendOuter(plane: Plane, inner: Packet, { l3, tableId, flowState }: Outer): void {
  const outer: Packet = {
    ...inner,
    l3,
    family: (l3[0] ?? 0) >> 4 === 6 ? 6 : 4,
    depth: inner.depth + 1,
    local: true,
    tableId,
    flowState,
    rx: plane.interfaces.get(0) ?? inner.rx,
  };
  plane.next.ipLookup(outer);
}

function encapsulate(inner: Buffer, family: 4 | 6, tunnel: Tunnel): Buffer {
  const header = addrFamily(tunnel.source) === 4 ? 20 : 40;
  const extra = tunnel.protocol === 'gre' ? greHeaderBytes : 0;
  const l3 = allocatePacket(header + extra + inner.length);
  inner.copy(l3, header + extra);
  let protocol: number = family === 4 ? Protocol.ipip : Protocol.ipv6;
  if (tunnel.protocol === 'gre') {
    protocol = Protocol.gre;
    l3.writeUInt16BE(family === 4 ? EtherType.ip4 : EtherType.ip6, header + 2);
  }
  writeIpHeader(l3, {
    source: tunnel.source,
    target: tunnel.target,
    protocol,
    hopLimit: 254,
    trafficClass: tunnel.dscp << 2,
  });
  return l3;
}

/** Opens a packet for one of our tunnels. False when no tunnel has these ends. */
export function decapsulate(plane: Plane, packet: Packet, protocol: number): boolean {
  const outer = packet.family;
  const peer = sourceOf(packet.l3, outer);
  const own = targetOf(packet.l3, outer);
  const wanted = protocol === Protocol.gre ? 'gre' : 'ipip';
  const rx = findTunnel(plane, wanted, own, peer);
  if (rx === undefined) return false;
  const header = headerBytes(packet.l3, outer);
  const inner = packet.l3.subarray(header + (wanted === 'gre' ? greHeaderBytes : 0));
  const node = `${wanted}${outer}-input`;
  if (wanted === 'gre' && !knownGre(packet.l3, header)) {
    drop(packet, node, 'GRE options or another protocol');
    return true;
  }
  // That the tunnel is down does not matter (observed).
  if (inner.length === 0 || packet.depth >= tunnelDepthMax) {
    drop(packet, node, inner.length === 0 ? 'nothing inside' : 'tunnels inside tunnels');
    return true;
  }
  note(packet, node, `${rx.name} unwraps it`);
  rx.counters.rxPackets++;
  rx.counters.rxBytes += inner.length;
  plane.next.ipInput({
    ...packet,
    tableId: undefined,
    l3: inner,
    family: (inner[0] ?? 0) >> 4 === 6 ? 6 : 4,
    rx,
    depth: packet.depth + 1,
  });
  return true;
}

/** No checksum, key or sequence number, and IP inside. */
function knownGre(l3: Buffer, at: number): boolean {
  if (l3.length < at + greHeaderBytes || l3.readUInt16BE(at) !== 0) return false;
  const inner = l3.readUInt16BE(at + 2);
  return inner === EtherType.ip4 || inner === EtherType.ip6;
}

function findTunnel(
  plane: Plane,
  protocol: Tunnel['protocol'],
  own: Addr,
  peer: Addr,
): Interface | undefined {
  for (const one of plane.interfaces.all.values()) {
    const { tunnel } = one;
    if (tunnel?.protocol === protocol && tunnel.source === own && tunnel.target === peer)
      return one;
  }
  return undefined;
}
