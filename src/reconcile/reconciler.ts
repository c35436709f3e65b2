import { type Clock, realClock } from '../core/clock.ts';
import type { Desired } from '../desired/desired.ts';
import { type Stage, stages } from '../desired/table.ts';
import { type AnyDriver, type Change, failed, type Outcome, type Target } from './driver.ts';

/**
 * The reconciler: the only code that compares what is desired with what the targets hold.
 *
 * It keeps the applied rows of each table. A round takes the keys that may differ, compares,
 * and writes stage by stage: puts first to last, then deletes last to first. A new connection
 * to a target is the same thing with another left side: the target is dumped, and all its keys
 * may differ. A failed row keeps its error and the time of its next try, never fails its
 * neighbours, and heals by a later round: there is no dependency graph and no rollback.
 */
export interface Reconciler {
  /** Writes what may differ. Resolves when every reply is in or its deadline has passed. */
  round(options: RoundOptions): Promise<RoundResult>;
  /** Dumps every connected target again and repairs what differs in the next round. */
  audit(signal: AbortSignal): Promise<void>;
  applied(stage: Stage, key: string): unknown;
  appliedCount(stage: Stage): number;
  appliedKeys(stage: Stage): Iterable<string>;
  failures(): Iterable<Failure>;
  /** Monotonic milliseconds of the earliest retry; undefined when nothing waits for one. */
  nextRetryMs(): number | undefined;
  /** Keys that differ and wait, for a connection or for a source that has not synced. */
  waiting(stage: Stage): number;
}

export interface Failure {
  readonly stage: Stage;
  readonly key: string;
  readonly error: unknown;
  readonly attempts: number;
  readonly retryAtMs: number;
}

export interface RoundOptions {
  readonly signal: AbortSignal;
  /** False while a source that the table depends on has not synced: absence means nothing yet. */
  readonly mayDelete: (stage: Stage) => boolean;
  /**
   * False while a source that decides about the rows has not synced: what is known so far may be
   * wrong. `held`: the target holds something under the key, which then stays as it is.
   */
  readonly mayPut?: (stage: Stage, held: boolean) => boolean;
}

export interface RoundResult {
  readonly changes: number;
  readonly failed: number;
  /** Names of the targets that were connected during the whole round. */
  readonly connected: ReadonlySet<string>;
  /** Names of the connected targets for which a put waits for a source. */
  readonly withheld: ReadonlySet<string>;
}

export interface ReconcilerOptions {
  readonly targets: readonly Target[];
  readonly desired: Desired;
  readonly clock?: Clock;
  readonly onStage?: (event: StageEvent) => void;
  readonly onFailure?: (failure: Failure) => void;
}

export interface StageEvent {
  readonly stage: Stage;
  readonly operation: 'put' | 'delete';
  readonly changes: number;
  readonly failed: number;
  readonly durationMs: number;
}

/** A row of which only the key could be read back: it is written again if it is desired. */
const unknownRow = Symbol('unknown row');

const retryFirstMs = 250;
const retryMaxMs = 30_000;

interface TableState {
  readonly driver: AnyDriver;
  readonly target: Target;
  applied: Map<string, unknown>;
  /** Keys to compare in the next round. */
  pending: Set<string>;
  readonly failures: Map<string, Failure>;
}

