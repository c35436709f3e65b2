import { addToGroup, removeFromGroup } from '../core/groups.ts';
import type { Ip } from '../core/ip.ts';
import type {
  Attachment,
  ClusterNetworkPolicy,
  EndpointSlice,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  Service,
} from './facts.ts';
import { createGated, indexGated } from './gated.ts';
import { changedParts, nodePartKey } from './node-parts.ts';
import { indexOutside } from './outside.ts';
import { createSelectionIndex, type SelectionIndex } from './selection-index.ts';
import {
  policyRef,
  type SelectionId,
  selectorsOfClusterPolicy,
  selectorsOfPolicy,
} from './selections.ts';
import type { FactKind, MarkedKind } from './store.ts';

/** Indexes of facts, which are part of the facts: `facts` are those that they are made of. */
export function createIndexes(facts: {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly namespaces: ReadonlyMap<string, Namespace>;
}) {
  return {
    slicesOf: new Map<string, Set<string>>(),
    policiesIn: new Map<string, Set<string>>(),
    nodeOf: new Map<Ip, string>(),
    gated: createGated(),
    outside: new Map<string, Set<string>>(),
    selections: createSelectionIndex(facts),
  };
}

/** Brings the indexes up to date with one fact, and marks what changed in them. */
export function indexFact(
  { slicesOf, policiesIn, nodeOf, gated, outside, selections }: ReturnType<typeof createIndexes>,
  kind: FactKind,
  key: string,
  facts: readonly [unknown, unknown],
  mark: (kind: MarkedKind, key: string) => void,
): void {
  if (kind === 'slices') {
    const slices = facts as readonly (EndpointSlice | undefined)[];
    for (const slice of slices) if (slice !== undefined) mark('slicesOf', slice.service);
    const [was, is] = slices.map((slice) => slice?.service);
    // A slice may change its Service in life: the label is mutable.
    if (was !== undefined && was !== is) removeFromGroup(slicesOf, was, key);
    if (is !== undefined && was !== is) addToGroup(slicesOf, is, key);
  }
  if (kind === 'services') {
    const [was, is] = facts as readonly (Service | undefined)[];
    for (const reason of indexGated(gated, key, was, is)) mark('gated', reason);
    for (const place of indexOutside(outside, key, was, is)) mark('outside', place);
  }
  if (kind === 'policies') {
    const [was, is] = facts as readonly (NetworkPolicy | undefined)[];
    if (is !== undefined) addToGroup(policiesIn, is.namespace, key);
    else if (was !== undefined) removeFromGroup(policiesIn, was.namespace, key);
  }
  if (kind === 'nodes') {
    const [was, is] = facts as readonly (Node | undefined)[];
    for (const address of indexNode(nodeOf, key, was, is)) mark('nodeOf', address);
    for (const part of changedParts(was, is)) mark('nodeParts', nodePartKey(part, key));
  }
  for (const id of indexSelections(selections, kind, key, facts)) mark('selections', id);
}

function indexSelections(
  index: SelectionIndex,
  kind: FactKind,
  key: string,
  facts: readonly [unknown, unknown],
): Iterable<SelectionId> {
  if (kind === 'pods') {
    const [was, is] = facts as readonly (Pod | undefined)[];
    return index.changePod(key, was, is);
  }
  if (kind === 'attachments') {
    const [was, is] = facts as readonly (Attachment | undefined)[];
    return index.changeAttachment(was, is);
  }
  if (kind === 'namespaces') {
    const [was, is] = facts as readonly (Namespace | undefined)[];
    return index.changeNamespace(key, was, is);
  }
  if (kind === 'policies') {
    const [was, is] = facts as readonly (NetworkPolicy | undefined)[];
    const user = policyRef('NetworkPolicy', key);
    return index.changeUser(
      user,
      was === undefined ? [] : selectorsOfPolicy(was),
      is === undefined ? [] : selectorsOfPolicy(is),
    );
  }
  if (kind === 'clusterPolicies') {
    const [was, is] = facts as readonly (ClusterNetworkPolicy | undefined)[];
    const user = policyRef('ClusterNetworkPolicy', key);
    return index.changeUser(
      user,
      was === undefined ? [] : selectorsOfClusterPolicy(was),
      is === undefined ? [] : selectorsOfClusterPolicy(is),
    );
  }
  return [];
}

/** Returns the addresses that have another Node now, or none any more. */
function indexNode(
  nodeOf: Map<Ip, string>,
  key: string,
  before: Node | undefined,
  after: Node | undefined,
): readonly Ip[] {
  const [was, is] = [before?.internalIps ?? [], after?.internalIps ?? []];
  const lost = was.filter((ip) => nodeOf.get(ip) === key && !is.includes(ip));
  const gained = is.filter((ip) => nodeOf.get(ip) !== key);
  for (const ip of lost) nodeOf.delete(ip);
  for (const ip of gained) nodeOf.set(ip, key);
  return [...lost, ...gained];
}
