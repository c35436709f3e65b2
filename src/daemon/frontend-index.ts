import type { Ip } from '../core/ip.ts';
import type { TranslationRow } from '../desired/rows.ts';

/**
 * Which frontends lead to an endpoint: what VPP's translations say, turned around.
 *
 * Made when it is asked for and at most once a second, because nobody asks while nothing is
 * denied.
 */
export interface FrontendIndex {
  /** Those that are no address of the node first: pods mostly ask for a cluster IP. */
  at(protocol: string, ip: Ip, port: number): readonly TranslationRow[];
}

const lifetimeMs = 1000;

export function createFrontendIndex(
  translations: () => Iterable<TranslationRow>,
  monotonic: () => number,
): FrontendIndex {
  let index: ReadonlyMap<Ip, readonly TranslationRow[]> = new Map();
  let madeMs: number | undefined;
  return {
    at(protocol, ip, port) {
      const now = monotonic();
      if (madeMs === undefined || now - madeMs >= lifetimeMs) {
        index = turnAround(translations());
        madeMs = now;
      }
      return (index.get(ip) ?? [])
        .filter((row) => row.protocol === protocol)
        .filter((row) => row.backends.some((backend) => backend.ip === ip && backend.port === port))
        .sort((a, b) => Number(a.nodeAddress) - Number(b.nodeAddress));
    },
  };
}

function turnAround(rows: Iterable<TranslationRow>): Map<Ip, TranslationRow[]> {
  const index = new Map<Ip, TranslationRow[]>();
  for (const row of rows)
    for (const { ip } of row.backends) {
      const found = index.get(ip);
      if (found === undefined) index.set(ip, [row]);
      // A row is there once, though its endpoint may have several ports.
      else if (found.at(-1) !== row) found.push(row);
    }
  return index;
}