interface Context {
  readonly options: ReconcilerOptions;
  readonly clock: Clock;
  readonly states: ReadonlyMap<Stage, TableState>;
  /** The session each target was last adopted in. */
  readonly sessions: Map<Target, object>;
  /** Targets whose dump failed: they are tried again. */
  readonly dumpFailures: Map<Target, Failure>;
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const context: Context = {
    options,
    clock: options.clock ?? realClock,
    states: new Map(options.targets.flatMap(tableStates)),
    sessions: new Map(),
    dumpFailures: new Map(),
  };
  const { states } = context;
  return {
    round: (round) => runRound(context, round),
    async audit(signal) {
      for (const target of options.targets) await adopt(context, target, signal);
    },
    applied(stage, key) {
      const row = states.get(stage)?.applied.get(key);
      return row === unknownRow ? undefined : row;
    },
    appliedCount: (stage) => states.get(stage)?.applied.size ?? 0,
    appliedKeys: (stage) => states.get(stage)?.applied.keys() ?? [],
    *failures() {
      yield* context.dumpFailures.values();
      for (const state of states.values()) yield* state.failures.values();
    },
    nextRetryMs() {
      let next: number | undefined;
      const consider = (failure: Failure) => {
        if (next === undefined || failure.retryAtMs < next) next = failure.retryAtMs;
      };
      for (const [target, failure] of context.dumpFailures)
        if (target.session !== undefined) consider(failure);
      for (const state of states.values())
        if (isAdopted(context, state.target)) state.failures.forEach(consider);
      return next;
    },
    waiting: (stage) => states.get(stage)?.pending.size ?? 0,
  };
}

function tableStates(target: Target): [Stage, TableState][] {
  return target.drivers.map((driver) => [
    driver.table.name,
    { driver, target, applied: new Map(), pending: new Set(), failures: new Map() },
  ]);
}

async function runRound(context: Context, options: RoundOptions): Promise<RoundResult> {
  const connected = await adoptNew(context, options.signal);
  collectPending(context);
  const deletes: [Stage, TableState, Change<unknown>[]][] = [];
  let changes = 0;
  let failures = 0;
  const withheld = new Set<string>();
  for (const stage of stages) {
    const state = context.states.get(stage);
    if (state === undefined || state.pending.size === 0 || !connected.has(state.target)) continue;
    const split = splitChanges(context, stage, state, options);
    if (split.withheld) withheld.add(state.target.name);
    changes += split.puts.length + split.deletes.length;
    if (split.deletes.length > 0) deletes.push([stage, state, split.deletes]);
    if (split.puts.length > 0)
      failures += await write(context, stage, state, split.puts, options.signal);
  }
  for (const [stage, state, list] of deletes.toReversed())
    failures += await write(context, stage, state, list, options.signal);
  const stayed = [...connected].filter((target) => isAdopted(context, target));
  const stayedNames = new Set(stayed.map((target) => target.name));
  return { changes, failed: failures, connected: stayedNames, withheld };
}

function isAdopted(context: Context, target: Target): boolean {
  return target.session !== undefined && target.session === context.sessions.get(target);
}

/** The connected targets, each dumped when its session is new. */
async function adoptNew(context: Context, signal: AbortSignal): Promise<Set<Target>> {
  const connected = new Set<Target>();
  for (const target of context.options.targets) {
    if (target.session === undefined) continue;
    const due = context.dumpFailures.get(target)?.retryAtMs ?? 0;
    if (!isAdopted(context, target) && context.clock.monotonic() < due) continue;
    try {
      if (!isAdopted(context, target)) await adopt(context, target, signal);
      connected.add(target);
    } catch (error) {
      if (signal.aborted) throw error;
      recordDumpFailure(context, target, error);
    }
  }
  return connected;
}

async function adopt(context: Context, target: Target, signal: AbortSignal): Promise<void> {
  const session = target.session;
  if (session === undefined) return;
  for (const driver of target.drivers) {
    const stage = driver.table.name;
    const state = context.states.get(stage);
    if (state === undefined) continue;
    const held = await driver.dump(signal);
    state.applied = new Map(held.map((entry) => [entry.key, entry.row ?? unknownRow]));
    state.failures.clear();
    state.pending = new Set([...context.options.desired.keys(stage), ...state.applied.keys()]);
  }
  context.sessions.set(target, session);
  context.dumpFailures.delete(target);
}

function recordDumpFailure(context: Context, target: Target, error: unknown): void {
  const attempts = (context.dumpFailures.get(target)?.attempts ?? 0) + 1;
  const failure = {
    stage: target.drivers[0]?.table.name ?? 'interfaces',
    key: `dump of ${target.name}`,
    error,
    attempts,
    retryAtMs: context.clock.monotonic() + retryDelayMs(attempts),
  };
  context.dumpFailures.set(target, failure);
  context.options.onFailure?.(failure);
}

