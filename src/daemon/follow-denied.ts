import { realClock as clock } from '../core/clock.ts';
import type { Config } from '../model/config.ts';
import type { Store } from '../model/store.ts';
import { createDeniedFlows, denyCounters } from '../vpp/denied-flows.ts';
import type { VppTarget } from '../vpp/target.ts';
import { createPolicyLog, explainDenied, followDenied } from './policy-log.ts';
import type { Log } from './start.ts';
import { sumOf, type VppStats } from './vpp-stats.ts';

/** Denied flows in the log, while `policy.log.enabled` says so. */
export function startPolicyLog(parts: {
  readonly store: Store;
  readonly vpp: Pick<VppTarget, 'connection'>;
  readonly stats: VppStats;
  /** As the daemon started. */
  readonly config: Config;
  readonly log: Log;
  readonly signal: AbortSignal;
}): AsyncDisposable {
  const { store, vpp, stats, config, log } = parts;
  const { facts } = store;
  const { monotonic } = clock;
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
  const following = followDenied({
    denied,
    policyLog,
    wanted: () => (facts.config.get('config') ?? config).policy.log,
    onError: (error) => log.debug({ err: error }, 'denied flows not looked at'),
    clock,
    signal: AbortSignal.any([parts.signal, stop.signal]),
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      await denied[Symbol.asyncDispose]();
    },
  };
}
