import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Facts } from '../model/store.ts';
import { type Allocator, createAllocator, type Decision } from './allocate.ts';
import type { Pool } from './pools.ts';

/**
 * Writes the addresses of one Service into its status; rejects when the Service has another
 * version by now.
 */
export type WriteStatus = (
  key: string,
  status: { readonly ips: readonly Ip[]; readonly resourceVersion: string },
  signal: AbortSignal,
) => Promise<void>;

/** Keys of Services that changed, for one who takes them. */
export interface ServiceChanges {
  /** Resolves when there is something to take; rejects when the signal aborts first. */
  wait(signal: AbortSignal): Promise<void>;
  /** `'all'` when everything may have changed. */
  take(): ReadonlySet<string> | 'all';
}

export interface AllocationOptions {
  readonly facts: Facts;
  readonly pools: () => readonly Pool[];
  /** `spec.loadBalancerClass` of the Services that are ours; '' for those without one. */
  readonly loadBalancerClass: () => string;
  readonly write: WriteStatus;
  readonly changes: ServiceChanges;
  readonly clock: Clock;
  readonly onProblems: (problems: readonly Problem[]) => void;
  readonly onAllocated: (key: string, ips: readonly Ip[]) => void;
  readonly onError: (key: string, error: unknown) => void;
}

/** Status writes at once; the API server's own limit for one client is higher. */
const writesAtOnce = 16;
/** After a write failed. */
const retryMs = 1_000;
/** The event loop belongs to others again after so many Services, or after so long. */
const turn = { steps: 256, ms: 5 } as const;

/** The leader's work: gives addresses until the signal aborts. */
export async function allocateAddresses(
  options: AllocationOptions,
  signal: AbortSignal,
): Promise<void> {
  const allocator = createAllocator(options.facts, options.pools, options.loadBalancerClass);
  const writes: Writes = { failed: new Set(), sent: new Map() };
  let keys: Iterable<string> | 'all' = 'all';
  while (!signal.aborted) {
    const decisions = await decideInTurns(options, allocator, keys, signal);
    await writeAll(options, decisions, writes, signal);
    options.onProblems([...allocator.waiting.values()].flat());
    if (!(await untilChanged(options, writes.failed.size > 0, signal))) return;
    const changed = options.changes.take();
    // Whoever waits is asked again: what changed may have given an address back.
    keys =
      changed === 'all'
        ? changed
        : new Set([...changed, ...writes.failed, ...allocator.waiting.keys()]);
    writes.failed.clear();
  }
}

interface Writes {
  readonly failed: Set<string>;
  /** The version of the Service for which a status was written: its successor is on the way. */
  readonly sent: Map<string, string>;
}

async function decideInTurns(
  { clock }: AllocationOptions,
  allocator: Allocator,
  keys: Iterable<string> | 'all',
  signal: AbortSignal,
): Promise<Decision[]> {
  const decisions: Decision[] = [];
  let startedMs = clock.monotonic();
  let steps = 0;
  for (const decision of allocator.decide(keys)) {
    decisions.push(decision);
    if (++steps < turn.steps && clock.monotonic() - startedMs < turn.ms) continue;
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) return [];
    steps = 0;
    startedMs = clock.monotonic();
  }
  return decisions;
}

/** Waits for a change, or for the next try; false when the work is over. */
async function untilChanged(
  options: AllocationOptions,
  retry: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const waits = [options.changes.wait(either)];
  if (retry) waits.push(sleep(options.clock, retryMs, either));
  // The one that loses ends by the signal, which is no error.
  for (const wait of waits) wait.catch(() => undefined);
  try {
    await Promise.race(waits);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    stop.abort(new Error('something changed'));
  }
}

async function writeAll(
  options: AllocationOptions,
  decisions: readonly Decision[],
  { failed, sent }: Writes,
  signal: AbortSignal,
): Promise<void> {
  for (const { key, changed } of decisions) if (!changed) sent.delete(key);
  const queue = decisions.filter(
    ({ key, changed, resourceVersion }) => changed && sent.get(key) !== resourceVersion,
  );
  let next = 0;
  const one = async () => {
    for (let decision = queue[next++]; decision !== undefined; decision = queue[next++]) {
      const { key, ips, resourceVersion } = decision;
      try {
        await options.write(key, { ips, resourceVersion }, signal);
        sent.set(key, resourceVersion);
        if (ips.length > 0) options.onAllocated(key, ips);
      } catch (error) {
        if (signal.aborted) return;
        failed.add(key);
        options.onError(key, error);
      }
    }
  };
  await Promise.all(Array.from({ length: writesAtOnce }, one));
}
