import type { VerdictCounts } from '../core/control-policy.ts';
import type { Desired } from '../desired/desired.ts';
import type { FilterListRow, FilterRow } from '../desired/rows.ts';
import type { ObjectKey } from '../model/facts.ts';
import type { List, RuleReason } from '../policy/lists.ts';
import type { Direction } from '../policy/peers.ts';
import { listsBehind, type PodLists } from '../policy/plan.ts';
import type { Reason } from '../policy/program.ts';

/** A filter that policies made, and whose it is. Pods with the same rules share it. */
export interface FilterUse {
  readonly filter: FilterRow;
  /** For each pod that has it in a direction, why its rules are there. */
  readonly by: readonly {
    readonly pod: ObjectKey;
    readonly direction: Direction;
    readonly reasons: readonly RuleReason[];
  }[];
}

/** The lists of all pods of this node, as they were planned last. */
export function plannedLists(desired: Pick<Desired, 'keys' | 'row'>): PodLists[] {
  return [...desired.keys('filterLists')].flatMap((name) => {
    const row = desired.row('filterLists', name) as FilterListRow | undefined;
    return (row && listsBehind(row)) ?? [];
  });
}

/** Filters of policies by their names. */
export function filterUses(lists: readonly PodLists[]): ReadonlyMap<string, FilterUse> {
  const uses = new Map<string, { filter: FilterRow; by: FilterUse['by'][number][] }>();
  for (const { pod, egress, ingress } of lists)
    for (const [direction, list] of [
      ['Egress', egress],
      ['Ingress', ingress],
    ] as const) {
      const reasons = reasonsByFilter(list);
      for (const filter of list.filters) {
        const use = uses.get(filter.name) ?? { filter, by: [] };
        use.by.push({ pod, direction, reasons: reasons.get(filter.name) ?? [] });
        uses.set(filter.name, use);
      }
    }
  return uses;
}

const known = new WeakMap<List, ReadonlyMap<string, readonly RuleReason[]>>();

/** Reasons of a list by the filters' names; a list never changes, so they are remembered by it. */
export function reasonsByFilter(list: List): ReadonlyMap<string, readonly RuleReason[]> {
  const found = known.get(list);
  if (found !== undefined) return found;
  const groups = new Map<string, RuleReason[]>();
  for (const reason of list.reasons) {
    const group = groups.get(reason.filter);
    if (group === undefined) groups.set(reason.filter, [reason]);
    else group.push(reason);
  }
  known.set(list, groups);
  return groups;
}

const concerned = new WeakMap<List, ReadonlyMap<string, boolean>>();

/** Policies behind a list; true for those that it audits. */
export function policiesBehind(list: List): ReadonlyMap<string, boolean> {
  const found = concerned.get(list);
  if (found !== undefined) return found;
  const policies = new Map<string, boolean>();
  for (const { by } of list.reasons)
    for (const { policy, verdict } of verdictsOf(by, 'permit'))
      policies.set(policy, policies.get(policy) === true || verdict === 'audited');
  concerned.set(list, policies);
  return policies;
}

/** What a match of a rule says of a policy. */
export interface Verdict {
  readonly policy: string;
  readonly verdict: keyof VerdictCounts;
}

/** Whose verdict a match of a rule is: of an audited packet also that of what is asked next. */
export function verdictsOf(by: Reason, action: FilterRow['rules'][number]['action']): Verdict[] {
  const of = (policies: readonly string[], verdict: Verdict['verdict']) =>
    policies.map((policy) => ({ policy, verdict }));
  switch (by.kind) {
    case 'rule':
      return of([by.policy], action === 'deny' ? 'denied' : 'allowed');
    case 'isolated':
      return of(by.policies, 'denied');
    case 'audited':
      return [...of(by.policies, 'audited'), ...verdictsOf(by.by, action)];
    case 'self':
    case 'always':
    case 'node':
    case 'closed':
    case 'tooLarge':
    case 'default':
      return [];
  }
}

/** NetworkPolicies select the pod in this direction: what none of them allows is denied (NP-03). */
export function isIsolated({ reasons }: List): boolean {
  return reasons.some((one) => one.by.kind === 'isolated');
}
