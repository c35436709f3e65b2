import {
  type Addr,
  addrInPrefix,
  ipFromAddr,
  type Mac,
  macBroadcast,
  readAddr,
} from '../address.ts';
import { buildArp, buildFrame } from '../packet/build.ts';
import { EtherType } from '../packet/headers.ts';
import type { Interface } from './interfaces.ts';
import type { Step } from './packet.ts';
import type { Plane } from './plane.ts';
import { transmitFrame } from './transmit.ts';

const noMac = '\0\0\0\0\0\0' as Mac;

/** Answers requests for own addresses, and learns from who asks or answers (RFC 826). */
export function arpInput(plane: Plane, rx: Interface, arp: Buffer, steps?: Step[]): void {
  const wellFormed =
    arp.length >= 28 && arp.readUInt16BE(0) === 1 && arp.readUInt16BE(2) === EtherType.ip4;
  if (!wellFormed || !plane.interfaces.speaks(rx, 4)) {
    rx.counters.drops++;
    steps?.push({ node: 'arp-input', text: 'dropped: not an ARP that this interface speaks' });
    return;
  }
  const operation = arp.readUInt16BE(6);
  const senderMac = arp.toString('latin1', 8, 14) as Mac;
  const senderAddr = readAddr(arp, 14, 4);
  const targetAddr = readAddr(arp, 24, 4);
  const own = ownAddresses(plane, rx);
  const isOurs = own.some((one) => one.addr === targetAddr);
  const isNear = own.some((one) => addrInPrefix(senderAddr, one.addr, one.length));
  const isSpoofed = own.some((one) => one.addr === senderAddr);
  // VPP learns from whoever speaks to it, when the sender is on the interface's subnet or the
  // interface borrows its addresses. Source: v26.06 `vnet/arp/arp.c`.
  if (isOurs && !isSpoofed && (isNear || rx.unnumbered !== undefined)) {
    plane.neighbours.learn(rx.index, senderAddr, senderMac, plane.now());
  }
  if (operation !== 1 || !isOurs || rx.mac === undefined) {
    steps?.push({ node: 'arp-reply', text: `${ipFromAddr(senderAddr)} speaks: no answer needed` });
    return;
  }
  steps?.push({ node: 'arp-reply', text: `${ipFromAddr(targetAddr)} is ours` });
  const answer = buildArp({
    operation: 2,
    senderMac: rx.mac,
    senderAddr: targetAddr,
    targetMac: senderMac,
    targetAddr: senderAddr,
  });
  transmitFrame(plane, rx, buildFrame(senderMac, rx.mac, EtherType.arp, answer));
}

/** Asks who has `addr`. Returns false when the interface has nothing to ask with. */
export function askArp(plane: Plane, out: Interface, addr: Addr): boolean {
  const source = plane.interfaces.sourceFor(out, addr);
  if (source === undefined || out.mac === undefined) return false;
  const request = buildArp({
    operation: 1,
    senderMac: out.mac,
    senderAddr: source,
    targetMac: noMac,
    targetAddr: addr,
  });
  transmitFrame(plane, out, buildFrame(macBroadcast, out.mac, EtherType.arp, request));
  return true;
}

function ownAddresses(plane: Plane, rx: Interface) {
  const lender = plane.interfaces.lender(rx);
  return [...rx.addresses, ...(lender === rx ? [] : lender.addresses)].filter(
    (one) => one.addr.length === 4,
  );
}
