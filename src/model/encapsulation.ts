import { familyOf } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Config } from './config.ts';
import type { Node, Uplink } from './facts.ts';

/** How packets travel between nodes that no router between them could reach by pod addresses. */
export const encapsulations = ['ipip', 'gre', 'vxlan'] as const;
export type Encapsulation = (typeof encapsulations)[number];

/** On a Node: how it wants what other nodes send it. */
export const encapsulationAnnotation = 'kube-vpp-router.io/encapsulation';

/** What stands between the outer IP header and the packet: RFC 2784; RFC 7348 with Ethernet. */
const innerHeaderBytes: { readonly [E in Encapsulation]: number } = { ipip: 0, gre: 4, vxlan: 30 };
const ipHeaderBytes: { readonly [F in 4 | 6]: number } = { 4: 20, 6: 40 };

/** No link with IPv6 may have less (RFC 8200 section 5). */
const mtuMin = 1280;

/** Bytes that a tunnel over IPv4 or IPv6 adds to a packet. */
export function overheadOf(encapsulation: Encapsulation, outer: 4 | 6): number {
  return ipHeaderBytes[outer] + innerHeaderBytes[encapsulation];
}

/** How a node receives; the configuration's word where the node says nothing, or nonsense. */
export function encapsulationTo(node: Node | undefined, config: Config): Encapsulation {
  const wanted = node?.annotations[encapsulationAnnotation];
  return encapsulations.find((one) => one === wanted) ?? config.overlay.encapsulation;
}

export function encapsulationProblems(node: Node, config: Config): Problem[] {
  const wanted = node.annotations[encapsulationAnnotation];
  if (wanted === undefined || encapsulations.some((one) => one === wanted)) return [];
  const choice = encapsulations.join(', ');
  return [
    {
      object: `Node/${node.key}`,
      field: `metadata.annotations[${encapsulationAnnotation}]`,
      reason: `${JSON.stringify(wanted)} is none of ${choice}; ${config.overlay.encapsulation} is used`,
    },
  ];
}

/** Bytes of a new pod's packet: what is configured, or what passes the tunnels in one piece. */
export function podMtuOf(config: Config, uplink: Uplink): number {
  if (config.pods.mtu !== 0) return config.pods.mtu;
  return Math.max(mtuMin, uplink.mtu - largestOverhead(config, uplink));
}

export function podMtuProblems(config: Config, uplink: Uplink): Problem[] {
  const overhead = largestOverhead(config, uplink);
  const mtu = podMtuOf(config, uplink);
  if (mtu + overhead <= uplink.mtu) return [];
  const what = overhead === 0 ? '' : ` and ${overhead} of ${config.overlay.encapsulation}`;
  const reason = `packets of ${mtu} bytes${what} exceed the MTU ${uplink.mtu} of ${uplink.interface}; large ones are cut or refused`;
  return [{ object: 'config', field: 'pods.mtu', reason }];
}

/** Of the tunnels that this node can have by configuration. */
function largestOverhead(config: Config, uplink: Uplink): number {
  const { mode, encapsulation } = config.overlay;
  if (mode === 'none') return 0;
  const outer = uplink.addresses.map(({ ip }) => overheadOf(encapsulation, familyOf(ip)));
  return Math.max(0, ...outer);
}
