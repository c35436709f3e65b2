import { isDeepStrictEqual } from 'node:util';
import type { Ip } from '../core/ip.ts';
import { nodeBgp } from './bgp-annotations.ts';
import { encapsulationAnnotation } from './encapsulation.ts';
import type { Node, Uplink } from './facts.ts';

/**
 * Which part of a Node changed: most planners read one of them, and a Node changes for many
 * reasons that are none of theirs.
 * - `way`: its addresses, and how packets to it are encapsulated;
 * - `role`: its AS, and what it is to route reflection;
 * - `neighbours`: its labels and the neighbours that it names;
 * - `pods`: the prefixes of its pods;
 * - `zone`: the label.
 */
export type NodePart = 'way' | 'role' | 'neighbours' | 'pods' | 'zone';

/** Well-known label of a Node: where it stands. */
export const zoneLabel = 'topology.kubernetes.io/zone';

/** What each part is made of. */
const read: { readonly [P in NodePart]: (node: Node) => unknown } = {
  way: (node) => [node.internalIps, node.annotations[encapsulationAnnotation]],
  role: (node) => {
    const { asn, reflector, reflectorClient } = nodeBgp(node);
    return [asn, reflector, reflectorClient];
  },
  neighbours: (node) => [node.labels, nodeBgp(node).peers],
  pods: (node) => node.podCidrs,
  zone: (node) => node.labels[zoneLabel],
};
const parts = Object.keys(read) as NodePart[];

/** The parts that differ; all of them when the Node came or went. */
export function changedParts(before: Node | undefined, after: Node | undefined): NodePart[] {
  if (before === undefined || after === undefined) return parts;
  return parts.filter((part) => !isDeepStrictEqual(read[part](before), read[part](after)));
}

/** Entries of `ChangedKeys.nodeParts`. */
export function nodePartKey(part: NodePart, node: string): string {
  return `${part} ${node}`;
}

/** Whether a part of this Node changed, or of any Node. */
export function hasChanged(
  changed: { readonly nodeParts?: ReadonlySet<string> },
  part: NodePart,
  node?: string,
): boolean {
  const { nodeParts } = changed;
  if (nodeParts === undefined) return false;
  if (node !== undefined) return nodeParts.has(nodePartKey(part, node));
  for (const key of nodeParts) if (key.startsWith(`${part} `)) return true;
  return false;
}

/** A node's addresses: those that it has, and those that its object names. */
export function addressesOfNode(uplink: Uplink | undefined, node: Node | undefined): Ip[] {
  return [...(uplink?.addresses ?? []).map(({ ip }) => ip), ...(node?.internalIps ?? [])];
}
