import type { Addr, AddrPrefix, Family } from '../address.ts';
import { maskAddr, unspecifiedAddr } from '../address.ts';
import { createPrefixMap, type PrefixMap } from './table.ts';

/**
 * The forwarding table: prefixes, each with the paths that several sources gave it.
 *
 * The source with the lowest priority number wins; the others wait. What a prefix forwards to
 * (its buckets) is worked out when a packet first needs it and kept until anything changes.
 * Sources and priorities: VPP v26.06 `vnet/fib/fib_source.h`.
 */
export interface FibPath {
  /** VPP's `fib_path_type`: 0 normal, 1 local, 2 drop, 5 unreachable, 6 prohibit. */
  readonly type: number;
  /** Undefined: recursive through the next hop. */
  readonly interface: number | undefined;
  /** Undefined: the interface leads there by itself. */
  readonly nextHop: Addr | undefined;
  readonly weight: number;
  readonly preference: number;
  readonly flags: number;
  readonly tableId: number;
}

/** What one bucket of a prefix does with a packet. */
export type Target =
  | { readonly kind: 'drop'; readonly why: string }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'prohibit' }
  | { readonly kind: 'local' }
  | { readonly kind: 'adjacency'; readonly interface: number; readonly nextHop: Addr }
  /** The destination itself is a neighbour on this interface. */
  | { readonly kind: 'attached'; readonly interface: number }
  | { readonly kind: 'tunnel'; readonly interface: number };

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

  const resolvePath = (entry: FibEntry, path: FibPath, depth: number): readonly Target[] => {
    const simple = simpleTarget(path);
    if (simple !== undefined) return [simple];
    if (path.interface !== undefined) {
      const kind = interfaces.kindOf(path.interface);
      if (kind === undefined || kind === 'down') return [];
      if (kind === 'point-to-point') return [{ kind: 'tunnel', interface: path.interface }];
      return path.nextHop === undefined
        ? [{ kind: 'attached', interface: path.interface }]
        : [{ kind: 'adjacency', interface: path.interface, nextHop: path.nextHop }];
    }
    if (path.nextHop === undefined) return [];
    const via = lookup(path.tableId, path.nextHop);
    if (via === undefined || via === entry || depth > recursionMax) return [];
    const nextHop = path.nextHop;
    return resolve(via, depth + 1).map((target) =>
      target.kind === 'attached'
        ? { kind: 'adjacency', interface: target.interface, nextHop }
        : target,
    );
  };

  const resolve = (entry: FibEntry, depth = 0): readonly Target[] => {
    if (entry.generation === generation) return entry.buckets;
    const paths = best(entry)?.paths ?? [];
    const resolved = paths
      .map((path) => ({ path, targets: resolvePath(entry, path, depth) }))
      .filter((item) => item.targets.length > 0);
    // Among the usable paths only those with the best preference (lowest number) carry traffic.
    const preference = Math.min(...resolved.map((item) => item.path.preference));
    const used = resolved.filter((item) => item.path.preference === preference);
    const buckets = spread(
      used.map((item) => ({ weight: item.path.weight, targets: item.targets })),
    );
    entry.buckets = buckets.length > 0 ? buckets : [{ kind: 'drop', why: 'no usable path' }];
    entry.generation = generation;
    return entry.buckets;
  };

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
      else entry.sources.set(source, paths);
      if (entry.sources.size === 0) table.entries.delete(prefix);
      else table.entries.set(prefix, entry);
      generation++;
      return entry;
    },
    best,
    lookup,
    buckets: (entry) => resolve(entry),
    touch() {
      generation++;
    },
  };
  addTable(4, 0, '');
  addTable(6, 0, '');
  return fib;
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

function simpleTarget(path: FibPath): Target | undefined {
  switch (path.type) {
    case 1:
      return { kind: 'local' };
    case 2:
      return { kind: 'drop', why: 'the route says drop' };
    case 5:
      return { kind: 'unreachable' };
    case 6:
      return { kind: 'prohibit' };
    default:
      return undefined;
  }
}

/** Largest number of buckets that unequal paths are spread over. */
const bucketsMax = 64;

/**
 * A power of two of buckets, filled by weight. VPP picks the smallest one whose error is below
 * 10 %; we do the same. Source: v26.06 `vnet/dpo/load_balance.c`.
 */
function spread(
  paths: readonly { readonly weight: number; readonly targets: readonly Target[] }[],
): Target[] {
  const flat = paths.flatMap((path) =>
    path.targets.map((target) => ({
      weight: Math.max(1, path.weight) / path.targets.length,
      target,
    })),
  );
  if (flat.length <= 1) return flat.map((item) => item.target);
  const total = flat.reduce((sum, item) => sum + item.weight, 0);
  for (let size = 2; ; size *= 2) {
    if (size < flat.length) continue;
    const counts = share(
      flat.map((item) => item.weight / total),
      size,
    );
    const error = flat.reduce(
      (sum, item, i) => sum + Math.abs((counts[i] ?? 0) - (item.weight / total) * size),
      0,
    );
    if (error / size <= 0.1 || size >= Math.max(bucketsMax, flat.length)) {
      return flat.flatMap((item, i) => new Array<Target>(counts[i] ?? 0).fill(item.target));
    }
  }
}

/** `size` seats by largest remainder; everyone gets at least one. */
function share(parts: readonly number[], size: number): number[] {
  const counts = parts.map((part) => Math.max(1, Math.floor(part * size)));
  let left = size - counts.reduce((a, b) => a + b, 0);
  const order = parts
    .map((part, i) => ({ i, rest: part * size - Math.floor(part * size) }))
    .toSorted((a, b) => b.rest - a.rest || a.i - b.i);
  for (let k = 0; left > 0; k = (k + 1) % order.length, left--) {
    const seat = order[k]?.i ?? 0;
    counts[seat] = (counts[seat] ?? 0) + 1;
  }
  return counts;
}
