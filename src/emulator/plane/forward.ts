import { type Addr, ipFromAddr, type Mac } from '../address.ts';
import type { Target } from '../fib/paths.ts';
import { frameInPlace } from '../packet/build.ts';
import { updateChecksum } from '../packet/checksum.ts';
import { flowHash } from '../packet/flow-hash.ts';
import { dontFragment, targetOf } from '../packet/headers.ts';
import { askArp } from './arp.ts';
import { dropDenied } from './drops.ts';
import { fragment4 } from './fragment.ts';
import { type Interface, mtuFor } from './interfaces.ts';
import { clampMss } from './mss-clamp.ts';
import { askNeighbour } from './nd.ts';
import { byFamily, note, type Packet, tunnelDepthMax } from './packet.ts';
import { drop, type Plane } from './plane.ts';
import { transmitFrame } from './transmit.ts';

/** ip-lookup: the longest prefix of the destination, and one of its paths by the flow's hash. */
export function ipLookup(plane: Plane, packet: Packet): void {
  const { family } = packet;
  const node = `ip${family}-lookup`;
  const tableId = packet.tableId ?? packet.rx.tableId[family];
  const addr = targetOf(packet.l3, family);
  const entry = plane.fib.lookup(tableId, addr);
  if (entry === undefined) {
    drop(packet, node, 'no such table');
    return;
  }
  const buckets = plane.fib.buckets(entry);
  const flowHashConfig = plane.fib.table(family, tableId)?.flowHash ?? 0;
  const bucket =
    buckets.length === 1
      ? buckets[0]
      : buckets[flowHash(packet.l3, family, flowHashConfig) & (buckets.length - 1)];
  if (packet.steps !== undefined) {
    const { prefix } = entry;
    const more = buckets.length > 1 ? `, one of ${buckets.length} buckets` : '';
    note(packet, node, `${ipFromAddr(prefix.addr)}/${prefix.length} in table ${tableId}${more}`);
  }
  if (bucket !== undefined) forward(plane, packet, bucket, addr);
}

/** What a path does with a packet. */
export function forward(plane: Plane, packet: Packet, target: Target, addr: Addr): void {
  switch (target.kind) {
    case 'local':
      plane.next.ipLocal(packet);
      return;
    case 'drop':
      drop(packet, `ip${packet.family}-drop`, target.why);
      return;
    case 'unreachable':
      note(packet, 'ip-null', 'the route says unreachable');
      plane.next.icmpError(packet, packet.family === 4 ? 3 : 1, packet.family === 4 ? 1 : 0);
      return;
    case 'prohibit':
      note(packet, 'ip-null', 'the route says prohibited');
      // Code 10, host administratively prohibited (observed).
      plane.next.icmpError(packet, packet.family === 4 ? 3 : 1, packet.family === 4 ? 10 : 1);
      return;
    default: {
      const out = plane.interfaces.get(target.interface);
      if (out === undefined) drop(packet, 'ip-lookup', 'the interface is gone');
      else if (target.kind === 'receive') plane.next.receiveAgain(packet, out);
      else if (target.kind === 'tunnel') plane.next.tunnel(packet, out);
      else adjacency(plane, packet, out, target.kind === 'adjacency' ? target.nextHop : addr);
    }
  }
}

/** To a neighbour: asks for its MAC when it is not known, which costs the packet. */
export function adjacency(plane: Plane, packet: Packet, out: Interface, nextHop: Addr): void {
  const neighbour = plane.neighbours.find(out.index, nextHop);
  if (neighbour === undefined) {
    const node = packet.family === 4 ? 'ip4-arp' : 'ip6-discover-neighbor';
    const asks = plane.neighbours.mayAsk(out.index, nextHop, plane.now());
    if (asks) {
      const asked =
        nextHop.length === 4 ? askArp(plane, out, nextHop) : askNeighbour(plane, out, nextHop);
      note(packet, node, asked ? 'asks the link' : 'has no address to ask with');
    }
    drop(packet, node, `${ipFromAddr(nextHop)} on ${out.name} is not resolved`);
    return;
  }
  if (!rewrite(plane, packet, out)) return;
  for (const part of partsFor(packet, out)) {
    const macs = { target: neighbour.mac, source: out.mac ?? neighbour.mac };
    if (!outputArc(plane, part, out, macs)) continue;
    if (part.steps !== undefined) {
      const via = `${out.name} to ${ipFromAddr(nextHop)}`;
      note(part, `${out.name}-output`, `${part.l3.length} bytes leave by ${via}`);
    }
    const frame = frameInPlace(part.l3, macs.target, macs.source);
    if (out.tunnel !== undefined) plane.next.frameTunnel(part, out, frame);
    else if (out.kind === 'loopback') arriveAgain(plane, part, { out, frame });
    else transmitFrame(plane, out, frame);
  }
}

