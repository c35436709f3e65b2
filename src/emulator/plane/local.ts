import { type Addr, ipFromAddr, isLinkLocal, isMulticast, writeAddr } from '../address.ts';
import { updateChecksum } from '../packet/checksum.ts';
import {
  headerBytes,
  isFragment,
  Protocol,
  protocolOf,
  sourceOf,
  targetOf,
  transportChecksumRight,
  writeIp4Checksum,
} from '../packet/headers.ts';
import { noInterface } from './interfaces.ts';
import { neighbourInput } from './nd.ts';
import { note, type Packet, protocolName } from './packet.ts';
import { drop, type Plane, type PuntRedirect } from './plane.ts';
import { decapsulate } from './tunnel.ts';
import { vxlanInput } from './vxlan.ts';

/**
 * ip-local: what is addressed to the data plane itself.
 *
 * Echo requests are answered, tunnels opened, UDP to a port that nobody has answered with "port
 * unreachable" unless punted; TCP and all other protocols have no reader inside VPP (its session
 * layer is off) and are punted. Punted packets go where a redirect says, else they end.
 * Source: VPP v26.06 `ip4_forward.c`, `udp_local.c`, `icmp4.c`, `ip_punt_drop.h`.
 */
export function ipLocal(plane: Plane, packet: Packet): void {
  const { family } = packet;
  const node = `ip${family}-local`;
  if (isFragment(packet.l3, family)) {
    const whole = plane.reassembly.add(packet.l3, family);
    if (whole === undefined) {
      note(packet, `ip${family}-local-full-reassembly`, 'waits for the other fragments');
      return;
    }
    packet.l3 = whole;
  }
  const problem = localProblem(plane, packet);
  if (problem !== undefined) {
    drop(packet, node, problem);
    return;
  }
  const protocol = protocolOf(packet.l3, family);
  note(packet, node, `for this node: ${protocolName(protocol)}`);
  if (protocol === Protocol.icmp && family === 4) icmp4Input(plane, packet);
  else if (protocol === Protocol.icmp6 && family === 6) icmp6Input(plane, packet);
  else if (isMulticast(targetOf(packet.l3, family))) drop(packet, node, 'no multicast listener');
  else if (protocol === Protocol.udp && plane.udpPorts.has(portOf(packet)))
    plane.udpPorts.get(portOf(packet))?.(packet);
  else if (protocol === Protocol.udp && vxlanInput(plane, packet)) return;
  else if (protocol === Protocol.udp && !plane.puntUdp[family]) {
    note(packet, `ip${family}-udp-lookup`, 'nobody has this port');
    plane.next.icmpError(packet, family === 4 ? 3 : 1, family === 4 ? 3 : 4);
  } else if (isTunnelProtocol(protocol) && decapsulate(plane, packet, protocol)) return;
  else punt(plane, packet);
}

/** Destination port; -1 when the packet is too short for one. */
function portOf({ l3, family }: Packet): number {
  const at = headerBytes(l3, family);
  return l3.length < at + 8 ? -1 : l3.readUInt16BE(at + 2);
}

function isTunnelProtocol(protocol: number): boolean {
  return protocol === Protocol.ipip || protocol === Protocol.ipv6 || protocol === Protocol.gre;
}

function localProblem(plane: Plane, packet: Packet): string | undefined {
  const { family, l3 } = packet;
  const protocol = protocolOf(l3, family);
  const checked =
    protocol === Protocol.tcp || protocol === Protocol.udp || protocol === Protocol.icmp6;
  if (checked && !transportChecksumRight(l3, family)) return 'wrong transport checksum';
  const source = sourceOf(l3, family);
  if (isMulticast(targetOf(l3, family)) || isLinkLocal(source)) return undefined;
  const entry = plane.fib.lookup(packet.rx.tableId[family], source);
  const target = entry === undefined ? undefined : plane.fib.buckets(entry)[0];
  if (target?.kind === 'local') return 'the source is our own address';
  const routed =
    target?.kind === 'adjacency' || target?.kind === 'attached' || target?.kind === 'tunnel';
  return routed ? undefined : 'no route to the source';
}

function icmp4Input(plane: Plane, packet: Packet): void {
  const body = headerBytes(packet.l3, 4);
  if (packet.l3[body] === 8) answerEcho(plane, packet, body);
  else punt(plane, packet);
}

function icmp6Input(plane: Plane, packet: Packet): void {
  const type = packet.l3[40];
  if (type === 128) answerEcho(plane, packet, 40);
  else if (neighbourInput(plane, packet)) return;
  else if (type === 133 || type === 134) drop(packet, 'icmp6-router-advertisement', 'ignored');
  else punt(plane, packet);
}

/** Turns an echo request into its reply, in place, and routes it. */
function answerEcho(plane: Plane, packet: Packet, body: number): void {
  const { family, l3 } = packet;
  const source = sourceOf(l3, family);
  const target = targetOf(l3, family);
  const node = `ip${family}-icmp-echo-request`;
  const own = isMulticast(target) ? plane.interfaces.sourceFor(packet.rx, source) : target;
  if (own === undefined || l3.length < body + 8) {
    drop(packet, node, own === undefined ? 'no address to answer from' : 'too short');
    return;
  }
  const reply = family === 4 ? 0 : 129;
  const typeWord = ((l3[body] ?? 0) << 8) | (l3[body + 1] ?? 0);
  l3[body] = reply;
  const changed = updateChecksum(
    l3.readUInt16BE(body + 2),
    typeWord,
    (reply << 8) | (l3[body + 1] ?? 0),
  );
  l3.writeUInt16BE(changed, body + 2);
  writeAddr(l3, family === 4 ? 12 : 8, own);
  writeAddr(l3, family === 4 ? 16 : 24, source);
  if (family === 4) {
    l3[8] = 64;
    writeIp4Checksum(l3);
  } else {
    l3[7] = 255;
  }
  note(packet, node, 'answered');
  packet.local = true;
  // VPP answers in the name of local0, which is index 0. Source: v26.06 `plugins/ping/ping.c`.
  if (isLinkLocal(source)) {
    plane.next.adjacency(packet, packet.rx, source);
    return;
  }
  packet.rx = plane.interfaces.get(0) ?? packet.rx;
  plane.next.ipLookup(packet);
}

/** Key of a redirect in `Plane.punts`. */
export function puntKey(family: 4 | 6, receivedOn: number): string {
  return `${family} ${receivedOn}`;
}

/** Hands a packet to the redirect of its interface, or of all interfaces. */
export function punt(plane: Plane, packet: Packet): void {
  const { family } = packet;
  packet.rx.counters.punts++;
  const redirect =
    plane.punts.get(puntKey(family, packet.rx.index)) ??
    plane.punts.get(puntKey(family, noInterface));
  const out = redirect === undefined ? undefined : plane.interfaces.get(redirect.interface);
  if (redirect === undefined || out === undefined) {
    drop(packet, `ip${family}-punt`, 'nobody takes punted packets');
    return;
  }
  const nextHop = redirectTarget(redirect, packet);
  note(packet, `ip${family}-punt-redirect`, `to ${ipFromAddr(nextHop)} on ${out.name}`);
  packet.local = true;
  plane.next.adjacency(packet, out, nextHop);
}

function redirectTarget(redirect: PuntRedirect, packet: Packet): Addr {
  return redirect.nextHop ?? targetOf(packet.l3, packet.family);
}
