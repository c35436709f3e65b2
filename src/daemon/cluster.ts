import { realClock as clock } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import { loadKubeAccess } from '../kube/access.ts';
import { type KubeSource, watchKube } from '../kube/watch-kube.ts';
import type { Config } from '../model/config.ts';
import type { Store } from '../model/store.ts';
import type { Round } from './loop.ts';
import { startPools } from './pools.ts';
import { type Log, startEvents } from './start.ts';

/** Everything that talks to the API server: the source, Events, and addresses that are given. */
export interface Cluster extends AsyncDisposable {
  readonly kube: KubeSource;
  /** Services that wait for an address. */
  problems(): readonly Problem[];
  /** To be told of each round. */
  onRound(round: Round): void;
}

export async function startCluster(options: {
  readonly config: Config;
  readonly store: Store;
  /** All problems, for Events. */
  readonly allProblems: () => readonly Problem[];
  /** Problems of the cluster's objects, when they change. */
  readonly onProblems: (problems: readonly Problem[]) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<Cluster> {
  const { config, store, log, signal, allProblems, onProblems } = options;
  const access = await loadKubeAccess(config.kube);
  const events = startEvents(access, config.nodeName, { log, signal, allProblems, store });
  const kube = watchKube({ store, access, clock, signal, log, onProblems });
  const { synced } = kube;
  const { announce } = events;
  const pools = startPools({ config, store, access, synced, clock, signal, log, announce });
  return {
    kube,
    problems: pools.problems,
    onRound: (round) => pools.onRound(round.snapshot.changed),
    async [Symbol.asyncDispose]() {
      for (const part of [pools, kube, events]) await part[Symbol.asyncDispose]();
    },
  };
}