function retryDelayMs(attempts: number): number {
  return Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(attempts - 1, 10));
}

function collectPending(context: Context): void {
  const nowMs = context.clock.monotonic();
  for (const [stage, keys] of context.options.desired.takeChanged()) {
    const pending = context.states.get(stage)?.pending;
    if (pending !== undefined) for (const key of keys) pending.add(key);
  }
  for (const state of context.states.values())
    for (const failure of state.failures.values())
      if (failure.retryAtMs <= nowMs) state.pending.add(failure.key);
}

/** The changes of one table; keys whose change must wait stay pending. */
function splitChanges(context: Context, stage: Stage, state: TableState, options: RoundOptions) {
  const mayDelete = options.mayDelete(stage);
  const mayAdd = options.mayPut?.(stage, false) ?? true;
  const mayChange = options.mayPut?.(stage, true) ?? true;
  let withheld = false;
  const puts: Change<unknown>[] = [];
  const deletes: Change<unknown>[] = [];
  const waiting = new Set<string>();
  for (const key of state.pending) {
    const to = context.options.desired.row(stage, key);
    const held = state.applied.get(key);
    const from = held === unknownRow ? undefined : held;
    if (to !== undefined) {
      if (from !== undefined && (from === to || state.driver.table.equal(from, to)))
        recordDone(state, { key, from, to });
      else if (held === undefined ? mayAdd : mayChange) puts.push({ key, from, to });
      else {
        waiting.add(key);
        withheld = true;
      }
    } else if (held === undefined) state.failures.delete(key);
    else if (mayDelete) deletes.push({ key, from, to: undefined });
    else waiting.add(key);
  }
  state.pending = waiting;
  return { puts, deletes, withheld };
}

/** Writes one table's changes; returns how many failed. */
async function write(
  context: Context,
  stage: Stage,
  state: TableState,
  changes: readonly Change<unknown>[],
  signal: AbortSignal,
): Promise<number> {
  const startMs = context.clock.monotonic();
  const outcomes = await applyAll(state.driver, changes, signal);
  let failures = 0;
  for (const [i, change] of changes.entries()) {
    const outcome = outcomes[i] ?? failed(new Error('the driver returned no outcome'));
    if (outcome.status === 'done') recordDone(state, change);
    else {
      failures++;
      recordFailure(context, stage, state, { change, error: outcome.error });
    }
  }
  const durationMs = context.clock.monotonic() - startMs;
  const operation = changes[0]?.to === undefined ? 'delete' : 'put';
  const event = {
    stage,
    operation,
    changes: changes.length,
    failed: failures,
    durationMs,
  } as const;
  context.options.onStage?.(event);
  return failures;
}

function recordDone(state: TableState, change: Change<unknown>): void {
  if (change.to === undefined) state.applied.delete(change.key);
  else state.applied.set(change.key, change.to);
  state.failures.delete(change.key);
}

function recordFailure(
  context: Context,
  stage: Stage,
  state: TableState,
  { change, error }: { readonly change: Change<unknown>; readonly error: unknown },
): void {
  const { key } = change;
  const attempts = (state.failures.get(key)?.attempts ?? 0) + 1;
  const retryAtMs = context.clock.monotonic() + retryDelayMs(attempts);
  const failure = { stage, key, error, attempts, retryAtMs };
  state.failures.set(key, failure);
  // What the target holds after a failed put is not known; after a failed delete it is what it
  // held, and the next try needs to know what that was.
  if (change.to !== undefined && state.applied.has(key)) state.applied.set(key, unknownRow);
  context.options.onFailure?.(failure);
}

/** A driver that throws as a whole (its connection is gone) has failed each of its changes. */
async function applyAll(
  driver: AnyDriver,
  changes: readonly Change<unknown>[],
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  try {
    return await driver.apply(changes, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    return changes.map(() => failed(error));
  }
}
