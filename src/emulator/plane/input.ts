import { isMulticast, macBroadcast } from '../address.ts';
import { checksumOf, sumWords } from '../packet/checksum.ts';
import {
  EtherType,
  ethernetHeaderBytes,
  ip4HeaderBytes,
  ip6HeaderBytes,
  isFragment,
  targetOf,
} from '../packet/headers.ts';
import { arpInput } from './arp.ts';
import { dropDenied } from './drops.ts';
import { forward } from './forward.ts';
import type { Interface } from './interfaces.ts';
import { clampMss } from './mss-clamp.ts';
import {
  byFamily,
  createPacket,
  describePacket,
  note,
  type Packet,
  type Step,
  tunnelDepthMax,
} from './packet.ts';
import { drop, type Plane } from './plane.ts';

/** How a frame came: what explains it, and out of how many tunnels. */
export interface Arrival {
  readonly steps?: Step[] | undefined;
  readonly depth?: number;
}

/** Takes a frame from an interface. The plane owns the bytes from here on. */
export function ethernetInput(
  plane: Plane,
  rx: Interface,
  frame: Buffer,
  { steps, depth = 0 }: Arrival = {},
): void {
  rx.counters.rxPackets++;
  rx.counters.rxBytes += frame.length;
  // A tunnel of frames takes them also while it is down (observed).
  const isUp = rx.adminUp || rx.tunnel !== undefined;
  if (!isUp || frame.length < ethernetHeaderBytes) {
    rx.counters.drops++;
    steps?.push({ node: 'ethernet-input', text: `dropped: ${rx.name} is down or the frame short` });
    return;
  }
  const target = frame.toString('latin1', 0, 6);
  const isUnicast = ((frame[0] ?? 0) & 1) === 0;
  if (isUnicast && target !== rx.mac) {
    rx.counters.drops++;
    steps?.push({ node: 'ethernet-input', text: 'dropped: for another MAC address' });
    return;
  }
  const etherType = frame.readUInt16BE(12);
  const payload = frame.subarray(ethernetHeaderBytes);
  if (etherType === EtherType.arp) {
    arpInput(plane, rx, payload, steps);
    return;
  }
  if (etherType !== EtherType.ip4 && etherType !== EtherType.ip6) {
    rx.counters.drops++;
    steps?.push({ node: 'ethernet-input', text: 'dropped: unknown ethertype' });
    return;
  }
  if (etherType === EtherType.ip4 && target === macBroadcast) {
    // Broadcast frames reach the routing table, where broadcast addresses are dropped.
    steps?.push({ node: 'ethernet-input', text: 'a broadcast frame' });
  }
  const packet = createPacket(payload, rx, steps);
  packet.depth = depth;
  if ((packet.family === 4) !== (etherType === EtherType.ip4)) {
    drop(packet, 'ethernet-input', 'ethertype and IP version differ');
    return;
  }
  plane.next.ipInput(packet);
}

/** Checks the header, then walks the unicast arc. */
export function ipInput(plane: Plane, packet: Packet): void {
  const node = `ip${packet.family}-input`;
  if (packet.family === 4) packet.rx.counters.ip4++;
  else packet.rx.counters.ip6++;
  const problem = packet.family === 4 ? check4(packet) : check6(packet);
  if (problem !== undefined) {
    drop(packet, node, problem);
    return;
  }
  if (packet.steps !== undefined) {
    note(packet, node, `${describePacket(packet.l3, packet.family)} from ${packet.rx.name}`);
  }
  if (!plane.interfaces.speaks(packet.rx, packet.family)) {
    drop(packet, `ip${packet.family}-not-enabled`, `${packet.rx.name} has no such address`);
    return;
  }
  const target = targetOf(packet.l3, packet.family);
  if (packet.family === 6 && isMulticast(target)) {
    plane.next.ipLocal(packet);
    return;
  }
  if (hopLimitSpent(packet)) {
    plane.next.icmpError(packet, packet.family === 4 ? 11 : 3, 0);
    return;
  }
  unicastArc(plane, packet);
}

function hopLimitSpent(packet: Packet): boolean {
  return ((packet.family === 4 ? packet.l3[8] : packet.l3[7]) ?? 0) < 1;
}

/**
 * full reassembly, cnat-lookup, cnat-input, acl-in, inacl (MACIP), mss clamp, abf, then the route.
 *
 * This is the order of a VPP with all plugins. Nothing orders reassembly and cnat directly: with
 * a smaller set of plugins VPP 26.06 was seen to reassemble last, after cnat and acl.
 */
