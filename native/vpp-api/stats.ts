/**
 * The reader of VPP's counters: no request, no copy, only memory.
 *
 * A read of memory that is not mapped any more ends the process, so nothing outside of this file
 * ever holds the mapping: reads return plain values, and a closed reader throws first. VPP's
 * memory outlives VPP; whether it still is that of the running VPP is seen by `refresh`.
 */
import { closeSync, fstatSync } from 'node:fs';
import { type Clock, realClock } from '../../src/core/clock.ts';
import { createStatsView, type Stat, StatsError, type StatsView } from './stats-layout.ts';
import { type Mapping, mapFile, receiveDescriptor } from './stats-socket.ts';

/** A read after the end. */
export class StatsClosedError extends StatsError {
  override readonly name = 'StatsClosedError';
}

/** VPP answers a new reader at once, unless its main thread is stuck. */
export const defaultStatsTimeoutMs = 1000;
/** A segment is never larger; what is has been mixed up with something else. */
const maxSegmentBytes = 16 * 1024 ** 3;
const minSegmentBytes = 40;

export interface StatsReader extends AsyncDisposable {
  /** Names of all counters that begin with `prefix`. */
  names(prefix?: string): string[];
  /** Several counters in one consistent read; those that do not exist are left out. */
  read(names: readonly string[]): Map<string, Stat>;
  /** One counter. */
  readOne(name: string): Stat | undefined;
  /** Changes whenever counters come or go. */
  readonly epoch: bigint;
  /** Asks VPP for its segment again: true when it is a new one, of a VPP that has restarted. */
  refresh(): Promise<boolean>;
}

export interface StatsOptions {
  /** VPP's stats socket. */
  readonly path: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

interface Opened {
  /** Device and inode: no two segments share them. */
  readonly identity: string;
  readonly mapping: Mapping;
}

/** Connects to the stats socket and maps the segment. */
export async function openStats(options: StatsOptions): Promise<StatsReader> {
  let closed = false;
  const alive = (): void => {
    if (closed) throw new StatsClosedError('the stats reader is closed');
  };
  const first = await openSegment(options, undefined);
  if (first === undefined) throw new StatsError('no segment');
  let opened = first;
  let view = viewOf(opened.mapping, alive);

  return {
    names: (prefix) => view.names(prefix),
    read: (names) => view.read(names),
    readOne: (name) => view.read([name]).get(name),
    get epoch() {
      return view.epoch;
    },
    async refresh() {
      alive();
      const next = await openSegment(options, opened.identity);
      if (next === undefined) return false;
      if (closed) {
        next.mapping.unmap();
        return false;
      }
      const previous = opened;
      view = viewOf(next.mapping, alive);
      opened = next;
      previous.mapping.unmap();
      return true;
    },
    [Symbol.asyncDispose]() {
      if (!closed) {
        closed = true;
        opened.mapping.unmap();
      }
      return Promise.resolve();
    },
  };
}

/** The segment that VPP offers, or undefined when it is `known`. */
async function openSegment(
  options: StatsOptions,
  known: string | undefined,
): Promise<Opened | undefined> {
  const { clock = realClock, timeoutMs = defaultStatsTimeoutMs, signal } = options;
  const wait = signal === undefined ? { clock, timeoutMs } : { clock, timeoutMs, signal };
  const fd = await receiveDescriptor(options.path, wait);
  try {
    const { dev, ino, size } = fstatSync(fd, { bigint: true });
    const identity = `${dev}:${ino}`;
    if (identity === known) return undefined;
    if (size < minSegmentBytes || size > maxSegmentBytes) {
      throw new StatsError(`a stats segment of ${size} bytes`);
    }
    return { identity, mapping: mapFile(fd, Number(size)) };
  } finally {
    closeSync(fd); // the mapping stays
  }
}

function viewOf(mapping: Mapping, alive: () => void): StatsView {
  try {
    return createStatsView(mapping.memory, alive);
  } catch (error) {
    mapping.unmap();
    throw error;
  }
}
