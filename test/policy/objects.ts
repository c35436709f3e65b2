import type {
  ClusterNetworkPolicy,
  ClusterRule,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  PodSelector,
  PolicyRule,
} from '../../src/model/facts.ts';

/** Builders of policies for tests: the smallest that is valid, then what the test says. */
export function selector(
  matchLabels: Labels = {},
  ...expressions: readonly [key: string, operator: Operator, ...values: string[]][]
): LabelSelector {
  return {
    matchLabels,
    matchExpressions: expressions.map(([key, operator, ...values]) => ({ key, operator, values })),
  };
}

type Operator = LabelSelector['matchExpressions'][number]['operator'];

/** With the label that the API server gives every namespace (NP-06). */
export function namespace(key: string, labels: Labels = {}): Namespace {
  return { key, labels: { 'kubernetes.io/metadata.name': key, ...labels } };
}

/** Selects every pod of its namespace; its types are the directions that have a list of rules. */
export function policy(key: string, given: Partial<NetworkPolicy>): NetworkPolicy {
  return {
    key,
    uid: `uid-${key}`,
    namespace: key.slice(0, key.indexOf('/')),
    podSelector: selector(),
    policyTypes: [
      ...(given.ingress === undefined ? [] : (['Ingress'] as const)),
      ...(given.egress === undefined ? [] : (['Egress'] as const)),
    ],
    ingress: [],
    egress: [],
    mode: 'enforce',
    ...given,
  };
}

export function rule(peers: PolicyRule['peers'] = [], ports: PolicyRule['ports'] = []): PolicyRule {
  return { peers, ports };
}

/** Of tier Admin, for every pod. */
export function clusterPolicy(
  key: string,
  given: Partial<ClusterNetworkPolicy>,
): ClusterNetworkPolicy {
  return {
    key,
    uid: `uid-${key}`,
    tier: 'Admin',
    priority: 10,
    subject: pods(),
    ingress: [],
    egress: [],
    ...given,
  };
}

export function clusterRule(
  action: ClusterRule['action'],
  peers: ClusterRule['peers'] = [],
  ports: ClusterRule['ports'] = [],
): ClusterRule {
  return { name: '', action, peers, ports };
}

export function pods(
  inside: PodSelector['namespace'] = selector(),
  selected: LabelSelector = selector(),
): PodSelector {
  return { namespace: inside, pods: selected };
}
