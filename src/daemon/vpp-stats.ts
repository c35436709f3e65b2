import { openStats, type StatsReader } from '../../native/vpp-api/stats.ts';
import type { Stat } from '../../native/vpp-api/stats-layout.ts';

/**
 * VPP's counters for whoever needs them now and then: opened at the first question, opened again
 * when VPP has restarted, and no answer while VPP is away.
 */
export interface VppStats extends AsyncDisposable {
  /** Several counters in one consistent read; undefined while VPP cannot be read. */
  read(names: readonly string[]): Promise<Map<string, Stat> | undefined>;
}

/** `session` identifies the run of VPP that is connected; a new one is asked for its segment. */
export function createVppStats(options: {
  readonly path: string;
  readonly session: () => object | undefined;
}): VppStats {
  let reader: StatsReader | undefined;
  let opened: object | undefined;

  async function current(): Promise<StatsReader | undefined> {
    const session = options.session();
    if (session === undefined) return undefined;
    if (reader === undefined) reader = await openStats({ path: options.path });
    else if (opened !== session) await reader.refresh();
    opened = session;
    return reader;
  }

  return {
    async read(names) {
      try {
        return (await current())?.read(names);
      } catch {
        // VPP is going, or has gone: there is no answer, and the next question opens anew.
        const closed = reader;
        reader = undefined;
        await closed?.[Symbol.asyncDispose]();
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      await reader?.[Symbol.asyncDispose]();
    },
  };
}

/** Counters of one number each, summed up over all threads; those that are not there count as 0. */
export function sumOf(stats: ReadonlyMap<string, Stat>): number {
  let sum = 0;
  for (const stat of stats.values())
    if (stat.kind === 'simple') for (const row of stat.values) for (const one of row) sum += one;
  return sum;
}

/** Packets of a combined counter at an index, over all threads; 0 when there is none. */
export function packetsAt(stat: Stat | undefined, index: number): number {
  if (stat?.kind !== 'combined') return 0;
  return stat.packets.reduce((sum, thread) => sum + (thread[index] ?? 0), 0);
}
