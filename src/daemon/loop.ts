import type { Clock } from '../core/clock.ts';
import { createDesired, type Desired } from '../desired/desired.ts';
import type { Stage } from '../desired/table.ts';
import type { FactKind, Snapshot, Store } from '../model/store.ts';
import type { Target } from '../reconcile/driver.ts';
import {
  createReconciler,
  type Failure,
  type Reconciler,
  type RoundResult,
  type StageEvent,
} from '../reconcile/reconciler.ts';
import { planChanges } from './planning.ts';

/**
 * The control loop: snapshot, plan, reconcile, and again.
 *
 * It wakes for a commit, a changed session of a target, and a row's retry. While a round is on
 * its way changes gather in the store, so a burst becomes one round and an idle daemon reacts
 * at once: no timer decides how long to collect.
 */
export interface Loop {
  readonly desired: Desired;
  readonly reconciler: Reconciler;
  /** The store's revision that is in force in VPP. */
  readonly appliedRevision: number;
  /** When the last round ended, ms since the epoch; undefined before the first. */
  readonly lastRoundMs: number | undefined;
  /** For how long the round of now runs, ms; undefined between rounds. */
  readonly roundRunningMs: number | undefined;
  /** When the oldest change arrived that is not in force, ms since the epoch. */
  readonly oldestPendingMs: number | undefined;
  /**
   * Resolves when a revision is in force in VPP and `ready` agrees (it is asked after each
   * round); rejects when the signal aborts first.
   */
  whenApplied(revision: number, signal: AbortSignal, ready?: () => boolean): Promise<void>;
  /** Settles when the signal of the loop aborts. */
  readonly finished: Promise<void>;
}

export interface Round extends RoundResult {
  readonly snapshot: Snapshot;
  readonly durationMs: number;
}