function unicastArc(plane: Plane, packet: Packet): void {
  const { rx } = packet;
  if (rx.reassembly[packet.family] && isFragment(packet.l3, packet.family)) {
    const whole = plane.reassembly.add(packet.l3, packet.family);
    const node = `ip${packet.family}-full-reassembly-feature`;
    note(packet, node, whole === undefined ? 'waits for the other fragments' : 'complete');
    if (whole === undefined) return;
    packet.l3 = whole;
  }
  for (let i = rx.cnat.lookup[packet.family]; i > 0; i--) plane.cnat.lookup(packet);
  for (let i = rx.cnat.input[packet.family]; i > 0; i--) {
    const verdict = plane.cnat.input(packet);
    if (verdict === 'drop') {
      drop(packet, byFamily('cnat-input', packet), 'no way to translate');
      return;
    }
    if (verdict !== 'go') {
      forwardTowards(plane, packet, verdict.towards);
      return;
    }
  }
  if (!plane.acl.permits(packet, rx, 'input')) {
    dropDenied(plane, packet, 'in');
    return;
  }
  if (!plane.sources.permits(packet)) {
    drop(packet, `ip${packet.family}-inacl`, 'denied');
    return;
  }
  if (rx.mssClamp !== undefined && rx.mssClamp.direction & 1) clampMss(packet, rx.mssClamp);
  const detour = plane.abf.target(packet);
  if (detour === undefined) plane.next.ipLookup(packet);
  else forward(plane, packet, detour, targetOf(packet.l3, packet.family));
}

/** interface-rx: the packet is received again, on another interface. */
export function receiveAgain(plane: Plane, packet: Packet, on: Interface): void {
  note(packet, byFamily('interface-rx-dpo', packet), `received again on ${on.name}`);
  if (++packet.depth > tunnelDepthMax) {
    drop(packet, byFamily('interface-rx-dpo', packet), 'received too often');
    return;
  }
  packet.rx = on;
  plane.next.ipInput(packet);
}

/**
 * A no-NAT path: straight to the first bucket of the backend's route, past the rest of the arc.
 * Source: VPP v26.06 `cnat_node_feature.c`, `cts_dpoi_next_node`.
 */
function forwardTowards(
  plane: Plane,
  packet: Packet,
  towards: Parameters<Plane['fib']['lookup']>[1],
) {
  const entry = plane.fib.lookup(0, towards);
  const target = entry === undefined ? undefined : plane.fib.buckets(entry)[0];
  const out = target !== undefined && 'interface' in target ? target.interface : undefined;
  const interfaceOut = out === undefined ? undefined : plane.interfaces.get(out);
  if (target === undefined || interfaceOut === undefined) {
    drop(packet, byFamily('cnat-input', packet), 'the backend has no route');
    return;
  }
  if (target.kind === 'tunnel') plane.next.tunnel(packet, interfaceOut);
  else {
    const nextHop = target.kind === 'adjacency' ? target.nextHop : towards;
    plane.next.adjacency(packet, interfaceOut, nextHop);
  }
}

function check4(packet: Packet): string | undefined {
  const { l3 } = packet;
  if (l3.length < ip4HeaderBytes) return 'too short';
  const header = ((l3[0] ?? 0) & 15) * 4;
  if (header < ip4HeaderBytes || header > l3.length) return 'bad header length';
  // VPP hands packets with options to ip4-options, which drops all but router alert.
  if (header > ip4HeaderBytes) return 'IPv4 options';
  const length = l3.readUInt16BE(2);
  if (length < header || length > l3.length) return 'bad total length';
  if (checksumOf(sumWords(l3, 0, header)) !== 0) return 'bad header checksum';
  // A fragment that starts at byte 8 hides ports from filters (RFC 1858); VPP drops it.
  if ((l3.readUInt16BE(6) & 0x1fff) === 1) return 'fragment offset 1';
  if (length < l3.length) packet.l3 = l3.subarray(0, length);
  return undefined;
}

function check6(packet: Packet): string | undefined {
  const { l3 } = packet;
  if (l3.length < ip6HeaderBytes) return 'too short';
  const length = ip6HeaderBytes + l3.readUInt16BE(4);
  if (length > l3.length) return 'bad payload length';
  if (length < l3.length) packet.l3 = l3.subarray(0, length);
  return undefined;
}
