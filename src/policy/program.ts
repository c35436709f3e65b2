import { addToGroup } from '../core/groups.ts';
import { hostPrefix, type Ip } from '../core/ip.ts';
import type { ClusterNetworkPolicy, NetworkPolicy } from '../model/facts.ts';
import { clusterPolicyApplies, policiesOf } from '../model/policed.ts';
import { policyRef } from '../model/selections.ts';
import { anyService, blocksOf, boxesOf, everything, intersectParts, type Part } from './boxes.ts';
import { partsOfClusterRule, partsOfRule, type RuleContext } from './peers.ts';

/**
 * What the policies say of one pod in one direction: clauses in order, of which the first that has
 * a packet decides. The last has every packet.
 *
 * Admin tier, then NetworkPolicies, then baseline tier, then everything is allowed. `Pass` leaves
 * a tier, which a list of clauses cannot do: in its place stands what the tiers below say of its
 * packets.
 */
export interface Clause {
  readonly action: 'allow' | 'deny';
  /** A union. */
  readonly parts: readonly Part[];
  readonly by: Reason;
}

/** Why a clause is there. */
export type Reason =
  | {
      readonly kind: 'rule';
      readonly policy: string;
      readonly index: number;
      readonly name: string;
    }
  /** The pod is isolated and no rule allowed the packet. */
  | { readonly kind: 'isolated'; readonly policies: readonly string[] }
  /** Policies in audit mode would isolate the pod; the clause says what happens instead. */
  | { readonly kind: 'audited'; readonly policies: readonly string[]; readonly by: Reason }
  /** NP-17. */
  | { readonly kind: 'self' }
  /** What no policy can forbid: errors of ICMP and so on, and what comes from the own node. */
  | { readonly kind: 'always' }
  | { readonly kind: 'node' }
  /** NP-19. */
  | { readonly kind: 'closed' }
  /** The policies are more than VPP can hold. */
  | { readonly kind: 'tooLarge' }
  /** Nothing forbids it. */
  | { readonly kind: 'default' };

/** A pod as the subject of policies. */
export interface Context extends RuleContext {
  /** Its addresses, which the Pod object may not have yet. */
  readonly addresses: readonly Ip[];
}

export function programOf(context: Context): readonly Clause[] {
  const clusterPolicies = clusterPoliciesOf(context);
  const baseline = tierClauses(
    context,
    clusterPolicies.filter((one) => one.tier === 'Baseline'),
    [{ action: 'allow', parts: [everything], by: { kind: 'default' } }],
  );
  const admin = clusterPolicies.filter((one) => one.tier === 'Admin');
  return tierClauses(context, admin, namespaceTier(context, baseline));
}

/** The rules of a policy for one direction. */
function rulesOf<Rule>(
  policy: { readonly ingress: readonly Rule[]; readonly egress: readonly Rule[] },
  { direction }: Context,
): readonly Rule[] {
  return direction === 'Ingress' ? policy.ingress : policy.egress;
}

function clusterPoliciesOf(context: Context): ClusterNetworkPolicy[] {
  const { facts, pod } = context;
  return [...facts.clusterPolicies.values()]
    .filter((one) => rulesOf(one, context).length > 0 && clusterPolicyApplies(facts, one, pod))
    .toSorted((a, b) => a.priority - b.priority || (a.key < b.key ? -1 : 1));
}

/** A tier of ClusterNetworkPolicies in front of what follows it. */
function tierClauses(
  context: Context,
  policies: readonly ClusterNetworkPolicy[],
  below: readonly Clause[],
): readonly Clause[] {
  const rules = policies.flatMap((policy) =>
    rulesOf(policy, context).map((rule, index) => ({ policy, rule, index })),
  );
  // Passing on where nothing of the tier follows changes nothing.
  const lastDecision = rules.findLastIndex(({ rule }) => rule.action !== 'Pass');
  const clauses: Clause[] = [];
  for (const { policy, rule, index } of rules.slice(0, lastDecision + 1)) {
    const parts = partsOfClusterRule(context, rule);
    const ref = policyRef('ClusterNetworkPolicy', policy.key);
    const by: Reason = { kind: 'rule', policy: ref, index, name: rule.name };
    if (rule.action === 'Pass') clauses.push(...restrict(below, parts));
    else clauses.push({ action: rule.action === 'Accept' ? 'allow' : 'deny', parts, by });
  }
  return [...clauses, ...below];
}

