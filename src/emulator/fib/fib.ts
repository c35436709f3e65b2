import type { Addr, AddrPrefix, Family } from '../address.ts';
import { maskAddr, unspecifiedAddr } from '../address.ts';

import { simpleTarget, spread } from './buckets.ts';
import type { FibPath, Target } from './paths.ts';
import { createPrefixMap, type PrefixMap } from './table.ts';

/**
 * The forwarding table: prefixes, each with the paths that several sources gave it.
 *
 * The source with the lowest priority number wins; the others wait. What a prefix forwards to
 * (its buckets) is worked out when a packet first needs it and kept until anything changes.
 * Sources and priorities: VPP v26.06 `vnet/fib/fib_source.h`.
 */
export interface FibEntry {
  readonly prefix: AddrPrefix;
  readonly tableId: number;
  readonly sources: Map<number, readonly FibPath[]>;
  /** Number of the entry for the API's `stats_index`. */
  readonly id: number;
  buckets: readonly Target[];
  generation: number;
}

export interface FibSource {
  readonly id: number;
  readonly name: string;
  readonly priority: number;
}

/** VPP's own sources that matter here: number, name, priority. */
const builtinSources: readonly FibSource[] = [
  { id: 1, name: 'special', priority: 1 },
  { id: 4, name: 'interface', priority: 3 },
  { id: 8, name: 'API', priority: 0x80 },
  { id: 18, name: 'adjacency', priority: 0xd0 },
  { id: 20, name: 'recursive-resolution', priority: 0xe0 },
  { id: 22, name: 'default-route', priority: 0xff },
];

export const FibSourceId = { special: 1, interface: 4, api: 8, defaultRoute: 22 } as const;

/** First number that `fib_source_add` gives. VPP counts on from its own and the plugins' sources. */
const firstOwnSource = 27;

/** Recursion deeper than this is a loop: VPP drops such packets. */
const recursionMax = 8;

export interface FibTable {
  readonly id: number;
  readonly family: Family;
  name: string;
  flowHash: number;
  readonly entries: PrefixMap<FibEntry>;
}

export interface Fib {
  readonly sources: ReadonlyMap<number, FibSource>;
  addSource(name: string, priority: number): FibSource;
  table(family: Family, id: number): FibTable | undefined;
  tables(): Iterable<FibTable>;
  addTable(family: Family, id: number, name: string): FibTable;
  removeTable(family: Family, id: number): boolean;
  /** Sets the paths that one source gives a prefix; none removes them. */
  put(tableId: number, prefix: AddrPrefix, source: number, paths: readonly FibPath[]): FibEntry;
  /** Paths of the winning source. */
  best(entry: FibEntry): { source: number; paths: readonly FibPath[] } | undefined;
  lookup(tableId: number, addr: Addr): FibEntry | undefined;
  /** The buckets of an entry, resolved. Never empty. */
  buckets(entry: FibEntry): readonly Target[];
  /** Forgets what was resolved: interfaces or routes changed. */
  touch(): void;
}

export interface FibInterfaces {
  /** What kind of way out the interface is, if it is usable at all. */
  kindOf(index: number): 'ethernet' | 'point-to-point' | 'down' | undefined;
}

export function createFib(interfaces: FibInterfaces): Fib {
  const tables = new Map<string, FibTable>();
  const sources = new Map(builtinSources.map((source) => [source.id, source]));
  let generation = 1;
  let nextId = 1;
  let nextSource = firstOwnSource;

  const best = (entry: FibEntry) => {
    let found: { source: number; paths: readonly FibPath[] } | undefined;
    let priority = Number.POSITIVE_INFINITY;
    for (const [source, paths] of entry.sources) {
      const own = sources.get(source)?.priority ?? 0xff;
      if (own >= priority) continue;
      priority = own;
      found = { source, paths };
    }
    return found;
  };

  const lookup = (tableId: number, addr: Addr) =>
    tables.get(tableKey(addr.length === 4 ? 4 : 6, tableId))?.entries.match(addr);

  const resolve = createResolver({ interfaces, best, lookup, generation: () => generation });

  const addTable = (family: Family, id: number, name: string): FibTable => {
    const known = tables.get(tableKey(family, id));
    if (known !== undefined) return known;
    const created: FibTable = {
      id,
      family,
      name: name === '' ? `ipv${family}-VRF:${id}` : name,
      flowHash: 0x9f,
      entries: createPrefixMap(family),
    };
    tables.set(tableKey(family, id), created);
    addDefaults(fib, created);
    return created;
  };

  const fib: Fib = {
    sources,
    addSource(name, priority) {
      const known = [...sources.values()].find((source) => source.name === name);
      if (known !== undefined) return known;
      const source = { id: nextSource++, name, priority };
      sources.set(source.id, source);
      return source;
    },
    table: (family, id) => tables.get(tableKey(family, id)),
    tables: () => tables.values(),
    addTable,
    removeTable: (family, id) => {
      generation++;
      return tables.delete(tableKey(family, id));
    },
    put(tableId, prefix, source, paths) {
      const table = tables.get(tableKey(prefix.addr.length === 4 ? 4 : 6, tableId));
      if (table === undefined) throw new RangeError(`no table ${tableId}`);
      const entry = table.entries.get(prefix) ?? {
        prefix: { addr: maskAddr(prefix.addr, prefix.length), length: prefix.length },
        tableId,
        sources: new Map(),
        id: nextId++,
        buckets: [],
        generation: 0,
      };
      if (paths.length === 0) entry.sources.delete(source);
      else entry.sources.set(source, paths.toSorted(comparePaths));
      if (entry.sources.size === 0) table.entries.delete(prefix);
      else table.entries.set(prefix, entry);
      generation++;
      return entry;
    },
    best,
    lookup,
    buckets: (entry) => resolve(entry, 0),
    touch() {
      generation++;
    },
  };
  addTable(4, 0, '');
  addTable(6, 0, '');
  return fib;
}