/** What leaves by a loopback arrives on it. */
function arriveAgain(
  plane: Plane,
  packet: Packet,
  { out, frame }: { readonly out: Interface; readonly frame: Buffer },
): void {
  if (packet.depth >= tunnelDepthMax) {
    drop(packet, `${out.name}-tx`, 'received too often');
    return;
  }
  plane.next.ethernetInput(out, Buffer.from(frame), packet.steps, packet.depth + 1);
}

/**
 * The packet, or its fragments when it is larger than the MTU. A fragment is a new packet that
 * knows nothing of its flow: cnat's output nodes leave it alone (observed: a service's answers to
 * such packets are not translated back). Source: VPP v26.06 `vnet/ip/ip_frag.c`.
 */
export function partsFor(packet: Packet, out: Interface): readonly Packet[] {
  const mtu = mtuFor(out, packet.family);
  if (packet.l3.length <= mtu || packet.family === 6) return [packet];
  note(packet, 'ip4-frag', `cut for the MTU ${mtu}`);
  return fragment4(packet.l3, mtu).map((l3) => ({
    ...packet,
    l3,
    flowState: 'none',
    flow: undefined,
  }));
}

/** ip-rewrite: hop limit and MTU. False when the packet ended here. */
export function rewrite(plane: Plane, packet: Packet, out: Interface): boolean {
  if (!packet.local && !decrementHopLimit(packet)) {
    note(packet, `ip${packet.family}-rewrite`, 'the hop limit is spent');
    plane.next.icmpError(packet, packet.family === 4 ? 11 : 3, 0);
    return false;
  }
  const mtu = mtuFor(out, packet.family);
  if (packet.l3.length <= mtu) return true;
  const node = `ip${packet.family}-rewrite`;
  note(packet, node, `${packet.l3.length} bytes exceed the MTU ${mtu} of ${out.name}`);
  if (packet.family === 6) {
    if (packet.local) drop(packet, node, 'too big');
    else plane.next.icmpError(packet, 2, 0, mtu);
    return false;
  }
  if (dontFragment(packet.l3)) {
    plane.next.icmpError(packet, 3, 4, mtu);
    return false;
  }
  return true;
}

/** mss clamp, acl-out, cnat-output, cnat-writeback; `macs`: of the header, if there is one. False when the packet ended here. */
export function outputArc(
  plane: Plane,
  packet: Packet,
  out: Interface,
  macs?: { readonly target: Mac; readonly source: Mac },
): boolean {
  if (out.mssClamp !== undefined && out.mssClamp.direction & 2) clampMss(packet, out.mssClamp);
  if (!plane.acl.permits(packet, out, 'output')) {
    dropDenied(plane, packet, 'out', macs);
    return false;
  }
  for (let i = out.cnat.output[packet.family]; i > 0; i--) {
    if (plane.cnat.output(packet, out) === 'drop') {
      drop(packet, byFamily('cnat-output', packet), 'no way to translate');
      return false;
    }
  }
  if (out.cnat.writeback[packet.family] > 0) plane.cnat.writeback(packet);
  return true;
}

function decrementHopLimit(packet: Packet): boolean {
  const { l3 } = packet;
  const at = packet.family === 4 ? 8 : 7;
  const before = l3[at] ?? 0;
  if (before <= 1) return false;
  l3[at] = before - 1;
  if (packet.family === 4) {
    const word = (before << 8) | (l3[9] ?? 0);
    l3.writeUInt16BE(updateChecksum(l3.readUInt16BE(10), word, word - 0x100), 10);
  }
  return true;
}
