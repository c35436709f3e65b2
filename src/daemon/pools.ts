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
import { allocateAddresses, type ServiceChanges } from '../lb-pools/writer.ts';
import type { Config } from '../model/config.ts';
import type { ChangedKeys, Store } from '../model/store.ts';
import { createServiceChanges } from './service-changes.ts';

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
  let problems: readonly Problem[] = [];
  let leading = false;
  // Who leads decides about everything at first, so nobody else needs to remember what changed.
  const changes = createServiceChanges(() => leading);
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
    changes.take();
    log.info({ lease: leaseName }, 'gives addresses to load balancers');
    try {
      await allocateAddresses(
        {
          facts: store.facts,
          pools,
          loadBalancerClass: () => current().class,
          write: (key, status, limit) => writeServiceStatus(client, key, status, limit),
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

  // Without pools somebody else gives out addresses; the first pool needs no restart.
  const needed = () => current().pools.length > 0;
  let term = new AbortController();

  async function run(): Promise<void> {
    await options.synced;
    while (!signal.aborted) {
      await whenTrue(needed, changes, signal);
      term = new AbortController();
      await runElection({
        store: createLeaseStore(client, config.loadBalancer.leaseNamespace, leaseName),
        identity: config.nodeName,
        clock,
        signal: AbortSignal.any([signal, term.signal]),
        lead,
        onError: (error) => log.warn({ error: errorText(error) }, 'the Lease could not be kept'),
      });
    }
  }

  const running = run().catch((error) => {
    if (!signal.aborted) log.warn({ error: errorText(error) }, 'address pools ended');
  });
  return {
    onRound(changed) {
      changes.add(changed);
      if (changed.config && !needed()) term.abort(new Error('no pool is left'));
    },
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

async function whenTrue(test: () => boolean, changes: ServiceChanges, signal: AbortSignal) {
  while (!test()) {
    await changes.wait(signal);
    changes.take();
  }
}
