import { VppError } from '../../../native/vpp-api/errors.ts';
import type { TunnelRow } from '../../desired/rows.ts';
import {
  interfaceAlreadyExists,
  none,
  noSuchEntry,
  type VppDriverParts,
  type VppSession,
  valueExists,
} from '../session.ts';
import { dumpInterfaces, tagInterface } from './interfaces.ts';

/** IPIP tunnels to other nodes. */
export const tunnelParts: VppDriverParts<TunnelRow> = {
  async dump(session) {
    const [tunnels, interfaces] = await Promise.all([
      session.connection.dump('ipip_tunnel_dump', { sw_if_index: none }),
      dumpInterfaces(session),
    ]);
    const mtus = new Map(interfaces.map((entry) => [entry.sw_if_index, entry.mtu[0] ?? 0]));
    return tunnels.flatMap(({ tunnel }) => {
      const name = session.handles.nameOf(tunnel.sw_if_index);
      if (name === undefined) return [];
      const row = {
        name,
        kind: 'ipip' as const,
        source: tunnel.src,
        destination: tunnel.dst,
        mtu: mtus.get(tunnel.sw_if_index) ?? 0,
      };
      return [{ key: name, row }];
    });
  },
  async put(session, row, from) {
    if (from !== undefined && from.source !== row.source) {
      await removeTunnel(session, row.name);
      session.readopt();
    }
    const swIfIndex =
      session.handles.interfaces.get(row.name) ?? (await createTunnel(session, row));
    session.handles.setInterface(row.name, swIfIndex);
    await Promise.all([
      session.connection.request('sw_interface_set_mtu', {
        sw_if_index: swIfIndex,
        mtu: [row.mtu, 0, 0, 0],
      }),
      session.connection.request(
        'sw_interface_ip6_enable_disable',
        { sw_if_index: swIfIndex, enable: true },
        { allow: [valueExists] },
      ),
      tagInterface(session, swIfIndex, row.name),
    ]);
  },
  remove: (session, name) => removeTunnel(session, name),
};

async function createTunnel(session: VppSession, row: TunnelRow): Promise<number> {
  const tunnel = {
    instance: none,
    src: row.source,
    dst: row.destination,
    sw_if_index: none,
    table_id: 0,
    flags: 0,
    mode: 0,
    dscp: 0,
  };
  try {
    return (await session.connection.request('ipip_add_tunnel', { tunnel })).sw_if_index;
  } catch (error) {
    if (!(error instanceof VppError) || error.retval !== interfaceAlreadyExists) throw error;
    // A daemon that died between create and tag left it behind.
    const tunnels = await session.connection.dump('ipip_tunnel_dump', { sw_if_index: none });
    const same = tunnels.find(
      (entry) => entry.tunnel.src === row.source && entry.tunnel.dst === row.destination,
    );
    if (same === undefined) throw error;
    return same.tunnel.sw_if_index;
  }
}

async function removeTunnel(session: VppSession, name: string): Promise<void> {
  const swIfIndex = session.handles.interfaces.get(name);
  if (swIfIndex === undefined) return;
  const fields = { sw_if_index: swIfIndex };
  await session.connection.request('ipip_del_tunnel', fields, { allow: [noSuchEntry] });
  session.handles.removeInterface(name);
}
