import type { ErrorView } from '../core/control-api.ts';
import type { Facts } from '../model/store.ts';
import { filterSessions } from '../vpp/filter-sessions.ts';
import type { VppTarget } from '../vpp/target.ts';
import { explainPod } from './explain-pod-policies.ts';
import { explainFlow } from './explain-policy.ts';
import type { Loop } from './loop.ts';
import type { PolicyCounts } from './policy-counts.ts';
import { policyFigures, policyViews } from './policy-views.ts';
import type { DaemonView } from './view.ts';
import type { VppStats } from './vpp-stats.ts';

export interface ObservedPolicies {
  readonly facts: Facts;
  readonly loop: Pick<Loop, 'desired' | 'reconciler'>;
  readonly stats: VppStats;
  readonly vpp: Pick<VppTarget, 'handles' | 'connection'>;
  readonly counts: PolicyCounts;
  readonly problems: () => readonly ErrorView[];
}

/** What may be seen of policies. */
export function observePolicies(
  observed: ObservedPolicies,
): Pick<
  DaemonView,
  'policies' | 'policyCounts' | 'policyFigures' | 'policySessions' | 'explainFlow' | 'explainPod'
> {
  const { loop, vpp, counts } = observed;
  const parts = { ...observed, handles: () => vpp.handles?.filters };
  return {
    async policies() {
      await counts.look();
      return policyViews(parts);
    },
    async policyCounts() {
      await counts.look();
      return counts.totals();
    },
    policyFigures: () => policyFigures(loop),
    async policySessions() {
      try {
        return vpp.connection && (await filterSessions(vpp.connection));
      } catch {
        // VPP has gone during the call: whoever asks learns that nobody knows.
        return undefined;
      }
    },
    explainFlow: (question) => explainFlow(parts, question),
    explainPod: (pod) => explainPod(parts, pod),
  };
}
