import { mss_clamp_dir } from '../../../native/vpp-api/catalogue/mss-clamp.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import type { TunnelRow } from '../../desired/rows.ts';
import { none, type VppDriverParts, type VppSession, valueExists } from '../session.ts';
import { dumpInterfaces, forgetFilters, tagInterface } from './interfaces.ts';
import { createTunnel, deleteTunnel, dumpTunnels, isSame } from './tunnel-kinds.ts';

/** Tunnels to other nodes, each with its interface; src/vpp/drivers/tunnel-kinds.ts has the kinds. */
export const tunnelParts: VppDriverParts<TunnelRow> = {
  async dump(session) {
    const [tunnels, interfaces, clamped] = await Promise.all([
      dumpTunnels(session),
      dumpInterfaces(session),
      session.connection.dump('mss_clamp_get', { cursor: none, sw_if_index: none }),
    ]);
    const details = new Map(interfaces.map((entry) => [entry.sw_if_index, entry]));
    const limits = new Map(clamped.map((entry) => [entry.sw_if_index, entry]));
    return tunnels.flatMap(({ swIfIndex, identity }) => {
      const name = session.handles.nameOf(swIfIndex);
      const entry = details.get(swIfIndex);
      if (name === undefined || entry === undefined) return [];
      const mtu = entry.mtu[0] ?? 0;
      const row = rowOf({ name, mtu, mac: entry.l2_address }, identity);
      const isClamped = limits.get(swIfIndex)?.ipv4_mss === clampOf(swIfIndex, mtu).ipv4_mss;
      return [{ key: name, row: isClamped ? row : undefined }];
    });
  },
  async put(session, row, from) {
    if (from !== undefined && !isSame(from, row)) {
      await removeTunnel(session, row.name);
      // Its addresses, routes and features went with it.
      session.readopt();
    }
    const swIfIndex = session.handles.interfaces.get(row.name) ?? (await create(session, row));
    session.handles.setInterface(row.name, swIfIndex);
    await Promise.all([
      session.connection.request('sw_interface_set_mtu', {
        sw_if_index: swIfIndex,
        mtu: [row.mtu, 0, 0, 0],
      }),
      session.connection.request('mss_clamp_enable_disable', clampOf(swIfIndex, row.mtu)),
      row.kind === 'vxlan'
        ? speakFrames(session, swIfIndex, row.mac)
        : speakIp6(session, swIfIndex),
      tagInterface(session, swIfIndex, row.name),
    ]);
  },
  remove: (session, name) => removeTunnel(session, name),
};

/** Headers of IP and TCP without options. */
const headerBytes = { ipv4: 40, ipv6: 60 } as const;

/** TCP that leaves is told a segment that fits, so that no packet of it needs to be cut. */
function clampOf(swIfIndex: number, mtu: number): FieldsOf<'mss_clamp_enable_disable'> {
  return {
    sw_if_index: swIfIndex,
    ipv4_mss: mtu - headerBytes.ipv4,
    ipv6_mss: mtu - headerBytes.ipv6,
    ipv4_direction: mss_clamp_dir.MSS_CLAMP_DIR_TX,
    ipv6_direction: mss_clamp_dir.MSS_CLAMP_DIR_TX,
  };
}

/** VPP keeps the clamp of an interface that is gone, for the next one with its number. */
async function forgetClamp(session: VppSession, swIfIndex: number): Promise<void> {
  await session.connection.request('mss_clamp_enable_disable', {
    sw_if_index: swIfIndex,
    ipv4_mss: 0,
    ipv6_mss: 0,
    ipv4_direction: mss_clamp_dir.MSS_CLAMP_DIR_NONE,
    ipv6_direction: mss_clamp_dir.MSS_CLAMP_DIR_NONE,
  });
}

async function create(session: VppSession, row: TunnelRow): Promise<number> {
  const swIfIndex = await createTunnel(session, row);
  await forgetClamp(session, swIfIndex);
  return swIfIndex;
}

async function speakIp6(session: VppSession, swIfIndex: number): Promise<void> {
  const fields = { sw_if_index: swIfIndex, enable: true };
  await session.connection.request('sw_interface_ip6_enable_disable', fields, {
    allow: [valueExists],
  });
}

/** A link of frames has a MAC address, and VPP must not announce itself as a router on it. */
async function speakFrames(session: VppSession, swIfIndex: number, mac: string): Promise<void> {
  const fields = { sw_if_index: swIfIndex, mac_address: mac };
  await session.connection.request('sw_interface_set_mac_address', fields);
  await speakIp6(session, swIfIndex);
  await session.connection.request('sw_interface_ip6nd_ra_config', {
    sw_if_index: swIfIndex,
    suppress: 1,
    managed: 0,
    other: 0,
    ll_option: 0,
    send_unicast: 0,
    cease: 0,
    is_no: false,
    default_router: 0,
    max_interval: 0,
    min_interval: 0,
    lifetime: 0,
    initial_count: 0,
    initial_interval: 0,
  });
}

async function removeTunnel(session: VppSession, name: string): Promise<void> {
  const swIfIndex = session.handles.interfaces.get(name);
  if (swIfIndex === undefined) return;
  forgetFilters(session, name);
  await forgetClamp(session, swIfIndex);
  await deleteTunnel(session, swIfIndex);
  session.handles.removeInterface(name);
}

function rowOf(
  { name, mtu, mac }: { readonly name: string; readonly mtu: number; readonly mac: string },
  identity: Awaited<ReturnType<typeof dumpTunnels>>[number]['identity'],
): TunnelRow {
  if (identity.kind !== 'vxlan') return { ...identity, name, mtu };
  return { ...identity, name, mtu, mac };
}
