import { fib_path_type } from '../../../native/vpp-api/catalogue/fib-types.ts';
import { ip_proto } from '../../../native/vpp-api/catalogue/ip-types.ts';
import { punt_type } from '../../../native/vpp-api/catalogue/punt.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { familyOf, type Ip, type Prefix } from '../../core/ip.ts';
import type { PuntRow, RoutePath, RouteRow } from '../../desired/rows.ts';
import { sortPaths } from '../../desired/tables.ts';
import { familyCode, none, type VppDriverParts, type VppSession } from '../session.ts';
import { unspecified } from './addresses.ts';

type FibPath = FieldsOf<'ip_route_add_del_v2'>['route']['paths'][number];

/** n_paths is a u8 in one message. */
const maxPaths = 255;

const routeBulk = {
  message: 'ip_route_add_del_v2' as const,
  fields(session: VppSession, row: RouteRow) {
    if (row.paths.length > maxPaths) throw new Error(`more than ${maxPaths} paths`);
    return routeFields(session, row.prefix, true, row.paths);
  },
};

/** Routes of table 0 under our own FIB source. */
export const routeParts: VppDriverParts<RouteRow> & { readonly bulk: typeof routeBulk } = {
  bulk: routeBulk,
  async dump(session) {
    const lists = await Promise.all(
      [false, true].map((isIp6) =>
        session.connection.dump('ip_route_v2_dump', {
          src: session.fibSource,
          table: { table_id: 0, is_ip6: isIp6, name: '' },
        }),
      ),
    );
    return lists.flat().map(({ route }) => {
      const paths = route.paths.map((path) => readPath(session, path));
      const whole = paths.every((path) => path !== undefined);
      return {
        key: route.prefix,
        row: whole
          ? { prefix: route.prefix, paths: sortPaths(paths.filter((path) => path !== undefined)) }
          : undefined,
      };
    });
  },
  async put(session, row) {
    await session.connection.request(routeBulk.message, routeBulk.fields(session, row));
  },
  async remove(session, key) {
    const fields = routeFields(session, key as Prefix, false, []);
    await session.connection.request(routeBulk.message, fields);
  },
};

/** The way of packets for the node's own addresses to the host's stack. */
export const puntParts: VppDriverParts<PuntRow> = {
  async dump(session) {
    const lists = await Promise.all(
      [0, 1].map((af) =>
        session.connection.dump('ip_punt_redirect_v2_dump', { sw_if_index: none, af }),
      ),
    );
    // `set_punt` cannot be read back, so the row is written again.
    return lists
      .flat()
      .map(({ punt }) => ({ key: punt.af === 0 ? 'ipv4' : 'ipv6', row: undefined }));
  },
  put: (session, row) => writePunt(session, row, true),
  async remove(session, _key, from) {
    if (from !== undefined) await writePunt(session, from, false);
  },
};

function routeFields(
  session: VppSession,
  prefix: Prefix,
  isAdd: boolean,
  paths: readonly RoutePath[],
): FieldsOf<'ip_route_add_del_v2'> {
  return {
    is_add: isAdd,
    is_multipath: false,
    route: {
      table_id: 0,
      stats_index: 0,
      prefix,
      src: session.fibSource,
      paths: paths.map((path) => writePath(session, prefix, path)),
    },
  };
}

function writePath(session: VppSession, prefix: Prefix, path: RoutePath): FibPath {
  const family = familyOf(prefix);
  if (path.kind !== 'forward') {
    const type =
      path.kind === 'reject'
        ? fib_path_type.FIB_API_PATH_TYPE_ICMP_UNREACH
        : fib_path_type.FIB_API_PATH_TYPE_DROP;
    return fibPath(none, type, family, unspecified[family]);
  }
  const nextHop = path.nextHop ?? unspecified[family];
  const swIfIndex = session.handles.need(path.interface);
  return fibPath(swIfIndex, fib_path_type.FIB_API_PATH_TYPE_NORMAL, familyOf(nextHop), nextHop);
}

export function fibPath(swIfIndex: number, type: number, family: 4 | 6, nextHop: Ip): FibPath {
  return {
    sw_if_index: swIfIndex,
    table_id: 0,
    rpf_id: 0,
    weight: 1,
    preference: 0,
    type,
    flags: 0,
    proto: family === 4 ? 0 : 1,
    nh: { address: nextHop, via_label: 0, obj_id: 0, classify_table_index: 0 },
    n_labels: 0,
    label_stack: [],
  };
}

function readPath(session: VppSession, path: FibPath): RoutePath | undefined {
  if (path.type === fib_path_type.FIB_API_PATH_TYPE_ICMP_UNREACH) return { kind: 'reject' };
  if (path.type === fib_path_type.FIB_API_PATH_TYPE_DROP) return { kind: 'drop' };
  const name = session.handles.nameOf(path.sw_if_index);
  if (name === undefined || path.type !== fib_path_type.FIB_API_PATH_TYPE_NORMAL) return undefined;
  const nextHop = path.nh.address;
  const without = nextHop === unspecified[4] || nextHop === unspecified[6];
  return without
    ? { kind: 'forward', interface: name }
    : { kind: 'forward', interface: name, nextHop };
}

async function writePunt(session: VppSession, row: PuntRow, isAdd: boolean): Promise<void> {
  const af = familyCode(row.nextHop);
  const swIfIndex = session.handles.need(row.interface);
  await Promise.all([
    // Every UDP port that nothing in VPP listens on; TCP goes to punt by itself.
    session.connection.request('set_punt', {
      is_add: isAdd,
      punt: {
        type: punt_type.PUNT_API_TYPE_L4,
        punt: { l4: { af, protocol: ip_proto.IP_API_PROTO_UDP, port: 0xffff } },
      },
    }),
    session.connection.request('add_del_ip_punt_redirect_v2', {
      is_add: isAdd,
      punt: {
        rx_sw_if_index: none,
        af,
        paths: [
          fibPath(swIfIndex, fib_path_type.FIB_API_PATH_TYPE_NORMAL, row.family, row.nextHop),
        ],
      },
    }),
  ]);
}
