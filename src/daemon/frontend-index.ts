import type { Ip } from '../core/ip.ts';
import type { TranslationRow } from '../desired/rows.ts';

/**
 * Which frontends lead to an endpoint: what VPP's translations say, turned around.
 *
 * Made when it is asked for and at most once a second, because nobody asks while nothing is
 * denied: 100,000 endpoints take some 50 ms.
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
  let index: ReadonlyMap<string, readonly TranslationRow[]> = new Map();
  let madeMs: number | undefined;
  return {
    at(protocol, ip, port) {
      const now = monotonic();
      if (madeMs === undefined || now - madeMs >= lifetimeMs) {
        index = turnAround(translations());
        madeMs = now;
      }
      return index.get(endpointKey(protocol, ip, port)) ?? [];
    },
  };
}

function turnAround(rows: Iterable<TranslationRow>): Map<string, TranslationRow[]> {
  const index = new Map<string, TranslationRow[]>();
  for (const row of rows)
    for (const { ip, port } of row.backends) {
      const key = endpointKey(row.protocol, ip, port);
      const found = index.get(key);
      if (found === undefined) index.set(key, [row]);
      else found.push(row);
    }
  for (const found of index.values())
    found.sort((a, b) => Number(a.nodeAddress) - Number(b.nodeAddress));
  return index;
}

function endpointKey(protocol: string, ip: Ip, port: number): string {
  return `${protocol} ${ip} ${port}`;
}
