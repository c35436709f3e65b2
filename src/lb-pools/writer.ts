import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Facts } from '../model/store.ts';
import { createAllocator, type Decision } from './allocate.ts';
import type { Pool } from './pools.ts';

/** Writes the addresses of one Service into its status; rejects when it changed meanwhile. */
export type WriteStatus = (key: string, ips: readonly Ip[], signal: AbortSignal) => Promise<void>;

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

/** The leader's work: gives addresses until the signal aborts. */
export async function allocateAddresses(
  options: AllocationOptions,
  signal: AbortSignal,
): Promise<void> {
  const { facts } = options;
  const allocator = createAllocator(facts, options.pools, options.loadBalancerClass());
  let keys: Iterable<string> = facts.services.keys();
  const failed = new Set<string>();
  while (!signal.aborted) {
    const decisions = allocator.decide(keys);
    await writeAll(options, decisions, failed, signal);
    options.onProblems([...allocator.waiting.values()].flat());
    if (!(await untilChanged(options, failed.size > 0, signal))) return;
    const changed = options.changes.take();
    // Whoever waits is asked again: what changed may have given an address back.
    keys =
      changed === 'all'
        ? [...facts.services.keys()]
        : new Set([...changed, ...failed, ...allocator.waiting.keys()]);
    failed.clear();
  }
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
  failed: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  const queue = decisions.filter((decision) => decision.changed);
  const one = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { key, ips } = next;
      try {
        await options.write(key, ips, signal);
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
