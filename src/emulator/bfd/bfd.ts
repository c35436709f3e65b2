import type { Clock } from '../../core/clock.ts';
import { type Addr, addrFamily } from '../address.ts';
import { buildIp, udpSegment } from '../packet/build.ts';
import { headerBytes, hopLimitOf, Protocol, sourceOf, targetOf } from '../packet/headers.ts';
import { createPacket, note, type Packet } from '../plane/packet.ts';
import { drop, type Plane } from '../plane/plane.ts';
import { type BfdControl, decodeControl, encodeControl } from './control.ts';
import { type BfdParameters, type BfdSession, createBfdSession } from './session.ts';

/** What tells sessions apart. */
export interface BfdEnds {
  readonly interface: number;
  readonly local: Addr;
  readonly peer: Addr;
}

export interface BfdEntry extends BfdEnds {
  readonly session: BfdSession;
}

/** The sessions of single hops (RFC 5881). Source: VPP v26.06 `vnet/bfd/bfd_udp.c`. */
export interface Bfd {
  readonly all: ReadonlyMap<string, BfdEntry>;
  find(ends: BfdEnds): BfdEntry | undefined;
  /** The ends must not have a session yet. */
  add(ends: BfdEnds, parameters: BfdParameters): void;
  remove(entry: BfdEntry): void;
  /** Ends the sessions of an interface that goes, and tells so. */
  removeInterface(index: number): void;
  /** Called whenever a session has another state. */
  onChanged: (entry: BfdEntry) => void;
  close(): void;
}

const bfdPort = 3784;
/** RFC 5881 section 4: 49152 to 65535. */
const sourcePortMin = 49_152;
const sourcePorts = 65_536 - sourcePortMin;
/** Whoever is further away cannot send it (RFC 5082). */
const hopLimit = 255;

export function createBfd(plane: Plane, clock: Clock, random: () => number): Bfd {
  const all = new Map<string, BfdEntry>();
  const byDiscriminator = new Map<number, BfdEntry>();
  let made = 0;
  const keyOf = (ends: BfdEnds) => `${ends.interface} ${ends.local} ${ends.peer}`;

  function remove(entry: BfdEntry): void {
    entry.session.close();
    all.delete(keyOf(entry));
    byDiscriminator.delete(entry.session.discriminator);
    // Without a session the port belongs to the host again.
    if (all.size === 0) plane.udpPorts.delete(bfdPort);
  }

  function receive(packet: Packet): void {
    const problem = take(packet);
    const node = `bfd-udp${packet.family}-input`;
    if (problem === undefined) note(packet, node, 'a control packet');
    else drop(packet, node, problem);
  }

  /** Gives the packet to its session, or says why not. */
  function take(packet: Packet): string | undefined {
    const { l3, family } = packet;
    const control = decodeControl(l3.subarray(headerBytes(l3, family) + 8));
    if (control === undefined) return 'no BFD control packet';
    const ends = {
      interface: packet.rx.index,
      local: targetOf(l3, family),
      peer: sourceOf(l3, family),
    };
    const entry = control.yours === 0 ? all.get(keyOf(ends)) : byDiscriminator.get(control.yours);
    if (entry === undefined || entry.local !== ends.local || entry.peer !== ends.peer)
      return 'no session matches';
    if (hopLimitOf(l3, family) !== hopLimit) return 'it came over a router';
    entry.session.receive(control);
    return undefined;
  }

  const bfd: Bfd = {
    all,
    find: (ends) => all.get(keyOf(ends)),
    add(ends, parameters) {
      const discriminator = freeDiscriminator(byDiscriminator, random);
      const sourcePort = sourcePortMin + (made++ % sourcePorts);
      const session = createBfdSession({
        clock,
        discriminator,
        parameters,
        random,
        send: (control) => send(plane, ends, sourcePort, control),
        changed: () => bfd.onChanged(entry),
      });
      const entry: BfdEntry = { ...ends, session };
      all.set(keyOf(ends), entry);
      byDiscriminator.set(discriminator, entry);
      plane.udpPorts.set(bfdPort, receive);
    },
    remove,
    removeInterface(index) {
      for (const entry of [...all.values()]) {
        if (entry.interface !== index) continue;
        entry.session.setAdminUp(false);
        remove(entry);
      }
    },
    onChanged: () => undefined,
    close() {
      for (const entry of [...all.values()]) remove(entry);
    },
  };
  return bfd;
}

function freeDiscriminator(taken: ReadonlyMap<number, unknown>, random: () => number): number {
  let one = Math.floor(random() * 0xffff_ffff) + 1;
  while (taken.has(one)) one = (one % 0xffff_ffff) + 1;
  return one;
}

/** Straight to the neighbour: no route is looked up for a single hop. */
function send(plane: Plane, ends: BfdEnds, sourcePort: number, control: BfdControl): void {
  const out = plane.interfaces.get(ends.interface);
  // It has no name of its own on the way out: VPP sends it as if it came from local0.
  const from = plane.interfaces.get(0);
  if (out === undefined || from === undefined) return;
  const l3 = buildIp({
    source: ends.local,
    target: ends.peer,
    protocol: Protocol.udp,
    hopLimit,
    payload: udpSegment(sourcePort, bfdPort, encodeControl(control)),
  });
  const packet = createPacket(l3, from, undefined);
  packet.local = true;
  plane.next.adjacency(packet, out, ends.peer);
}

/** Whether both are of one IP family. */
export function isOneFamily({ local, peer }: BfdEnds): boolean {
  return addrFamily(local) === addrFamily(peer);
}
