import { compareText, type Ip, type Prefix } from '../core/ip.ts';
import type { LearnedRoute } from '../model/facts.ts';
import type { Store } from '../model/store.ts';
import type { PathNews } from './path-codec.ts';

/**
 * From path news to learned routes in the store.
 *
 * How news is to be read depends on who speaks (read in v3.10.0 and v4.8.0, pkg/server):
 * - `best`: without multipath, each entry is the best path of its prefix now, or its end.
 * - `sets`: GoBGP 3 with multipath sends all equally good paths of a prefix in one message.
 * - `deltas`: GoBGP 4.7 and later with multipath sends each path that came or went, by
 *   neighbour and identifier. (4.0 to 4.6 send sets as GoBGP 3 does, and cannot be told apart:
 *   with them a next hop that leaves an ECMP set stays until its prefix goes. Use 4.7 or later.)
 *
 * News is gathered by prefix and committed by `flush`, so a flapping prefix costs the daemon
 * one change per flush. Stale routes are those which the store has from an earlier connection
 * and this one has not confirmed; they stay until `dropStale`.
 */
export type NewsMode = 'best' | 'sets' | 'deltas';

export interface RouteTable {
  readonly staleCount: number;
  /** Everything in the store is unconfirmed from now on. */
  markStale(): void;
  /** Also how news is to be read from now on. */
  begin(mode: NewsMode): void;
  apply(news: readonly PathNews[]): void;
  /** Commits what was gathered; true when there was something. */
  flush(): boolean;
  /** Removes what is still unconfirmed; returns how many. */
  dropStale(): number;
  /**
   * News that was refused because of the limit, since `begin`: those prefixes are not known until
   * GoBGP tells its whole table again.
   */
  readonly refused: number;
  /** True when news was refused, and a tenth of the table is free by now. */
  readonly hasRoomAgain: boolean;
}

/** A table of this size costs about 400 MB here; a larger one is a mistake of some neighbour. */
export const routesMax = 1_000_000;

/** Of the limit. Below, what was refused is worth another stream. */
const roomAgain = 0.9;

export function createRouteTable(store: Store, limit = routesMax): RouteTable {
  const stored = store.facts.learnedRoutes;
  const stale = new Set<string>();
  const pending = new Map<Prefix, readonly Ip[]>();
  const contributions = createContributions();
  const single = createSingles();
  let mode: NewsMode = 'best';
  let refused = 0;
  /** Of `pending`: those that the store gets in addition. */
  let added = 0;

  /** True when there is no place for the prefix; one that is there already has its place. */
  function isFull(prefix: Prefix): boolean {
    return stored.size + added >= limit && !stored.has(prefix) && !presence(pending.get(prefix));
  }

  function set(prefix: Prefix, nextHops: readonly Ip[]): void {
    if (nextHops.length > 0 && isFull(prefix)) {
      refused++;
      return;
    }
    stale.delete(prefix);
    if (!stored.has(prefix)) added += presence(nextHops) - presence(pending.get(prefix));
    pending.set(prefix, nextHops);
  }

  /** Within one message: the last entry counts, or with `union` all of them. */
  function applyMessage(news: readonly PathNews[], union: boolean): void {
    const seen = new Set<Prefix>();
    for (const { prefix, nextHop, neighbor, withdrawn } of news) {
      const present = !withdrawn && neighbor !== undefined && nextHop !== undefined;
      const before = union && seen.has(prefix) ? pending.get(prefix) : undefined;
      if (union) seen.add(prefix);
      const now = present ? single(nextHop) : [];
      set(prefix, before === undefined ? now : sortedUnique([...before, ...now]));
    }
  }

  return {
    get staleCount() {
      return stale.size;
    },
    get refused() {
      return refused;
    },
    get hasRoomAgain() {
      return refused > 0 && stored.size + added < limit * roomAgain;
    },
    markStale() {
      pending.clear();
      added = 0;
      contributions.clear();
      for (const prefix of stored.keys()) stale.add(prefix);
    },
    begin(next) {
      mode = next;
      refused = 0;
      contributions.clear();
    },
    apply(news) {
      if (mode !== 'deltas') {
        applyMessage(news, mode === 'sets');
        return;
      }
      for (const item of news) {
        const adds = !item.withdrawn && item.nextHop !== undefined && item.neighbor !== undefined;
        if (adds && isFull(item.prefix)) {
          refused++;
          continue;
        }
        const nextHops = contributions.apply(item);
        if (nextHops === undefined) continue;
        const [first, ...others] = nextHops;
        const one = first !== undefined && others.length === 0;
        set(item.prefix, one ? single(first) : nextHops);
      }
    },
    flush() {
      if (pending.size === 0) return false;
      const changes = differences(stored, pending);
      pending.clear();
      added = 0;
      if (changes.length > 0) store.commit('learnedRoutes', changes);
      return changes.length > 0;
    },
    dropStale() {
      const gone = [...stale]
        .filter((prefix) => stored.has(prefix))
        .map((prefix) => [prefix, undefined] as const);
      stale.clear();
      if (gone.length > 0) store.commit('learnedRoutes', gone);
      return gone.length;
    },
  };
}

