import { familyOf } from '../core/ip.ts';
import type { Round } from './loop.ts';
import type { Metrics } from './metrics.ts';

type RoundMetrics = Pick<
  Metrics,
  | 'roundDuration'
  | 'stageDuration'
  | 'rowChanges'
  | 'translationFailures'
  | 'programming'
  | 'syncDuration'
  | 'fullSyncDuration'
  | 'partialSyncDuration'
  | 'lastSync'
  | 'endpointChanges'
  | 'serviceChanges'
  | 'learnedRoutes'
>;

/**
 * What the loop tells, as metrics. The programming latency is the SLI of kube-proxy: from the
 * trigger time of an EndpointSlice to its being in force. Slices triggered before the daemon
 * started are left out: their age says nothing about the daemon.
 */
export function roundObserver(metrics: RoundMetrics, startedMs: number) {
  return {
    onStage(event: {
      readonly stage: string;
      readonly changes: number;
      readonly failed: number;
      readonly durationMs: number;
      readonly operation: 'put' | 'delete';
    }) {
      const { stage, operation } = event;
      metrics.stageDuration.observe({ stage, operation }, event.durationMs / 1000);
      const labels = { table: stage, operation };
      metrics.rowChanges.inc({ ...labels, outcome: 'done' }, event.changes - event.failed);
      metrics.rowChanges.inc({ ...labels, outcome: 'failed' }, event.failed);
      if (stage === 'translations') metrics.translationFailures.inc(event.failed);
    },
    onRound(round: Round) {
      const nowMs = Date.now();
      metrics.roundDuration.observe(round.durationMs / 1000);
      metrics.lastSync.set(nowMs / 1000);
      const { changed, facts } = round.snapshot;
      metrics.endpointChanges.inc(changed.slices?.size ?? 0);
      metrics.serviceChanges.inc(changed.services?.size ?? 0);
      metrics.learnedRoutes.set(facts.learnedRoutes.size);
      const everyone = changed.config !== undefined || changed.uplink !== undefined;
      const sync = everyone ? metrics.fullSyncDuration : metrics.partialSyncDuration;
      // One round serves both families: it counts once for each that it touched.
      for (const family of familiesOf(round)) {
        sync.observe({ ip_family: `IPv${family}` }, round.durationMs / 1000);
        metrics.syncDuration.observe({ ip_family: `IPv${family}` }, round.durationMs / 1000);
      }
      if (!round.connected.has('vpp') || round.withheld.has('vpp')) return;
      for (const key of changed.slices ?? []) {
        const slice = facts.slices.get(key);
        if (slice === undefined || slice.triggerMs < startedMs) continue;
        const labels = { ip_family: `IPv${slice.family}` };
        metrics.programming.observe(labels, (nowMs - slice.triggerMs) / 1000);
      }
    },
  };
}

/** IP families of the Services and slices that changed; of all Services when everything did. */
function familiesOf({ snapshot: { changed, facts } }: Round): ReadonlySet<4 | 6> {
  const families = new Set<4 | 6>();
  const everyone = changed.config !== undefined || changed.uplink !== undefined;
  const services = everyone ? facts.services.keys() : (changed.services ?? []);
  for (const key of services) {
    if (families.size === 2) return families;
    for (const ip of facts.services.get(key)?.clusterIps ?? []) families.add(familyOf(ip));
  }
  for (const key of changed.slices ?? []) {
    const slice = facts.slices.get(key);
    if (slice !== undefined) families.add(slice.family);
  }
  return families;
}
