import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Facts } from '../model/store.ts';
import { createAllocator, type Decision } from './allocate.ts';
import type { Pool } from './pools.ts';

/** Writes the addresses of one Service into its status; rejects when it changed meanwhile. */
export type WriteStatus = (key: string, ips: readonly Ip[], signal: AbortSignal) => Promise<void>;

export interface AllocationOptions {
  readonly facts: Facts;
  readonly pools: () => readonly Pool[];
  /** `spec.loadBalancerClass` of the Services that are ours; '' for those without one. */
  readonly loadBalancerClass: () => string;
  readonly write: WriteStatus;
  /** Resolves with the keys of Services that changed; `'all'` when everything may have. */
  readonly changes: (signal: AbortSignal) => Promise<ReadonlySet<string> | 'all'>;
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
    const before = addressCount(facts);
    const decisions = allocator.decide(keys);
    await writeAll(options, decisions, failed, signal);
    options.onProblems([...allocator.waiting.values()].flat());
    const changed = await nextChanges(options, failed, signal);
    if (changed === undefined) return;
    // Somebody may have given back what others wait for.
    const freed = changed === 'all' || addressCount(facts) < before;
    keys =
      changed === 'all'
        ? [...facts.services.keys()]
        : new Set([...changed, ...failed, ...(freed ? allocator.waiting.keys() : [])]);
    failed.clear();
  }
}

function addressCount(facts: Facts): number {
  let count = 0;
  for (const service of facts.services.values()) count += service.ingress.length;
  return count;
}

async function nextChanges(
  options: AllocationOptions,
  failed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlySet<string> | 'all' | undefined> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const waits: Promise<ReadonlySet<string> | 'all'>[] = [options.changes(either)];
  if (failed.size > 0)
    waits.push(sleep(options.clock, retryMs, either).then(() => new Set<string>()));
  try {
    return await Promise.race(waits);
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    stop.abort(new Error('something changed'));
    for (const wait of waits) wait.catch(() => undefined);
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
