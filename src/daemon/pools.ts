import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/error-text.ts';
import type { Problem } from '../core/problem.ts';
import type { KubeAccess } from '../kube/access.ts';
import { createLeaseStore } from '../kube/lease-store.ts';
import { createKubeClient } from '../kube/request.ts';
import { writeServiceStatus } from '../kube/service-status.ts';
import type { KubeLog } from '../kube/watch-kube.ts';
import { runElection } from '../lb-pools/election.ts';
import { type Pool, parsePool } from '../lb-pools/pools.ts';
import { allocateAddresses } from '../lb-pools/writer.ts';
import type { Config } from '../model/config.ts';
import type { ChangedKeys, Store } from '../model/store.ts';

/**
 * Addresses for Services of type LoadBalancer: every daemon with pools stands for election, and
 * the one that is elected gives them out.
 */
export interface AddressPools extends AsyncDisposable {
  /** To be told of each round. */
  onRound(changed: ChangedKeys): void;
  /** Services that wait for an address; empty on all nodes but the leader's. */
  problems(): readonly Problem[];
  readonly leading: boolean;
}

export const leaseName = 'kube-vpp-router-load-balancer';

export interface PoolOptions {
  readonly config: Config;
  readonly store: Store;
  readonly access: KubeAccess;
  /** Resolves when the first complete picture of the cluster is in the store. */
  readonly synced: Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: KubeLog;
  /** Tells users that a Service got its addresses. */
  readonly announce?: (note: Problem) => void;
}

/** Stands for election until the signal aborts. */
export function startPools(options: PoolOptions): AddressPools {
  const { config, store, clock, log } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const client = createKubeClient(options.access, clock);
  const changes = createChanges();
  let problems: readonly Problem[] = [];
  let leading = false;
  const current = () => (store.facts.config.get('config') ?? config).loadBalancer;

  let parsedFrom: Config['loadBalancer']['pools'] | undefined;
  let parsed: Pool[] = [];
  const pools = () => {
    const { pools: configs } = current();
    if (configs !== parsedFrom) parsed = poolsOf(configs);
    parsedFrom = configs;
    return parsed;
  };

  async function lead(until: AbortSignal): Promise<void> {
    leading = true;
    log.info({ lease: leaseName }, 'gives addresses to load balancers');
    try {
      await allocateAddresses(
        {
          facts: store.facts,
          pools,
          loadBalancerClass: () => current().class,
          write: (key, ips, limit) => writeServiceStatus(client, key, ips, limit),
          changes,
          clock,
          onProblems: (found) => {
            problems = found;
          },
          onAllocated: (key, ips) => {
            log.info({ service: key, ips }, 'addresses given');
            options.announce?.({
              object: `Service/${key}`,
              field: 'status.loadBalancer',
              reason: `addresses ${ips.join(', ')}`,
              event: 'AddressAllocated',
            });
          },
          onError: (key, error) =>
            log.warn({ service: key, error: errorText(error) }, 'address not written'),
        },
        until,
      );
    } finally {
      leading = false;
      problems = [];
    }
  }

  async function run(): Promise<void> {
    await options.synced;
    if (signal.aborted) return;
    await runElection({
      store: createLeaseStore(client, config.loadBalancer.leaseNamespace, leaseName),
      identity: config.nodeName,
      clock,
      signal,
      lead,
      onError: (error) => log.warn({ error: errorText(error) }, 'the Lease could not be kept'),
    });
  }

  // Without pools there is nothing to be elected for; the first pool needs no restart.
  const needed = () => current().pools.length > 0;
  const running = whenTrue(needed, changes, signal)
    .then(run)
    .catch((error) => {
      if (!signal.aborted) log.warn({ error: errorText(error) }, 'address pools ended');
    });
  return {
    onRound: changes.add,
    problems: () => problems,
    get leading() {
      return leading;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('address pools were closed'));
      await running;
      await client[Symbol.asyncDispose]();
    },
  };
}

function poolsOf(configs: Config['loadBalancer']['pools']): Pool[] {
  return configs.flatMap((one) => {
    const pool = parsePool(one);
    return pool.ok ? [pool.value] : [];
  });
}

type Changes = ReturnType<typeof createChanges>;

/** Keys of Services that changed, for one who takes them. */
function createChanges() {
  let keys = new Set<string>();
  let everything = false;
  let wake: (() => void) | undefined;
  return {
    add(changed: ChangedKeys) {
      for (const key of changed.services ?? []) keys.add(key);
      if (changed.config || changed.namespaces || changed.nodes) everything = true;
      if (keys.size > 0 || everything) wake?.();
    },
    async wait(signal: AbortSignal): Promise<void> {
      if (keys.size > 0 || everything) return;
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        wake = () => {
          signal.removeEventListener('abort', abort);
          resolve();
        };
      });
    },
    take(): ReadonlySet<string> | 'all' {
      const taken = everything ? ('all' as const) : keys;
      keys = new Set();
      everything = false;
      return taken;
    },
  };
}

async function whenTrue(test: () => boolean, changes: Changes, signal: AbortSignal) {
  while (!test()) {
    await changes.wait(signal);
    changes.take();
  }
}
