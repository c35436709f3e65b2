import { type Clock, sleep } from '../core/clock.ts';
import type { PolicyCounts } from './policy-counts.ts';

/**
 * What policies in audit mode would deny, as lines of the log: the first at once, then one a
 * minute for each policy, pod and direction, with what was counted in between.
 */
export interface PolicyAudit {
  /** Tells what is due. */
  tell(): void;
}

export interface PolicyAuditOptions {
  readonly counts: Pick<PolicyCounts, 'audited'>;
  readonly log: (message: string, fields: object) => void;
  /** Milliseconds that never step. */
  readonly monotonic: () => number;
}

export const repeatMs = 60_000;
/** Lines at one time; the others wait for the next. */
export const linesMax = 50;

export function createPolicyAudit({ counts, log, monotonic }: PolicyAuditOptions): PolicyAudit {
  let told = new Map<string, { readonly packets: number; readonly atMs: number }>();
  return {
    tell() {
      const now = monotonic();
      const next: typeof told = new Map();
      let lines = 0;
      for (const { policy, pod, direction, packets } of counts.audited()) {
        const key = `${policy} ${pod} ${direction}`;
        const before = told.get(key);
        const more = packets - (before?.packets ?? 0);
        const isDue = more > 0 && (before === undefined || now - before.atMs >= repeatMs);
        if (!isDue || lines === linesMax) {
          if (before !== undefined) next.set(key, before);
          continue;
        }
        lines++;
        log('would be denied', { policy, pod, direction: direction.toLowerCase(), packets: more });
        next.set(key, { packets, atMs: now });
      }
      told = next;
    },
  };
}

/** Between two looks at VPP's counters: what a filter counts after the last look at it is lost. */
export const lookMs = 10_000;

/** Looks at the counters and tells, until the signal aborts. */
export async function followPolicies(options: {
  readonly counts: PolicyCounts;
  readonly audit: PolicyAudit;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { counts, audit, clock, signal } = options;
  while (!signal.aborted) {
    await counts.look();
    audit.tell();
    // An abort during the pause is the wish to end.
    await sleep(clock, lookMs, signal).catch(() => undefined);
  }
}
