import { addToGroup, removeFromGroup } from '../core/groups.ts';
import type { Ip } from '../core/ip.ts';

/** Who has which addresses: those that we decided about, and those of others. */
export interface Holders {
  /** Addresses of a Service. */
  of(key: string): readonly Ip[];
  /** Services that have an address. */
  who(ip: Ip): ReadonlySet<string>;
  /** Addresses of the Services with a sharing key. */
  shared(sharingKey: string): Iterable<Ip>;
  /** Services that have an address. */
  keys(): Iterable<string>;
  /** What a Service has from now on. Answers the addresses that nobody has any more. */
  set(key: string, ips: readonly Ip[], sharingKey: string | undefined): readonly Ip[];
}

interface Held {
  readonly ips: readonly Ip[];
  readonly sharingKey: string | undefined;
}

const nobody: ReadonlySet<string> = new Set();

export function createHolders(): Holders {
  const held = new Map<string, Held>();
  const holders = new Map<Ip, Set<string>>();
  // By sharing key: how many Services with it have an address.
  const shared = new Map<string, Map<Ip, number>>();

  function count(sharingKey: string | undefined, ip: Ip, by: 1 | -1): void {
    if (sharingKey === undefined) return;
    const counts = shared.get(sharingKey) ?? new Map<Ip, number>();
    shared.set(sharingKey, counts);
    const next = (counts.get(ip) ?? 0) + by;
    if (next > 0) counts.set(ip, next);
    else counts.delete(ip);
    if (counts.size === 0) shared.delete(sharingKey);
  }

  return {
    of: (key) => held.get(key)?.ips ?? [],
    who: (ip) => holders.get(ip) ?? nobody,
    shared: (sharingKey) => shared.get(sharingKey)?.keys() ?? [],
    keys: () => held.keys(),
    set(key, ips, sharingKey) {
      const before = held.get(key);
      if (ips.length === 0) held.delete(key);
      else held.set(key, { ips, sharingKey });
      for (const ip of ips) {
        addToGroup(holders, ip, key);
        count(sharingKey, ip, 1);
      }
      for (const ip of before?.ips ?? []) {
        count(before?.sharingKey, ip, -1);
        if (!ips.includes(ip)) removeFromGroup(holders, ip, key);
      }
      return before?.ips.filter((ip) => !holders.has(ip)) ?? [];
    },
  };
}