/** Turns the winning paths of an entry into buckets, and keeps them until anything changes. */
function createResolver(from: {
  readonly interfaces: FibInterfaces;
  readonly best: Fib['best'];
  readonly lookup: Fib['lookup'];
  readonly generation: () => number;
}): (entry: FibEntry, depth: number) => readonly Target[] {
  const resolvePath = (entry: FibEntry, path: FibPath, depth: number): readonly Target[] => {
    const simple = simpleTarget(path);
    if (simple !== undefined) return [simple];
    if (path.interface !== undefined) return direct(from.interfaces, path, path.interface);
    if (path.nextHop === undefined) return [];
    const via = from.lookup(path.tableId, path.nextHop);
    if (via === undefined || via === entry || depth > recursionMax) return [];
    const nextHop = path.nextHop;
    return resolve(via, depth + 1).map((target) =>
      target.kind === 'attached'
        ? { kind: 'adjacency', interface: target.interface, nextHop }
        : target,
    );
  };
  const resolve = (entry: FibEntry, depth: number): readonly Target[] => {
    if (entry.generation === from.generation()) return entry.buckets;
    const resolved = (from.best(entry)?.paths ?? [])
      .map((path) => ({ path, targets: resolvePath(entry, path, depth) }))
      .filter((item) => item.targets.length > 0);
    // Among the usable paths only those with the best preference (lowest number) carry traffic.
    const preference = Math.min(...resolved.map((item) => item.path.preference));
    const used = resolved.filter((item) => item.path.preference === preference);
    const buckets = spread(
      used.map((item) => ({ weight: item.path.weight, targets: item.targets })),
    );
    entry.buckets = buckets.length > 0 ? buckets : [{ kind: 'drop', why: 'no usable path' }];
    entry.generation = from.generation();
    return entry.buckets;
  };
  return resolve;
}

function direct(interfaces: FibInterfaces, path: FibPath, index: number): readonly Target[] {
  const kind = interfaces.kindOf(index);
  if (kind === undefined || kind === 'down') return [];
  if (kind === 'point-to-point') return [{ kind: 'tunnel', interface: index }];
  if (path.nextHop === undefined) return [{ kind: 'attached', interface: index }];
  return [{ kind: 'adjacency', interface: index, nextHop: path.nextHop }];
}

/** VPP keeps the paths of a prefix sorted, so their order in a message does not matter. */
function comparePaths(a: FibPath, b: FibPath): number {
  const left = a.nextHop ?? '';
  const right = b.nextHop ?? '';
  if (left !== right) return left < right ? -1 : 1;
  return (a.interface ?? -1) - (b.interface ?? -1);
}

function tableKey(family: Family, id: number): string {
  return `${family} ${id}`;
}

/** Entries that every VPP table starts with: drops for what is not unicast, and the default. */
function addDefaults(fib: Fib, table: FibTable): void {
  const drop: FibPath = { ...specialPath, type: 2 };
  const add = (addr: Addr, length: number, source: number) =>
    fib.put(table.id, { addr, length }, source, [drop]);
  add(unspecifiedAddr(table.family), 0, FibSourceId.defaultRoute);
  if (table.family === 6) {
    fib.put(
      table.id,
      { addr: `\xfe\x80${'\0'.repeat(14)}` as Addr, length: 10 },
      FibSourceId.special,
      [{ ...specialPath, type: 1 }],
    );
    return;
  }
  add('\0\0\0\0' as Addr, 32, FibSourceId.special);
  add('\xe0\0\0\0' as Addr, 4, FibSourceId.special);
  add('\xf0\0\0\0' as Addr, 4, FibSourceId.special);
  add('\xff\xff\xff\xff' as Addr, 32, FibSourceId.special);
}

const specialPath: FibPath = {
  type: 0,
  interface: undefined,
  nextHop: undefined,
  weight: 1,
  preference: 0,
  flags: 0,
  tableId: 0,
};
