import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { ip, prefixOf } from '../../core/ip.ts';
import { addrFromIp, addrPrefix, type Family, ipFromAddr, unspecifiedAddr } from '../address.ts';
import type { FibEntry } from '../fib/fib.ts';
import type { FibPath } from '../fib/paths.ts';
import { noInterface } from '../plane/interfaces.ts';
import { type Answers, Retval, type World } from './world.ts';

type ApiPath = FieldsOf<'ip_route_v2_details'>['route']['paths'][number];

/** Tables, routes, reassembly. Source: VPP v26.06 `vnet/ip/ip_api.c`, `fib_api.c`. */
export function ipAnswers(world: World): Answers {
  return { ...tableAnswers(world), ...routeAnswers(world), ...reassemblyAnswers(world) };
}

function tableAnswers(world: World): Answers {
  const { fib } = world.plane;
  const addDel = (isAdd: boolean, table: FieldsOf<'ip_table_add_del'>['table']) => {
    const family = table.is_ip6 ? 6 : 4;
    if (isAdd) fib.addTable(family, table.table_id, table.name);
    else if (table.table_id !== 0) fib.removeTable(family, table.table_id);
    return { retval: 0 };
  };
  return {
    ip_table_add_del: (fields) => addDel(fields.is_add, fields.table),
    ip_table_add_del_v2: (fields) => addDel(fields.is_add, fields.table),
    *ip_table_dump() {
      for (const table of fib.tables())
        yield { table: { table_id: table.id, is_ip6: table.family === 6, name: table.name } };
    },
    fib_source_add(fields) {
      const source = fib.addSource(fields.src.name, fields.src.priority);
      return { retval: 0, id: source.id };
    },
    *fib_source_dump() {
      for (const { id, name, priority } of fib.sources.values())
        yield { src: { id, name, priority } };
    },
    set_ip_flow_hash_v3(fields) {
      const table = fib.table(fields.af === 1 ? 6 : 4, fields.table_id);
      if (table === undefined) return { retval: Retval.noSuchFib };
      table.flowHash = fields.flow_hash_config;
      return { retval: 0 };
    },
  };
}

function routeAnswers(world: World): Answers {
  const { fib, interfaces } = world.plane;
  return {
    ip_route_add_del_v2(fields) {
      const { route, is_add: isAdd, is_multipath: isMultipath } = fields;
      const prefix = addrPrefix(route.prefix);
      const family = prefix.addr.length === 4 ? 4 : 6;
      const table = fib.table(family, route.table_id);
      const failed = (retval: number) => ({ retval, stats_index: 0 });
      if (table === undefined) return failed(Retval.noSuchFib);
      const source = route.src === 0 ? 8 : route.src;
      if (!fib.sources.has(source)) return failed(Retval.noSuchEntry);
      if (isAdd && route.paths.length === 0) return failed(Retval.noPathsInRoute);
      const given = route.paths.map(readPath);
      const unknown = given.some(
        (path) => path.interface !== undefined && interfaces.get(path.interface) === undefined,
      );
      if (unknown) return failed(Retval.noMatchingInterface);
      const entry = table.entries.get(prefix);
      const before = entry?.sources.get(source) ?? [];
      if (!isAdd && before.length === 0) return { retval: 0, stats_index: noInterface };
      const after = mergePaths(before, given, { isAdd, isMultipath });
      return { retval: 0, stats_index: fib.put(route.table_id, prefix, source, after).id };
    },
    *ip_route_v2_dump(fields) {
      const table = fib.table(fields.table.is_ip6 ? 6 : 4, fields.table.table_id);
      for (const entry of table?.entries.values() ?? []) {
        // Source 0 means every source, one route an entry; otherwise only that one's routes.
        if (fields.src === 0) yield { route: describeRoute(entry, fib.best(entry)) };
        else {
          const paths = entry.sources.get(fields.src);
          if (paths !== undefined)
            yield { route: describeRoute(entry, { source: fields.src, paths }) };
        }
      }
    },
    ip_route_lookup_v2(fields) {
      const prefix = addrPrefix(fields.prefix);
      const family = prefix.addr.length === 4 ? 4 : 6;
      const table = fib.table(family, fields.table_id);
      const entry = fields.exact ? table?.entries.get(prefix) : table?.entries.match(prefix.addr);
      if (table === undefined || entry === undefined) {
        const retval = table === undefined ? Retval.noSuchFib : Retval.noSuchEntry;
        return { retval, route: emptyRoute(family) };
      }
      return { retval: 0, route: describeRoute(entry, fib.best(entry)) };
    },
  };
}

function mergePaths(
  before: readonly FibPath[],
  given: readonly FibPath[],
  how: { readonly isAdd: boolean; readonly isMultipath: boolean },
): readonly FibPath[] {
  if (!how.isMultipath) return how.isAdd ? given : [];
  const same = (a: FibPath, b: FibPath) =>
    a.type === b.type &&
    a.interface === b.interface &&
    a.nextHop === b.nextHop &&
    a.tableId === b.tableId;
  const kept = before.filter((path) => !given.some((other) => same(path, other)));
  return how.isAdd ? [...kept, ...given] : kept;
}

export function readPath(path: ApiPath): FibPath {
  const nextHop = addrFromIp(path.nh.address);
  const isUnset = [...nextHop].every((c) => c === '\0');
  return {
    type: path.type,
    interface: path.sw_if_index === noInterface ? undefined : path.sw_if_index,
    nextHop: isUnset ? undefined : nextHop,
    weight: path.weight,
    preference: path.preference,
    flags: path.flags,
    tableId: path.table_id,
  };
}

function describeRoute(
  entry: FibEntry,
  best: { source: number; paths: readonly FibPath[] } | undefined,
): FieldsOf<'ip_route_v2_details'>['route'] {
  const { addr, length } = entry.prefix;
  return {
    table_id: entry.tableId,
    stats_index: entry.id,
    prefix: prefixOf(ipFromAddr(addr), length),
    src: best?.source ?? 0,
    paths: (best?.paths ?? []).map((path) => describePath(path, addr.length === 4 ? 4 : 6)),
  };
}

export function describePath(path: FibPath, family: Family): ApiPath {
  const nextHop = path.nextHop ?? unspecifiedAddr(family);
  return {
    sw_if_index: path.interface ?? noInterface,
    table_id: path.tableId,
    rpf_id: 0,
    weight: Math.max(1, path.weight),
    preference: path.preference,
    type: path.type,
    flags: path.flags,
    proto: nextHop.length === 4 ? 0 : 1,
    nh: {
      address: ipFromAddr(nextHop),
      via_label: 0,
      obj_id: 0,
      classify_table_index: 0,
    },
    n_labels: 0,
    label_stack: [],
  };
}

function emptyRoute(family: Family): FieldsOf<'ip_route_v2_details'>['route'] {
  const zero = prefixOf(ip(family === 4 ? '0.0.0.0' : '::'), 0);
  return { table_id: 0, stats_index: 0, prefix: zero, src: 0, paths: [] };
}

function reassemblyAnswers(world: World): Answers {
  const { interfaces } = world.plane;
  return {
    ip_reassembly_enable_disable(fields) {
      const one = interfaces.get(fields.sw_if_index);
      if (one === undefined) return { retval: Retval.invalidSwIfIndex };
      // Type 0 is full reassembly; virtual reassembly changes no packet that we forward.
      if (fields.type === 0) one.reassembly = { 4: fields.enable_ip4, 6: fields.enable_ip6 };
      return { retval: 0 };
    },
  };
}
