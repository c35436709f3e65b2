import type { ErrorView, RowStatus } from '../core/control-api.ts';
import type { PolicyFigures, PolicyView, VerdictCounts } from '../core/control-policy.ts';
import { podInterfaceName } from '../desired/names.ts';
import type { FilterListRow } from '../desired/rows.ts';
import type { Attachment, ClusterNetworkPolicy, NetworkPolicy, Pod } from '../model/facts.ts';
import { appliesTo, clusterPolicyApplies, knownPod } from '../model/policed.ts';
import { policyRef } from '../model/selections.ts';
import type { Facts } from '../model/store.ts';
import { policiesOf } from '../policy/explain.ts';
import { listsBehind, type PodLists } from '../policy/plan.ts';
import type { Loop } from './loop.ts';
import type { PolicyCounts } from './policy-counts.ts';
import { filterUses, isIsolated, plannedLists } from './policy-uses.ts';
import { errorsOf, statusOf } from './row-status.ts';

/** `kvr show policies`, and figures for metrics: what this node makes of each policy. */
export interface PolicyViewParts {
  readonly facts: Facts;
  readonly loop: Pick<Loop, 'desired' | 'reconciler'>;
  readonly counts: Pick<PolicyCounts, 'totals'>;
  readonly problems: () => readonly ErrorView[];
}

const nothing: VerdictCounts = { allowed: 0, denied: 0, audited: 0 };

/** Every policy of the cluster; those with pods on this node first, then by name. */
export function policyViews(parts: PolicyViewParts): PolicyView[] {
  const { facts, loop, counts } = parts;
  const subjects = subjectsOf(facts);
  const uses = usesByPolicy(loop);
  const errors = errorsOf(loop, 'filterLists');
  const problems = parts.problems();
  const totals = counts.totals();
  const view = (
    policy: string,
    told: Pick<PolicyView, 'mode' | 'directions'>,
    applies: (pod: Pod) => boolean,
  ): PolicyView => {
    const own = subjects.filter(({ pod }) => applies(pod));
    const use = uses.get(policy);
    const mine = problems.filter(({ object }) => object === policy);
    return {
      policy,
      ...told,
      pods: own.map(({ pod }) => pod.key).sort(),
      filters: use?.filters ?? 0,
      rules: use?.rules ?? 0,
      ...nothing,
      ...totals.get(policy),
      status: worst(
        own.map(({ attachment }) => {
          const name = podInterfaceName(attachment.hostInterface);
          return statusOf(loop, 'filterLists', name, errors).status;
        }),
      ),
      problems: mine.map(({ field, reason }) => `${field}: ${reason}`),
    };
  };
  const all = [
    ...[...facts.policies.values()].map((one) =>
      view(policyRef('NetworkPolicy', one.key), aboutPolicy(one), (pod) => appliesTo(one, pod)),
    ),
    ...[...facts.clusterPolicies.values()].map((one) =>
      view(policyRef('ClusterNetworkPolicy', one.key), aboutClusterPolicy(one), (pod) =>
        clusterPolicyApplies(facts, one, pod),
      ),
    ),
  ];
  const rank = (one: PolicyView) => Number(one.pods.length === 0);
  return all.sort((a, b) => rank(a) - rank(b) || (a.policy < b.policy ? -1 : 1));
}

function aboutPolicy({ mode, policyTypes }: NetworkPolicy) {
  return { mode, directions: policyTypes };
}

function aboutClusterPolicy({ tier, priority, ingress, egress }: ClusterNetworkPolicy) {
  const directions = [
    ...(ingress.length > 0 ? (['Ingress'] as const) : []),
    ...(egress.length > 0 ? (['Egress'] as const) : []),
  ];
  return { mode: `${tier} ${priority}`, directions };
}

function subjectsOf(facts: Facts): { readonly pod: Pod; readonly attachment: Attachment }[] {
  return [...facts.attachments.values()].flatMap((attachment) => {
    const pod = knownPod(facts, attachment);
    return pod === undefined ? [] : [{ pod, attachment }];
  });
}

interface Use {
  filters: number;
  rules: number;
}

function usesByPolicy({ desired }: Pick<Loop, 'desired'>): ReadonlyMap<string, Use> {
  const uses = new Map<string, Use>();
  for (const { by } of filterUses(plannedLists(desired)).values()) {
    const places = new Map<string, Map<number, number>>();
    for (const { reasons } of by)
      for (const reason of reasons)
        for (const policy of policiesOf(reason.by)) {
          const own = places.get(policy) ?? new Map<number, number>();
          places.set(policy, own.set(reason.first, reason.count));
        }
    for (const [policy, own] of places) {
      const use = uses.get(policy) ?? { filters: 0, rules: 0 };
      use.filters++;
      use.rules += [...own.values()].reduce((sum, count) => sum + count, 0);
      uses.set(policy, use);
    }
  }
  return uses;
}

function worst(statuses: readonly RowStatus[]): RowStatus {
  return (['failed', 'pending'] as const).find((one) => statuses.includes(one)) ?? 'done';
}

/** How the pod of an interface stands, as planned; closed until it is. */
export function standOf({ desired }: Pick<Loop, 'desired'>, interfaceName: string): string {
  const row = desired.row('filterLists', interfaceName) as FilterListRow | undefined;
  const lists = row && listsBehind(row);
  return lists === undefined ? 'closed' : podStand(lists);
}

/** How a pod stands: `closed`, `open`, `ingress` and `egress` where it is isolated, or `rules`. */
export function podStand({ known, egress, ingress }: PodLists): string {
  if (!known) return 'closed';
  const isolated = [
    ...(isIsolated(ingress) ? ['ingress'] : []),
    ...(isIsolated(egress) ? ['egress'] : []),
  ];
  if (isolated.length > 0) return isolated.join('+');
  // Without policies there is one filter, which lets everything pass.
  return egress.filters.length + ingress.filters.length > 2 ? 'rules' : 'open';
}

export function policyFigures({ desired }: Pick<Loop, 'desired'>): PolicyFigures {
  const lists = plannedLists(desired);
  const stands = lists.map(podStand);
  const count = (isMeant: (stand: string) => boolean) => stands.filter(isMeant).length;
  const uses = [...filterUses(lists).values()];
  return {
    pods: {
      closed: count((stand) => stand === 'closed'),
      open: count((stand) => stand === 'open'),
      isolatedIngress: count((stand) => stand.startsWith('ingress')),
      isolatedEgress: count((stand) => stand.endsWith('egress')),
    },
    filters: uses.length,
    rules: uses.reduce((sum, { filter }) => sum + filter.rules.length, 0),
  };
}