export interface LoopOptions {
  readonly store: Store;
  readonly targets: readonly Target[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onRound?: (round: Round) => void;
  readonly onStage?: (event: StageEvent) => void;
  readonly onFailure?: (failure: Failure) => void;
}

/**
 * Sources that must have delivered a first complete list before rows of a table are deleted:
 * until then absence means nothing. Tables that are not named here wait for the cluster's nodes,
 * the configuration and the uplink.
 */
const always: readonly FactKind[] = ['config', 'uplink', 'nodes'];
const deleteNeeds: { readonly [S in Stage]?: readonly FactKind[] } = {
  interfaces: [...always, 'attachments', 'learnedRoutes', 'services'],
  addresses: [...always, 'attachments'],
  neighbours: [...always, 'attachments'],
  natInterfaces: [...always, 'attachments', 'learnedRoutes', 'services'],
  linkStates: [...always, 'attachments'],
  routes: [...always, 'attachments', 'learnedRoutes', 'services'],
  filters: [...always, 'services', 'slices'],
  filterLists: [...always, 'services', 'slices', 'attachments'],
  sessionPauses: [...always, 'services', 'slices'],
  translations: [...always, 'services', 'slices', 'pods'],
  bgpPaths: [...always, 'services', 'slices'],
  bgpPeers: [...always, 'passwords'],
};

interface State {
  appliedRevision: number;
  lastRoundMs: number | undefined;
  pendingSinceMs: number | undefined;
  /** Monotonic start of the round that runs. */
  roundStartMs: number | undefined;
  readonly waiters: Set<Waiter>;
}

interface Waiter {
  readonly revision: number;
  readonly ready: () => boolean;
  readonly resolve: () => void;
}

/** Starts the loop; it runs until the signal aborts. */
export function startLoop(options: LoopOptions): Loop {
  const desired = createDesired();
  const reconciler = createReconciler({
    targets: options.targets,
    desired,
    clock: options.clock,
    ...(options.onStage === undefined ? {} : { onStage: options.onStage }),
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
  });
  const state: State = {
    appliedRevision: 0,
    lastRoundMs: undefined,
    pendingSinceMs: undefined,
    roundStartMs: undefined,
    waiters: new Set(),
  };
  return {
    desired,
    reconciler,
    get appliedRevision() {
      return state.appliedRevision;
    },
    get lastRoundMs() {
      return state.lastRoundMs;
    },
    get roundRunningMs() {
      const { roundStartMs } = state;
      return roundStartMs === undefined ? undefined : options.clock.monotonic() - roundStartMs;
    },
    get oldestPendingMs() {
      return state.pendingSinceMs;
    },
    whenApplied: (revision, signal, ready = () => true) =>
      waitApplied(state, { revision, ready }, signal),
    finished: run(options, state, desired, reconciler),
  };
}

async function run(
  options: LoopOptions,
  state: State,
  desired: Desired,
  reconciler: Reconciler,
): Promise<void> {
  const { store, signal, clock } = options;
  const sessions = watchSessions(options.targets);
  while (!signal.aborted) {
    const startMs = clock.monotonic();
    state.roundStartMs = startMs;
    const snapshot = store.takeSnapshot();
    planChanges(desired, snapshot);
    const mayDelete = (stage: Stage) =>
      (deleteNeeds[stage] ?? always).every((kind) => snapshot.synced.has(kind));
    sessions.look();
    try {
      const result = await reconciler.round({ signal, mayDelete });
      state.lastRoundMs = clock.now();
      options.onRound?.({ ...result, snapshot, durationMs: clock.monotonic() - startMs });
      if (result.connected.has('vpp')) recordApplied(state, snapshot.revision);
    } catch (error) {
      if (!signal.aborted) throw error;
      return;
    }
    state.roundStartMs = undefined;
    await nextReason(options, reconciler, sessions.changed());
    state.pendingSinceMs ??= clock.now();
  }
}

function recordApplied(state: State, revision: number): void {
  state.appliedRevision = revision;
  state.pendingSinceMs = undefined;
  for (const waiter of state.waiters) {
    if (waiter.revision > revision || !waiter.ready()) continue;
    state.waiters.delete(waiter);
    waiter.resolve();
  }
}

/**
 * Tells when a target's session changed since the last look. Each promise of a target gets one
 * reaction and is never raced itself: it lives as long as the session, and would keep what every
 * single round left at it.
 */
function watchSessions(targets: readonly Target[]) {
  const watched = new Map<Target, Promise<void>>();
  let hasChanged = false;
  let wake = () => {};
  const onChange = () => {
    hasChanged = true;
    wake();
  };
  return {
    look(): void {
      hasChanged = false;
      for (const target of targets) {
        const next = target.sessionChanged();
        if (watched.get(target) === next) continue;
        watched.set(target, next);
        void next.then(onChange);
      }
    },
    changed(): Promise<void> {
      if (hasChanged) return Promise.resolve();
      return new Promise((resolve) => {
        wake = resolve;
      });
    },
  };
}

/** Waits for the first reason for another round. */
async function nextReason(
  { store, clock, signal }: LoopOptions,
  reconciler: Reconciler,
  sessionsChanged: Promise<void>,
): Promise<void> {
  const retryMs = reconciler.nextRetryMs();
  let timer: { cancel(): void } | undefined;
  let abort = () => {};
  const aborted = new Promise<void>((resolve) => {
    abort = resolve;
  });
  signal.addEventListener('abort', abort, { once: true });
  const retry = new Promise<void>((resolve) => {
    if (retryMs !== undefined)
      timer = clock.after(Math.max(1, retryMs - clock.monotonic()), resolve);
  });
  await Promise.race([store.changed(), retry, aborted, sessionsChanged]);
  timer?.cancel();
  signal.removeEventListener('abort', abort);
}

function waitApplied(
  state: State,
  { revision, ready }: Omit<Waiter, 'resolve'>,
  signal: AbortSignal,
): Promise<void> {
  if (state.appliedRevision >= revision && ready()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const abort = () => {
      state.waiters.delete(waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      revision,
      ready,
      resolve: () => {
        signal.removeEventListener('abort', abort);
        resolve();
      },
    };
    if (signal.aborted) return reject(signal.reason);
    state.waiters.add(waiter);
    signal.addEventListener('abort', abort, { once: true });
  });
}
