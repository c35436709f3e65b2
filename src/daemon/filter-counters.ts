import type { Stat } from '../../native/vpp-api/stats-layout.ts';
import type { VppStats } from './vpp-stats.ts';

/** What met a rule. */
export interface RuleCount {
  readonly packets: number;
  /** Bytes from the IP header on; of what VPP sends, from the Ethernet header on. */
  readonly bytes: number;
}

/**
 * Packets that met each rule of VPP's filters, by their names; undefined while VPP cannot be
 * read. A rule that opens sessions counts the first packet of each, and those of the
 * same flow that VPP handles together with it; the others count all.
 *
 * Counts begin anew when a filter is written. VPP's vectors have at least one element more than
 * the filter has rules, and never become shorter.
 * `filters` are VPP's indices by name, as in the handles of the connection.
 */
export async function filterCounters(
  stats: VppStats,
  filters: ReadonlyMap<string, number>,
): Promise<Map<string, readonly RuleCount[]> | undefined> {
  const nameOf = (index: number) => `/acl/${index}/matches`;
  const read = await stats.read([...filters.values()].map(nameOf));
  if (read === undefined) return undefined;
  const counts = new Map<string, readonly RuleCount[]>();
  for (const [name, index] of filters) {
    const stat = read.get(nameOf(index));
    if (stat !== undefined) counts.set(name, sumOfThreads(stat));
  }
  return counts;
}

function sumOfThreads(stat: Stat): RuleCount[] {
  if (stat.kind !== 'combined') return [];
  const sum = (threads: readonly (readonly number[])[], rule: number) =>
    threads.reduce((total, thread) => total + (thread[rule] ?? 0), 0);
  const length = Math.max(0, ...stat.packets.map((thread) => thread.length));
  return Array.from({ length }, (_, rule) => ({
    packets: sum(stat.packets, rule),
    bytes: sum(stat.bytes, rule),
  }));
}
