import {
  type Addr,
  ipFromAddr,
  isUnspecified,
  type Mac,
  multicastMac,
  readAddr,
  solicitedNode,
} from '../address.ts';
import { buildFrame, buildNeighbourMessage } from '../packet/build.ts';
import { EtherType, sourceOf } from '../packet/headers.ts';
import { type Interface, linkLocalOf } from './interfaces.ts';
import { createPacket, note, type Packet } from './packet.ts';
import type { Plane } from './plane.ts';
import { transmitFrame } from './transmit.ts';

/** Neighbour solicitations and advertisements (RFC 4861). True when the packet was one. */
export function neighbourInput(plane: Plane, packet: Packet): boolean {
  const { l3, rx } = packet;
  const type = l3[40] ?? 0;
  if ((type !== 135 && type !== 136) || l3.length < 64 || l3[7] !== 255) return false;
  const source = sourceOf(l3, 6);
  const target = readAddr(l3, 48, 16);
  const mac = linkLayerOption(l3, type === 135 ? 1 : 2);
  if (type === 136) {
    if (mac !== undefined) plane.neighbours.learn(rx.index, target, mac, plane.now());
    note(packet, 'icmp6-neighbor-advertisement', `${ipFromAddr(target)} is there`);
    return true;
  }
  if (mac !== undefined && !isUnspecified(source)) {
    plane.neighbours.learn(rx.index, source, mac, plane.now());
  }
  if (!isOwn(plane, rx, target) || rx.mac === undefined || isUnspecified(source)) {
    note(packet, 'icmp6-neighbor-solicitation', `${ipFromAddr(target)} is not ours`);
    return true;
  }
  note(packet, 'icmp6-neighbor-solicitation', `${ipFromAddr(target)} is ours: answered`);
  const answer = buildNeighbourMessage({
    type: 136,
    source: target,
    destination: source,
    target,
    mac: rx.mac,
  });
  const to = mac ?? plane.neighbours.find(rx.index, source)?.mac;
  if (to !== undefined) transmitFrame(plane, rx, buildFrame(to, rx.mac, EtherType.ip6, answer));
  return true;
}

/**
 * Asks for the MAC of `addr`, if the filters of the link let the question out: unlike answers,
 * questions pass them in VPP. Returns false when the interface has nothing to ask with.
 */
export function askNeighbour(plane: Plane, out: Interface, addr: Addr): boolean {
  const source = linkLocalOf(out) ?? plane.interfaces.sourceFor(out, addr);
  if (source === undefined || out.mac === undefined) return false;
  const destination = solicitedNode(addr);
  const request = buildNeighbourMessage({
    type: 135,
    source,
    destination,
    target: addr,
    mac: out.mac,
  });
  const question = createPacket(request, out, undefined);
  if (!plane.acl.permits(question, out, 'output')) return true;
  transmitFrame(plane, out, buildFrame(multicastMac(destination), out.mac, EtherType.ip6, request));
  return true;
}

function isOwn(plane: Plane, rx: Interface, target: Addr): boolean {
  const lender = plane.interfaces.lender(rx);
  return (
    rx.addresses.some((one) => one.addr === target) ||
    lender.addresses.some((one) => one.addr === target) ||
    linkLocalOf(rx) === target
  );
}

/** Option 1 (source) or 2 (target) link-layer address of a neighbour message. */
function linkLayerOption(l3: Buffer, wanted: number): Mac | undefined {
  for (let at = 64; at + 8 <= l3.length; ) {
    const length = (l3[at + 1] ?? 0) * 8;
    if (length === 0) return undefined;
    if (l3[at] === wanted) return l3.toString('latin1', at + 2, at + 8) as Mac;
    at += length;
  }
  return undefined;
}
