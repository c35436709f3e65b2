import type { Clock } from '../core/clock.ts';
import { createDesired, type Desired } from '../desired/desired.ts';
import type { Snapshot, Store } from '../model/store.ts';
import type { Target } from '../reconcile/driver.ts';
import {
  createReconciler,
  type Failure,
  type Reconciler,
  type RoundResult,
  type StageEvent,
} from '../reconcile/reconciler.ts';
import { mayDelete, mayPut } from './needs.ts';
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
  /** The store's revision that is in force in VPP, to the last row. */
  readonly appliedRevision: number;
  /** When the last round ended, ms since the epoch; undefined before the first. */
  readonly lastRoundMs: number | undefined;
  /** For how long the round of now runs, ms; undefined between rounds. */
  readonly roundRunningMs: number | undefined;
  /** When the oldest change arrived that is not in force, ms since the epoch. */
  readonly oldestPendingMs: number | undefined;
  /**
   * Resolves when a revision is in force in VPP; rejects when the signal aborts first. With
   * `ready` it is enough that the revision was written as far as the sources allow, and that
   * `ready` agrees, which is asked after each round: a pod does not wait for Services.
   */
  whenApplied(revision: number, signal: AbortSignal, ready?: () => boolean): Promise<void>;
  /** Settles when the signal of the loop aborts. */
  readonly finished: Promise<void>;
}

export interface Round extends RoundResult {
  readonly snapshot: Snapshot;
  /** Monotonic milliseconds at which the snapshot was taken. */
  readonly startMs: number;
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

interface State {
  /** The revision of which VPP was told all that the sources allowed. */
  writtenRevision: number;
  appliedRevision: number;
  lastRoundMs: number | undefined;
  pendingSinceMs: number | undefined;
  /** Monotonic start of the round that runs. */
  roundStartMs: number | undefined;
  readonly waiters: Set<Waiter>;
}

interface Waiter {
  readonly revision: number;
  readonly ready: (() => boolean) | undefined;
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
    writtenRevision: 0,
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
    whenApplied: (revision, signal, ready) => waitApplied(state, { revision, ready }, signal),
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
    const { synced, facts } = snapshot;
    const hasNode = facts.nodes.has(facts.config.get('config')?.nodeName ?? '');
    sessions.look();
    try {
      const result = await reconciler.round({
        signal,
        mayDelete: (stage) => mayDelete(synced, stage, hasNode),
        mayPut: (stage, held) => mayPut(synced, stage, held),
      });
      state.lastRoundMs = clock.now();
      options.onRound?.({
        ...result,
        snapshot,
        startMs,
        durationMs: clock.monotonic() - startMs,
      });
      if (result.connected.has('vpp'))
        recordWritten(state, snapshot.revision, !result.withheld.has('vpp'));
    } catch (error) {
      if (!signal.aborted) throw error;
      return;
    }
    state.roundStartMs = undefined;
    await nextReason(options, reconciler, sessions.changed());
    state.pendingSinceMs ??= clock.now();
  }
}

function recordWritten(state: State, revision: number, whole: boolean): void {
  state.writtenRevision = revision;
  if (whole) state.appliedRevision = revision;
  // A change that waits for a source is not late: like kube-proxy, which queues nothing before its
  // first lists are complete (KP-54).
  state.pendingSinceMs = undefined;
  for (const waiter of state.waiters) {
    if (!isDone(state, waiter)) continue;
    state.waiters.delete(waiter);
    waiter.resolve();
  }
}

function isDone(state: State, { revision, ready }: Omit<Waiter, 'resolve'>): boolean {
  if (ready === undefined) return state.appliedRevision >= revision;
  return state.writtenRevision >= revision && ready();
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
  if (isDone(state, { revision, ready })) return Promise.resolve();
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