/** NP-03: NetworkPolicies that select a pod decide; otherwise what is below does. */
function namespaceTier(context: Context, below: readonly Clause[]): readonly Clause[] {
  const { facts, pod, direction } = context;
  const policies = policiesOf(facts, pod)
    .filter((one) => one.policyTypes.includes(direction))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const enforced = policies.filter((one) => one.mode === 'enforce');
  const refs = (list: readonly NetworkPolicy[]) =>
    list.map((one) => policyRef('NetworkPolicy', one.key));
  if (enforced.length > 0)
    return [
      ...selfClause(context),
      ...enforced.flatMap((policy) => ruleClauses(context, policy)),
      {
        action: 'deny',
        parts: [everything],
        by: { kind: 'isolated', policies: refs(enforced) },
      },
    ];
  const audited = policies.filter((one) => one.mode === 'audit');
  if (audited.length === 0) return below;
  // What they would let pass is judged as ever; so is the rest, under another name.
  const passing = [
    ...selfClause(context),
    ...audited.flatMap((policy) => ruleClauses(context, policy)),
  ];
  return [
    ...passing.flatMap((clause) => restrict(below, clause.parts)),
    ...below.map((clause) => ({
      ...clause,
      by: { kind: 'audited', policies: refs(audited), by: clause.by } as const,
    })),
  ];
}

/** NP-17: a pod and itself, as it comes back from a Service. */
function selfClause({ addresses }: Context): Clause[] {
  const self = boxesOf(addresses.map(hostPrefix), anyService);
  return [{ action: 'allow', parts: [self], by: { kind: 'self' } }];
}

function ruleClauses(context: Context, policy: NetworkPolicy): Clause[] {
  return rulesOf(policy, context).map((rule, index) => ({
    action: 'allow',
    parts: partsOfRule(context, rule, policy.namespace),
    by: { kind: 'rule', policy: policyRef('NetworkPolicy', policy.key), index, name: '' },
  }));
}

/** What clauses say of the packets of some parts alone. */
function restrict(clauses: readonly Clause[], parts: readonly Part[]): Clause[] {
  const meeting = partsByBlock(parts);
  return clauses.flatMap((clause) => {
    const both = clause.parts.flatMap((part) =>
      [...meeting(part)].map((other) => intersection(part, other)).filter((one) => one.length > 0),
    );
    return both.length === 0 ? [] : [{ ...clause, parts: both }];
  });
}

/** Finds the parts that may have a packet in common with another one: few of very many. */
function partsByBlock(parts: readonly Part[]): (part: Part) => Iterable<Part> {
  const wide: Part[] = [];
  const byBlock = new Map<string, Set<Part>>();
  for (const part of parts) {
    const blocks = blocksOf(part);
    if (blocks === 'wide') wide.push(part);
    else for (const block of blocks) addToGroup(byBlock, block, part);
  }
  return (part) => {
    const blocks = blocksOf(part);
    if (blocks === 'wide') return parts;
    return new Set([...wide, ...[...blocks].flatMap((block) => [...(byBlock.get(block) ?? [])])]);
  };
}

const intersections = new WeakMap<Part, WeakMap<Part, Part>>();

/** Remembered by both parts: a pod more in one bucket leaves the others as they are. */
function intersection(a: Part, b: Part): Part {
  if (a === everything) return b;
  if (b === everything) return a;
  let known = intersections.get(a);
  if (known === undefined) {
    known = new WeakMap();
    intersections.set(a, known);
  }
  let both = known.get(b);
  if (both === undefined) {
    both = intersectParts(a, b);
    known.set(b, both);
  }
  return both;
}
