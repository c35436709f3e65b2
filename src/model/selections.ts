import type { Ip } from '../core/ip.ts';
import type {
  ClusterNetworkPolicy,
  LabelSelector,
  NetworkPolicy,
  Pod,
  PodSelector,
  PolicyPeer,
} from './facts.ts';

/**
 * Which pods the peers of policies select: an index of pods, namespaces and policies, kept by the
 * store. A change of a pod's labels asks only the selections that could match it, before or after.
 */
export interface Selections {
  /** Undefined when no policy asks for it. */
  get(id: SelectionId): Selection | undefined;
  /** Keys of the policies whose peers ask for it, as `policyRef` writes them. */
  usersOf(id: SelectionId): ReadonlySet<string>;
}

export type SelectionId = string;

export interface Selection {
  readonly id: SelectionId;
  /**
   * The members, partitioned so that a change of one concerns few: each bucket is a value that
   * never changes, and stays the same object while its members stay the same. None is empty. The
   * partition depends on nothing but the members.
   */
  readonly buckets: readonly Bucket[];
}

export interface Bucket {
  readonly family: 4 | 6;
  /** Sorted by address. */
  readonly members: readonly Member[];
}

/** One address (src/model/pod-addresses.ts) of a pod that may be a peer (`isPeer`). */
export interface Member {
  readonly ip: Ip;
  readonly pod: Pod;
}

/** NP-16, NP-18: pods of the host's network and pods that ended are nobody's peer. */
export function isPeer(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** Every pod of every namespace. */
export const everyPod: PodSelector = {
  namespace: { matchLabels: {}, matchExpressions: [] },
  pods: { matchLabels: {}, matchExpressions: [] },
};

/** The same for selectors that say the same in another order. */
export function selectionId({ namespace, pods }: PodSelector): SelectionId {
  const where = typeof namespace === 'string' ? `=${namespace}` : selectorText(namespace);
  return `${where}/${selectorText(pods)}`;
}

function selectorText({ matchLabels, matchExpressions }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => [key, 'In', [value]]);
  const expressions = matchExpressions.map(({ key, operator, values }) => [
    key,
    operator,
    [...values].sort(),
  ]);
  return JSON.stringify([...labels, ...expressions].map((one) => JSON.stringify(one)).sort());
}

export function policyRef(kind: 'NetworkPolicy' | 'ClusterNetworkPolicy', key: string): string {
  return `${kind}/${key}`;
}

/** What the peers of a NetworkPolicy select. */
export function selectorsOfPolicy(policy: NetworkPolicy): PodSelector[] {
  const ofPeer = ({ podSelector, namespaceSelector, ipBlock }: PolicyPeer) =>
    ipBlock === undefined
      ? { namespace: namespaceSelector ?? policy.namespace, pods: podSelector ?? everyPod.pods }
      : undefined;
  return [
    ...policy.ingress.flatMap((rule) => rule.peers.map(ofPeer)),
    ...policy.egress.flatMap((rule) => withNames(rule, rule.peers.map(ofPeer))),
  ].filter((one) => one !== undefined);
}

/** What the peers of a ClusterNetworkPolicy select. */
export function selectorsOfClusterPolicy(policy: ClusterNetworkPolicy): PodSelector[] {
  return [
    ...policy.ingress.flatMap((rule) => rule.peers.map((peer) => peer.pods)),
    ...policy.egress.flatMap((rule) =>
      withNames(
        rule,
        rule.peers.map((peer) => peer.pods),
      ),
    ),
  ].filter((one) => one !== undefined);
}

/** Where no pods are meant, a port's name means that of whatever pod is there (NP-11). */
function withNames(
  { ports }: { readonly ports: readonly { readonly port?: number | string }[] },
  selected: readonly (PodSelector | undefined)[],
): readonly (PodSelector | undefined)[] {
  const isNamed = ports.some(({ port }) => typeof port === 'string');
  const byAddress = selected.length === 0 || selected.includes(undefined);
  return isNamed && byAddress ? [...selected, everyPod] : selected;
}
