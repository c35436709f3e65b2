import type { Abf } from '../acl/abf.ts';
import type { AccessLists } from '../acl/acl.ts';
import type { SourceLists } from '../acl/macip.ts';
import type { Addr, Family } from '../address.ts';
import type { Cnat } from '../cnat/nodes.ts';
import type { Fib } from '../fib/fib.ts';
import type { Drops } from './drops.ts';
import type { Interface, Interfaces } from './interfaces.ts';
import type { Neighbours } from './neighbours.ts';
import { note, type Packet, type Step } from './packet.ts';
import type { Reassembly } from './reassembly.ts';

/** Where packets that VPP has no use for are sent: an interface and a next hop. */
export interface PuntRedirect {
  /** Interface they arrived on, or `noInterface` for any. */
  readonly receivedOn: number;
  readonly family: Family;
  readonly interface: number;
  readonly nextHop: Addr | undefined;
}

/** The state of the data plane, and the nodes that call each other in circles. */
export interface Plane {
  readonly interfaces: Interfaces;
  readonly fib: Fib;
  readonly neighbours: Neighbours;
  readonly cnat: Cnat;
  readonly acl: AccessLists;
  readonly sources: SourceLists;
  readonly abf: Abf;
  readonly reassembly: Reassembly;
  readonly drops: Drops;
  readonly punts: Map<string, PuntRedirect>;
  /** Readers of UDP ports inside of the data plane. */
  readonly udpPorts: Map<number, (packet: Packet) => void>;
  /** UDP ports that are punted although no redirect of protocols says so; `'all'`: every one. */
  readonly puntUdp: { 4: boolean; 6: boolean };
  /** UDP ports that VXLAN tunnels opened; VPP never closes them again. */
  readonly vxlanPorts: { readonly 4: Set<number>; readonly 6: Set<number> };
  /** Seconds since the start. */
  now(): number;
  /** Frames that leave go here first when a walk is being explained. */
  outputs: { interface: string; bytes: Buffer }[] | undefined;
  readonly next: {
    ipInput(packet: Packet): void;
    ipLookup(packet: Packet): void;
    ipLocal(packet: Packet): void;
    icmpError(packet: Packet, type: number, code: number, word?: number): void;
    /** Sends through an adjacency: header, MTU, output features. */
    adjacency(packet: Packet, out: Interface, nextHop: Addr): void;
    tunnel(packet: Packet, out: Interface): void;
    /** Sends the frame of a packet into a tunnel that carries frames. */
    frameTunnel(packet: Packet, out: Interface, frame: Buffer): void;
    /** A frame arrives, out of `depth` tunnels. */
    ethernetInput(rx: Interface, frame: Buffer, steps: Step[] | undefined, depth: number): void;
    /** The packet arrives once more, on that interface. */
    receiveAgain(packet: Packet, on: Interface): void;
  };
}

export function drop(packet: Packet, node: string, why: string): void {
  packet.rx.counters.drops++;
  note(packet, node, `dropped: ${why}`);
}