/** What of the news is not in the store. */
function differences(
  stored: ReadonlyMap<string, LearnedRoute>,
  news: ReadonlyMap<Prefix, readonly Ip[]>,
): [string, LearnedRoute | undefined][] {
  const changes: [string, LearnedRoute | undefined][] = [];
  for (const [prefix, nextHops] of news) {
    const before = stored.get(prefix);
    if (sameList(before?.nextHops ?? [], nextHops)) continue;
    changes.push([prefix, nextHops.length === 0 ? undefined : { prefix, nextHops }]);
  }
  return changes;
}

/** As a number. */
function presence(nextHops: readonly Ip[] | undefined): 0 | 1 {
  return nextHops !== undefined && nextHops.length > 0 ? 1 : 0;
}

interface Contribution {
  readonly neighbor: Ip;
  readonly identifier: number;
  readonly nextHop: Ip;
}

/**
 * Which neighbour contributes which next hop to which prefix: needed for `deltas` only. A
 * neighbour that sends more than one path of a prefix tells them apart by their identifiers.
 */
function createContributions() {
  const byPrefix = new Map<Prefix, readonly Contribution[]>();
  // Neighbours send many prefixes with one next hop, so these lists are shared.
  let last: readonly [Contribution] | undefined;

  function listOf(neighbor: Ip, identifier: number, nextHop: Ip): readonly [Contribution] {
    const same = last?.[0];
    const fits = same?.neighbor === neighbor && same.identifier === identifier;
    if (last === undefined || !fits || same.nextHop !== nextHop)
      last = [{ neighbor, identifier, nextHop }];
    return last;
  }

  return {
    clear: () => byPrefix.clear(),
    /** The next hops of the prefix now; undefined when the news is about a path of ours. */
    apply({
      prefix,
      nextHop,
      neighbor,
      identifier,
      withdrawn,
    }: PathNews): readonly Ip[] | undefined {
      if (neighbor === undefined) return undefined;
      const before = byPrefix.get(prefix);
      const own = withdrawn || nextHop === undefined ? [] : listOf(neighbor, identifier, nextHop);
      const others =
        before?.filter((c) => c.neighbor !== neighbor || c.identifier !== identifier) ?? [];
      const now = others.length === 0 ? own : [...others, ...own];
      if (now.length === 0) byPrefix.delete(prefix);
      else byPrefix.set(prefix, now);
      return sortedUnique(now.map((c) => c.nextHop));
    },
  };
}

const singlesLimit = 4096;

/** One array for all routes through the same single next hop. */
function createSingles(): (nextHop: Ip) => readonly Ip[] {
  const singles = new Map<Ip, readonly Ip[]>();
  return (nextHop) => {
    const known = singles.get(nextHop);
    if (known !== undefined) return known;
    if (singles.size >= singlesLimit) singles.clear();
    const list = [nextHop];
    singles.set(nextHop, list);
    return list;
  };
}

function sortedUnique(addresses: readonly Ip[]): readonly Ip[] {
  return addresses.length < 2 ? addresses : [...new Set(addresses)].toSorted(compareText);
}

function sameList(a: readonly Ip[], b: readonly Ip[]): boolean {
  return a === b || (a.length === b.length && a.every((item, i) => item === b[i]));
}
