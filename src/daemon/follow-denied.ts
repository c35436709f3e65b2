import { type Clock, realClock, sleep } from '../core/clock.ts';
import type { TranslationRow } from '../desired/rows.ts';
import { createRawSender } from '../host/raw-sender.ts';
import type { Config } from '../model/config.ts';
import type { Store } from '../model/store.ts';
import { createDeniedFlows, type DeniedFlows, denyCounters } from '../vpp/denied-flows.ts';
import type { VppTarget } from '../vpp/target.ts';
import { createFrontendIndex } from './frontend-index.ts';
import type { Loop } from './loop.ts';
import { createPolicyLog, explainDenied, type PolicyLog } from './policy-log.ts';
import { createRefuser, type Refuser } from './refuse-denied.ts';
import type { Log } from './start.ts';
import { sumOf, type VppStats } from './vpp-stats.ts';

/** Between two looks for the log. */
export const lookMs = 1_000;
/** The same where clients wait for an answer. */
export const refuseLookMs = 100;

/** What becomes of denied packets: the configuration's `policy`. */
export type DeniedWishes = Pick<Config['policy'], 'denied' | 'log'>;

/** Looks until the signal aborts: every second for the log, ten times as often to refuse. */
export async function followDenied(options: {
  readonly denied: DeniedFlows;
  readonly policyLog: PolicyLog;
  readonly refuser: Refuser;
  readonly wanted: () => DeniedWishes;
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { denied, policyLog, refuser, wanted, onError, clock, signal } = options;
  while (!signal.aborted) {
    const { denied: manner, log } = wanted();
    const refuses = manner === 'refuse';
    try {
      const packets = await denied.look(log.enabled || refuses, refuses ? 'often' : 'seldom');
      if (refuses) refuser.take(packets);
      if (log.enabled) policyLog.take(packets, log.rate);
    } catch (error) {
      // VPP has gone during a call: the next look finds out.
      onError(error);
    }
    // An abort during the pause is the wish to end.
    await sleep(clock, refuses ? refuseLookMs : lookMs, signal).catch(() => undefined);
  }
}

/** Denied packets as lines of the log, and refused, while the configuration says so. */
export function startDenied(parts: {
  readonly store: Store;
  readonly vpp: Pick<VppTarget, 'connection'>;
  readonly stats: VppStats;
  readonly loop: Pick<Loop, 'reconciler'>;
  /** As the daemon started. */
  readonly config: Config;
  readonly log: Log;
  readonly signal: AbortSignal;
}): AsyncDisposable {
  const { store, vpp, stats, loop, config, log } = parts;
  const { facts } = store;
  const { monotonic } = realClock;
  const stop = new AbortController();
  const denied = createDeniedFlows({
    connection: () => vpp.connection,
    async denied() {
      const found = await stats.read(denyCounters);
      return found === undefined ? undefined : sumOf(found);
    },
    directory: config.vpp.tmpDir,
    monotonic,
    log: (message, fields) => log.warn(fields, message),
  });
  const policyLog = createPolicyLog({
    facts,
    explainDenied: (flow) => explainDenied(facts, flow),
    log: (message, fields) => log.info(fields, message),
    monotonic,
  });
  const sender = createRawSender();
  const refuser = createRefuser({
    facts,
    frontends: createFrontendIndex(() => translationsOf(loop), monotonic),
    send: ({ packet, to }) => sender.send(packet, to),
    monotonic,
    log: (message, error) => log.warn({ err: error }, message),
  });
  const following = followDenied({
    denied,
    policyLog,
    refuser,
    wanted: () => (facts.config.get('config') ?? config).policy,
    onError: (error) => log.debug({ err: error }, 'denied flows not looked at'),
    clock: realClock,
    signal: AbortSignal.any([parts.signal, stop.signal]),
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      await denied[Symbol.asyncDispose]();
      sender[Symbol.dispose]();
    },
  };
}

/** Those that VPP holds. */
function* translationsOf({ reconciler }: Pick<Loop, 'reconciler'>): Iterable<TranslationRow> {
  for (const key of reconciler.appliedKeys('translations')) {
    const row = reconciler.applied('translations', key);
    if (row !== undefined) yield row as TranslationRow;
  }
}
