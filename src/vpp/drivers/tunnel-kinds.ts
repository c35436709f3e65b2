import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { VppError } from '../../../native/vpp-api/errors.ts';
import type { Ip } from '../../core/ip.ts';
import type { IpTunnelRow, TunnelRow, VxlanTunnelRow } from '../../desired/rows.ts';
import { interfaceAlreadyExists, none, noSuchEntry, type VppSession } from '../session.ts';
import { openWayOut, wayOutTable } from './way-out.ts';

/** One kind of tunnel in VPP's messages. */
interface TunnelKind<Row extends TunnelRow> {
  /** Tunnels that VPP has: all, or the one with that index. */
  dump(session: VppSession, swIfIndex: number): Promise<readonly HeldTunnel<Row>[]>;
  /** Gives the sw_if_index. */
  create(session: VppSession, row: Row): Promise<number>;
  remove(session: VppSession, held: HeldTunnel<Row>): Promise<unknown>;
}

/** What makes a tunnel this one, as VPP tells it; name, MTU and MAC come with its interface. */
export type TunnelIdentity<Row extends TunnelRow = TunnelRow> = Row extends VxlanTunnelRow
  ? Pick<Row, 'kind' | 'source' | 'destination' | 'vni' | 'direction'>
  : Pick<Row, 'kind' | 'source' | 'destination'>;

export interface HeldTunnel<Row extends TunnelRow = TunnelRow> {
  readonly swIfIndex: number;
  readonly identity: TunnelIdentity<Row>;
}

/** UDP port of VXLAN (RFC 7348 section 5). */
const vxlanPort = 4789;

/** VNET_API_ERROR_TUNNEL_EXIST. */
const tunnelExists = -75;

const ipip: TunnelKind<IpTunnelRow> = {
  async dump({ connection }, swIfIndex) {
    const details = await connection.dump('ipip_tunnel_dump', { sw_if_index: swIfIndex });
    return details.map(({ tunnel }) => held(tunnel.sw_if_index, 'ipip', tunnel));
  },
  async create({ connection }, row) {
    const tunnel = { ...newTunnel(row), table_id: 0, dscp: 0 };
    return (await connection.request('ipip_add_tunnel', { tunnel })).sw_if_index;
  },
  remove: ({ connection }, { swIfIndex }) =>
    connection.request('ipip_del_tunnel', { sw_if_index: swIfIndex }, { allow: [noSuchEntry] }),
};

/** Layer 3, point to point, without a key (RFC 2784). */
const gre: TunnelKind<IpTunnelRow> = {
  async dump({ connection }, swIfIndex) {
    if (!connection.supports('gre_tunnel_v2_dump')) return [];
    const details = await connection.dump('gre_tunnel_v2_dump', { sw_if_index: swIfIndex });
    return details.map(({ tunnel }) => held(tunnel.sw_if_index, 'gre', tunnel));
  },
  async create({ connection }, row) {
    const fields = { is_add: true, tunnel: greTunnel(row) };
    return (await connection.request('gre_tunnel_add_del_v2', fields)).sw_if_index;
  },
  remove: ({ connection }, { identity }) => {
    const fields = { is_add: false, tunnel: greTunnel(identity) };
    return connection.request('gre_tunnel_add_del_v2', fields, { allow: [noSuchEntry] });
  },
};

/**
 * Frames in UDP. VPP routes over such a tunnel when what it opens goes to `ethernet-input`; its
 * mode without frames (`is_l3`) carries one IP family only. One that sends is in the table of the
 * way out; one that receives is in table 0, where packets arrive.
 */
