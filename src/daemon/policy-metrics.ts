import { Counter, type Registry } from 'prom-client';
import type { VerdictCounts } from '../core/control-policy.ts';
import type { Looked, ScrapeView } from './metrics.ts';

/** Policies with series of their own: the busiest. */
export const policySeriesMax = 1_000;

const verdicts = ['allowed', 'denied', 'audited'] as const;

/** What policies do, looked up at each scrape. */
export function collectPolicies(
  registry: Registry,
  view: () => ScrapeView | undefined,
  looked: Looked,
): void {
  new Counter({
    name: 'kvr_policy_packets_total',
    help: 'Connections that rules of a policy allowed, packets that it denied, connections that it would deny (audited).',
    labelNames: ['policy', 'verdict'],
    registers: [registry],
    async collect() {
      const counts = (await view()?.policyCounts()) ?? new Map<string, VerdictCounts>();
      // What another scrape filled meanwhile is the same again.
      this.reset();
      for (const [policy, count] of busiest(counts))
        for (const verdict of verdicts)
          if (count[verdict] > 0) this.inc({ policy, verdict }, count[verdict]);
    },
  });
  looked(
    'kvr_policy_pods',
    'Pods by how policies leave them: open, isolated in a direction, closed until they are known.',
    ['state'],
    (gauge, now) => {
      const { pods } = now.policyFigures();
      gauge.set({ state: 'open' }, pods.open);
      gauge.set({ state: 'isolated-ingress' }, pods.isolatedIngress);
      gauge.set({ state: 'isolated-egress' }, pods.isolatedEgress);
      gauge.set({ state: 'closed' }, pods.closed);
    },
  );
  looked('kvr_policy_filters', 'Filters that policies became.', [], (gauge, now) =>
    gauge.set(now.policyFigures().filters),
  );
  looked('kvr_policy_filter_rules', 'Rules of those filters.', [], (gauge, now) =>
    gauge.set(now.policyFigures().rules),
  );
  looked(
    'kvr_policy_sessions',
    "Sessions of VPP's filters; where VPP has no room for more, new connections are dropped.",
    [],
    async (gauge, now) => {
      const sessions = await now.policySessions();
      if (sessions !== undefined) gauge.set(sessions);
      // Without labels there is a 0 where nothing is set.
      else gauge.remove();
    },
  );
}

function busiest(counts: ReadonlyMap<string, VerdictCounts>): [string, VerdictCounts][] {
  const sum = ({ allowed, denied, audited }: VerdictCounts) => allowed + denied + audited;
  if (counts.size <= policySeriesMax) return [...counts];
  return [...counts].sort(([, a], [, b]) => sum(b) - sum(a)).slice(0, policySeriesMax);
}
