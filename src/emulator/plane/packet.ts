import { type Family, ipFromAddr } from '../address.ts';
import type { Flow } from '../cnat/flow.ts';
import { headerBytes, Protocol, protocolOf, sourceOf, targetOf } from '../packet/headers.ts';
import type { Interface } from './interfaces.ts';

/** One thing that happened to a packet: in which node, what was decided and why. */
export interface Step {
  /** VPP's name of the node, such as `cnat-input-ip4`. */
  readonly node: string;
  readonly text: string;
}

/** A frame that left the data plane. */
export interface Output {
  readonly interface: string;
  readonly bytes: Buffer;
}

/** What cnat knows of a packet on its way. Source: v26.06 `cnat_node.h`, `session.state`. */
export type FlowState = 'none' | 'new' | 'found' | 'return' | 'done' | 'error';

/** A packet on its way through the data plane. Its bytes change in place. */
export interface Packet {
  /** From the IP header on; 14 bytes before it are free for an Ethernet header. */
  l3: Buffer;
  readonly family: Family;
  rx: Interface;
  flowState: FlowState;
  flow: Flow | undefined;
  /** cnat shall not remember the way back. */
  noReturnFlow: boolean;
  /** Made here: its hop limit is not decremented. */
  local: boolean;
  /** The table in which it is looked up; undefined: that of the interface. */
  readonly tableId: number | undefined;
  /** Tunnels entered so far; bounded by `tunnelDepthMax`. */
  depth: number;
  /** Where explanations go; undefined when nobody reads them. */
  readonly steps: Step[] | undefined;
}

/** Packets wrapped deeper than this are dropped, as VPP does for a route loop of tunnels. */
export const tunnelDepthMax = 8;

export function createPacket(l3: Buffer, rx: Interface, steps: Step[] | undefined): Packet {
  return {
    l3,
    family: (l3[0] ?? 0) >> 4 === 6 ? 6 : 4,
    rx,
    flowState: 'none',
    flow: undefined,
    noReturnFlow: false,
    local: false,
    tableId: undefined,
    depth: 0,
    steps,
  };
}

/** `10.0.0.1:1234 > 10.0.0.2:80 tcp` for people. */
export function describePacket(l3: Buffer, family: Family): string {
  if (l3.length < (family === 4 ? 20 : 40)) return `${l3.length} bytes`;
  const source = ipFromAddr(sourceOf(l3, family));
  const target = ipFromAddr(targetOf(l3, family));
  const protocol = protocolOf(l3, family);
  const at = headerBytes(l3, family);
  const name = protocolName(protocol);
  const ported =
    protocol === Protocol.tcp || protocol === Protocol.udp || protocol === Protocol.sctp;
  if (ported && l3.length >= at + 4) {
    const wrap = (ip: string) => (family === 6 ? `[${ip}]` : ip);
    return `${wrap(source)}:${l3.readUInt16BE(at)} > ${wrap(target)}:${l3.readUInt16BE(at + 2)} ${name}`;
  }
  return `${source} > ${target} ${name}`;
}

export function protocolName(protocol: number): string {
  for (const [name, value] of Object.entries(Protocol)) if (value === protocol) return name;
  return `protocol ${protocol}`;
}

export function note(packet: Packet, node: string, text: string): void {
  packet.steps?.push({ node, text });
}

/** The node's name with the family at its end: `cnat-input` becomes `cnat-input-ip4`. */
export function byFamily(name: string, packet: Packet): string {
  return `${name}-ip${packet.family}`;
}

/** One line a step, for people. */
export function formatSteps(steps: readonly Step[]): string {
  const width = Math.max(0, ...steps.map((step) => step.node.length));
  return steps.map((step) => `${step.node.padEnd(width)}  ${step.text}`).join('\n');
}
