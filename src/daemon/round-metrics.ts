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
      if (everyone || changed.services || changed.slices) sync.observe(round.durationMs / 1000);
      if (!round.connected.has('vpp') || round.withheld.has('vpp')) return;
      for (const key of changed.slices ?? []) {
        const slice = facts.slices.get(key);
        if (slice === undefined || slice.triggerMs < startedMs) continue;
        const labels = { ip_family: `IPv${slice.family}` };
        metrics.programming.observe(labels, (nowMs - slice.triggerMs) / 1000);
        metrics.syncDuration.observe(labels, round.durationMs / 1000);
      }
    },
  };
}
