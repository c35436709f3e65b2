import type { PolicyFinding } from '../core/control-policy-lint.ts';
import { type Prefix, parsePrefix } from '../core/ip.ts';
import type {
  ClusterNetworkPolicy,
  ClusterRule,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Pod,
  PodSelector,
  PolicyPeer,
  PolicyRule,
  Protocol,
} from '../model/facts.ts';
import { everyPod, isPeer, policyRef, selectionId } from '../model/selections.ts';
import type { Facts } from '../model/store.ts';
import {
  namespaceNameLabel,
  type PortSpan,
  type Reach,
  selects,
  type Traffic,
} from './contains.ts';

/** Takes one mistake of the policy that is looked at. */
export type Report = (
  severity: PolicyFinding['severity'],
  finding: PolicyFinding['finding'],
  what: Pick<PolicyFinding, 'field' | 'written' | 'meant'>,
) => void;

/** What the search for mistakes asks of the cluster. Every answer is found once. */
export interface World {
  readonly facts: Facts;
  /** Pods that policies concern (`isPeer`). */
  podsOf(selector: PodSelector): readonly Pod[];
  namespacesOf(selector: LabelSelector): readonly Namespace[];
  labelsOf(namespace: string): Labels;
  /** Numbers of the container ports of this name, in the whole cluster. */
  portsNamed(name: string, protocol: Protocol): ReadonlySet<number>;
}

export function lookAt(facts: Facts): World {
  const byNamespace = groupPods(facts);
  const spaces = new Map<string, readonly Namespace[]>();
  const pods = new Map<string, readonly Pod[]>();
  const named = new Map<string, Set<number>>();
  for (const list of byNamespace.values())
    for (const { ports } of list)
      for (const { name, protocol, containerPort } of ports) {
        const id = `${name}/${protocol}`;
        const numbers = named.get(id) ?? new Set();
        named.set(id, numbers.add(containerPort));
      }
  const world: World = {
    facts,
    labelsOf: (name) => facts.namespaces.get(name)?.labels ?? { [namespaceNameLabel]: name },
    namespacesOf: (selector) =>
      remembered(spaces, JSON.stringify(selector), () =>
        [...facts.namespaces.values()].filter((one) => selects(selector, one.labels)),
      ),
    podsOf: (selector) =>
      remembered(pods, selectionId(selector), () => {
        const { namespace } = selector;
        const names =
          typeof namespace === 'string'
            ? [namespace]
            : world.namespacesOf(namespace).map((one) => one.key);
        return names.flatMap((name) =>
          (byNamespace.get(name) ?? []).filter((one) => selects(selector.pods, one.labels)),
        );
      }),
    portsNamed: (name, protocol) => named.get(`${name}/${protocol}`) ?? new Set(),
  };
  return world;
}

function groupPods(facts: Facts): ReadonlyMap<string, readonly Pod[]> {
  const groups = new Map<string, Pod[]>();
  for (const pod of facts.pods.values()) {
    if (!isPeer(pod)) continue;
    const group = groups.get(pod.namespace);
    if (group === undefined) groups.set(pod.namespace, [pod]);
    else group.push(pod);
  }
  return groups;
}

function remembered<V>(known: Map<string, V>, id: string, find: () => V): V {
  const before = known.get(id);
  if (before !== undefined) return before;
  const found = find();
  known.set(id, found);
  return found;
}

/** A rule of either sort of policy, with the place of each part. */
export interface LintRule {
  readonly direction: 'ingress' | 'egress';
  /** `spec.ingress[0]`. */
  readonly field: string;
  /** Absent in NetworkPolicies, which only accept. */
  readonly action?: ClusterRule['action'];
  readonly peers: readonly { readonly field: string; readonly reach: Reach }[];
  readonly ports: readonly { readonly field: string; readonly span: PortSpan }[];
  readonly traffic: Traffic;
}

export interface LintPolicy {
  readonly object: string;
  readonly subject: PodSelector;
  readonly subjectField: string;
  readonly rules: readonly LintRule[];
  readonly source:
    | { readonly kind: 'namespaced'; readonly policy: NetworkPolicy }
    | { readonly kind: 'cluster'; readonly policy: ClusterNetworkPolicy };
}

export function readPolicy(policy: NetworkPolicy): LintPolicy {
  const rules = (direction: 'ingress' | 'egress') =>
    policy[direction].map((rule, i) => {
      const field = `spec.${direction}[${i}]`;
      const list = direction === 'ingress' ? 'from' : 'to';
      const peers = rule.peers.map((peer, p) => ({
        field: `${field}.${list}[${p}]`,
        reach: reachOf(peer, policy.namespace),
      }));
      return ruleOf({ direction, field }, peers, rule);
    });
  return {
    object: policyRef('NetworkPolicy', policy.key),
    subject: { namespace: policy.namespace, pods: policy.podSelector },
    subjectField: 'spec.podSelector',
    rules: [...rules('ingress'), ...rules('egress')],
    source: { kind: 'namespaced', policy },
  };
}

