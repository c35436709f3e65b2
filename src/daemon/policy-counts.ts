import type { VerdictCounts } from '../core/control-policy.ts';
import type { Desired } from '../desired/desired.ts';
import type { ObjectKey } from '../model/facts.ts';
import type { Direction } from '../policy/peers.ts';
import type { PodLists } from '../policy/plan.ts';
import { filterCounters, type RuleCount } from './filter-counters.ts';
import {
  type FilterUse,
  filterUses,
  plannedLists,
  policiesBehind,
  verdictsOf,
} from './policy-uses.ts';
import type { VppStats } from './vpp-stats.ts';

/**
 * Packets by policy and verdict since the daemon started.
 *
 * VPP counts by filter and rule, and a filter lives as long as its text: one pod more among the
 * peers is another filter, whose counts begin at 0. So what was counted since the last look is
 * added up here, by what the rules are there for. A rule that several policies want counts for
 * each of them. What meets a filter after the last look at it is lost.
 */
export interface PolicyCounts {
  /** Adds what VPP has counted since the last look; nothing while it cannot be asked. */
  look(): Promise<void>;
  /** By policy, such as `NetworkPolicy/shop/web`; only those that counted anything. */
  totals(): ReadonlyMap<string, VerdictCounts>;
  /** What policies in audit mode would have denied, by pod and direction. */
  audited(): Iterable<AuditCount>;
}

export interface AuditCount {
  readonly policy: string;
  readonly pod: ObjectKey;
  readonly direction: Direction;
  readonly packets: number;
}

export interface PolicyCountsOptions {
  readonly desired: Pick<Desired, 'keys' | 'row'>;
  readonly stats: VppStats;
  /** VPP's indices of filters by name; undefined while VPP is away. */
  readonly handles: () => ReadonlyMap<string, number> | undefined;
}

interface State {
  /** Packets by filter and rule at the last look; undefined before the first. */
  seen: ReadonlyMap<string, readonly RuleCount[]> | undefined;
  readonly totals: Map<string, Record<keyof VerdictCounts, number>>;
  readonly audited: Map<string, { -readonly [K in keyof AuditCount]: AuditCount[K] }>;
}

export function createPolicyCounts(options: PolicyCountsOptions): PolicyCounts {
  const state: State = { seen: undefined, totals: new Map(), audited: new Map() };
  let looking: Promise<void> | undefined;
  return {
    // Whoever asks during a look shares it: two would count the same packets twice.
    look() {
      looking ??= look(options, state).finally(() => {
        looking = undefined;
      });
      return looking;
    },
    totals: () => state.totals,
    audited: () => state.audited.values(),
  };
}

async function look({ desired, stats, handles }: PolicyCountsOptions, state: State): Promise<void> {
  const indices = handles();
  const lists = plannedLists(desired);
  const uses = filterUses(lists);
  const known = new Map([...(indices ?? [])].filter(([name]) => uses.has(name)));
  const counts = indices && (await filterCounters(stats, known));
  if (counts === undefined) return;
  const { seen } = state;
  state.seen = counts;
  forget(state, lists);
  // VPP may have counted for days before this daemon.
  if (seen === undefined) return;
  for (const [name, rules] of counts) {
    const use = uses.get(name);
    if (use === undefined) continue;
    const before = seen.get(name) ?? [];
    for (const [rule, { packets }] of rules.entries()) {
      const had = before[rule]?.packets ?? 0;
      // Fewer than before: VPP, or the filter, is new.
      const more = packets < had ? packets : packets - had;
      if (more > 0) add(state, use, rule, more);
    }
  }
}

function add({ totals, audited }: State, use: FilterUse, rule: number, more: number): void {
  const action = use.filter.rules[rule]?.action;
  if (action === undefined) return;
  const told = new Set<string>();
  for (const { pod, direction, reasons } of use.by)
    for (const { first, count, by } of reasons) {
      if (rule < first || first + count <= rule) continue;
      for (const { policy, verdict } of verdictsOf(by, action)) {
        if (verdict === 'audited') {
          const key = auditKey(policy, pod, direction);
          const entry = audited.get(key) ?? { policy, pod, direction, packets: 0 };
          audited.set(key, { ...entry, packets: entry.packets + more });
        }
        if (told.has(`${verdict} ${policy}`)) continue;
        told.add(`${verdict} ${policy}`);
        const total = totals.get(policy) ?? { allowed: 0, denied: 0, audited: 0 };
        total[verdict] += more;
        totals.set(policy, total);
      }
    }
}

function auditKey(policy: string, pod: ObjectKey, direction: Direction): string {
  return `${policy} ${pod} ${direction}`;
}

/** Policies and pods that are gone, so that what is remembered stays as small as the node. */
function forget({ totals, audited }: State, lists: readonly PodLists[]): void {
  const policies = new Set<string>();
  const audits = new Set<string>();
  for (const { pod, egress, ingress } of lists)
    for (const [direction, list] of [
      ['Egress', egress],
      ['Ingress', ingress],
    ] as const)
      for (const [policy, isAudited] of policiesBehind(list)) {
        policies.add(policy);
        if (isAudited) audits.add(auditKey(policy, pod, direction));
      }
  for (const policy of totals.keys()) if (!policies.has(policy)) totals.delete(policy);
  for (const key of audited.keys()) if (!audits.has(key)) audited.delete(key);
}