const vxlan: TunnelKind<VxlanTunnelRow> = {
  async dump({ connection }, swIfIndex) {
    if (!connection.supports('vxlan_tunnel_v2_dump')) return [];
    const details = await connection.dump('vxlan_tunnel_v2_dump', { sw_if_index: swIfIndex });
    return details.map((entry) => ({
      swIfIndex: entry.sw_if_index,
      identity: {
        kind: 'vxlan',
        source: entry.src_address,
        destination: entry.dst_address,
        vni: entry.vni,
        direction: entry.encap_vrf_id === wayOutTable ? 'out' : 'in',
      },
    }));
  },
  async create(session, row) {
    const { connection } = session;
    if (row.direction === 'out') await openWayOut(session);
    const { next_index: next } = await connection.request('add_node_next', {
      node_name: row.source.includes(':') ? 'vxlan6-input' : 'vxlan4-input',
      next_name: 'ethernet-input',
    });
    const fields = vxlanFields(row, true, next);
    const { sw_if_index: swIfIndex } = await connection.request('vxlan_add_del_tunnel_v3', fields);
    // VPP brings it up at once; what protects it is not in place yet.
    await connection.request('sw_interface_set_flags', { sw_if_index: swIfIndex, flags: 0 });
    return swIfIndex;
  },
  remove: ({ connection }, { identity }) =>
    connection.request('vxlan_add_del_tunnel_v3', vxlanFields(identity, false, none), {
      allow: [noSuchEntry],
    }),
};

/** Every tunnel that VPP has, ours or not. */
export async function dumpTunnels(session: VppSession): Promise<readonly HeldTunnel[]> {
  const lists = [ipip, gre, vxlan].map((kind) => kind.dump(session, none));
  return (await Promise.all<readonly HeldTunnel[]>(lists)).flat();
}

/** Makes the tunnel, or finds the one that a daemon left that died between create and tag. */
export async function createTunnel(session: VppSession, row: TunnelRow): Promise<number> {
  try {
    if (row.kind === 'vxlan') return await vxlan.create(session, row);
    return await (row.kind === 'gre' ? gre : ipip).create(session, row);
  } catch (error) {
    const isThere =
      error instanceof VppError &&
      (error.retval === interfaceAlreadyExists || error.retval === tunnelExists);
    if (!isThere) throw error;
    const same = (await dumpTunnels(session)).find(({ identity }) => isSame(identity, row));
    if (same === undefined) throw error;
    return same.swIfIndex;
  }
}

/** Whether both are one tunnel to VPP. */
export function isSame(a: TunnelIdentity, b: TunnelIdentity): boolean {
  if (a.kind !== b.kind || a.source !== b.source || a.destination !== b.destination) return false;
  if (a.kind !== 'vxlan' || b.kind !== 'vxlan') return true;
  return a.vni === b.vni && a.direction === b.direction;
}

/** Removes whatever tunnel has that index. */
export async function deleteTunnel(session: VppSession, swIfIndex: number): Promise<void> {
  for (const one of await ipip.dump(session, swIfIndex)) await ipip.remove(session, one);
  for (const one of await gre.dump(session, swIfIndex)) await gre.remove(session, one);
  for (const one of await vxlan.dump(session, swIfIndex)) await vxlan.remove(session, one);
}

function held<Kind extends IpTunnelRow['kind']>(
  swIfIndex: number,
  kind: Kind,
  { src, dst }: { readonly src: Ip; readonly dst: Ip },
): HeldTunnel<IpTunnelRow> {
  return { swIfIndex, identity: { kind, source: src, destination: dst } };
}

function newTunnel({ source, destination }: Pick<TunnelRow, 'source' | 'destination'>) {
  return {
    instance: none,
    src: source,
    dst: destination,
    sw_if_index: none,
    flags: 0,
    mode: 0,
  };
}

function greTunnel(row: Pick<TunnelRow, 'source' | 'destination'>) {
  return { ...newTunnel(row), type: 0, session_id: 0, outer_table_id: 0, key: 0 };
}

function vxlanFields(
  row: TunnelIdentity<VxlanTunnelRow>,
  isAdd: boolean,
  decapNext: number,
): FieldsOf<'vxlan_add_del_tunnel_v3'> {
  return {
    is_add: isAdd,
    instance: none,
    src_address: row.source,
    dst_address: row.destination,
    src_port: vxlanPort,
    dst_port: vxlanPort,
    mcast_sw_if_index: none,
    encap_vrf_id: row.direction === 'out' ? wayOutTable : 0,
    decap_next_index: decapNext,
    vni: row.vni,
    is_l3: false,
  };
}