export function readClusterPolicy(policy: ClusterNetworkPolicy): LintPolicy {
  const rules = (direction: 'ingress' | 'egress') =>
    policy[direction].map((rule, i) => {
      const field = `spec.${direction}[${i}]`;
      const list = direction === 'ingress' ? 'from' : 'to';
      const peers = rule.peers.flatMap(({ pods, nodes, networks }, p) => {
        const at = `${field}.${list}[${p}]`;
        if (pods !== undefined) return [{ field: at, reach: { kind: 'pods', pods } as Reach }];
        if (nodes !== undefined) return [{ field: at, reach: { kind: 'nodes', nodes } as Reach }];
        return (networks ?? []).map((cidr, n) => ({
          field: `${at}.networks[${n}]`,
          reach: { kind: 'block', cidr, except: [] } as Reach,
        }));
      });
      return { ...ruleOf({ direction, field }, peers, rule), action: rule.action };
    });
  return {
    object: policyRef('ClusterNetworkPolicy', policy.key),
    subject: policy.subject,
    subjectField: 'spec.subject',
    rules: [...rules('ingress'), ...rules('egress')],
    source: { kind: 'cluster', policy },
  };
}

function reachOf({ podSelector, namespaceSelector, ipBlock }: PolicyPeer, own: string): Reach {
  if (ipBlock !== undefined) {
    const cidr = parsePrefix(ipBlock.cidr);
    const except = ipBlock.except.map(parsePrefix).filter((one) => one !== undefined);
    // What is no prefix never becomes a fact (src/kube); were it one, it would match nobody.
    return { kind: 'block', cidr: cidr ?? nowhere, except };
  }
  const pods = { namespace: namespaceSelector ?? own, pods: podSelector ?? everyPod.pods };
  return { kind: 'pods', pods };
}

/** RFC 6666: packets to it are discarded. */
const nowhere = '100::/64' as Prefix;

function ruleOf(
  place: Pick<LintRule, 'direction' | 'field'>,
  peers: LintRule['peers'],
  rule: Pick<PolicyRule | ClusterRule, 'ports' | 'peers'>,
): LintRule {
  const ports = rule.ports.map(({ protocol, port, endPort }, p) => ({
    field: `${place.field}.${'action' in rule ? 'protocols' : 'ports'}[${p}]`,
    span: { protocol, port: spanOf(port, endPort) },
  }));
  const traffic: Traffic = {
    peers: rule.peers.length === 0 ? 'all' : peers.map(({ reach }) => reach),
    ports: rule.ports.length === 0 ? 'all' : ports.map(({ span }) => span),
  };
  return { ...place, peers, ports, traffic };
}

function spanOf(port: number | string | undefined, endPort: number | undefined): PortSpan['port'] {
  if (typeof port === 'string') return port;
  return port === undefined ? [0, 65_535] : [port, endPort ?? port];
}

/** The pods that packets of a rule go to, as far as they are pods. */
export function destinationsOf(world: World, policy: LintPolicy, rule: LintRule): readonly Pod[] {
  if (rule.direction === 'ingress') return world.podsOf(policy.subject);
  if (rule.traffic.peers === 'all') return world.podsOf(everyPod);
  const found = rule.peers.flatMap(({ reach }) =>
    reach.kind === 'pods' ? world.podsOf(reach.pods) : [],
  );
  return [...new Set(found)];
}

/** For people: `app=web, tier in (a b)`; `everything` for an empty selector. */
export function selectorWords({ matchLabels, matchExpressions }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `no ${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'not in'} (${values.join(' ')})`;
  });
  return [...labels, ...expressions].join(', ') || 'everything';
}

export function podsWords({ namespace, pods }: PodSelector): string {
  const what = selectorWords(pods);
  const where =
    typeof namespace === 'string'
      ? `namespace ${namespace}`
      : `namespaces with ${selectorWords(namespace)}`;
  return `${what === 'everything' ? 'every pod' : `pods with ${what}`} of ${where}`;
}

export function spanWords({ protocol, port }: PortSpan): string {
  const what =
    typeof port === 'string'
      ? `port ${port}`
      : port[0] === port[1]
        ? `port ${port[0]}`
        : port[0] === 0
          ? 'every port'
          : `ports ${port[0]}-${port[1]}`;
  return protocol === undefined ? what : `${protocol} ${what}`;
}
