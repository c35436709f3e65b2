import { addressWithLength } from '../../../native/vpp-api/address.ts';
import { af_packet_flags, af_packet_mode } from '../../../native/vpp-api/catalogue/af-packet.ts';
import { if_status_flags } from '../../../native/vpp-api/catalogue/interface-types.ts';
import { tap_flags } from '../../../native/vpp-api/catalogue/tapv2.ts';
import { VppError } from '../../../native/vpp-api/errors.ts';
import { isPodInterface, isTunnelName, uplinkName } from '../../desired/names.ts';
import type {
  AfPacketRow,
  InterfaceRow,
  LinkStateRow,
  LoopbackRow,
  TapRow,
} from '../../desired/rows.ts';
import { tables } from '../../desired/tables.ts';
import type { Held } from '../../reconcile/driver.ts';
import { WaitingForFilters } from '../handles.ts';
import {
  interfaceAlreadyExists,
  none,
  tagPrefix,
  type VppDriverParts,
  type VppSession,
  valueExists,
} from '../session.ts';
import { unspecified } from './addresses.ts';
import { attachGate, closeGate, gateState } from './gates.ts';
import { forgetGate } from './nat-interfaces.ts';
import { forgetWayOut } from './way-out.ts';

/**
 * AF_PACKET rings, of TPACKET_V2: one block each way. VPP's default, TPACKET_V3, has 160 blocks to
 * receive, and a timer in the kernel for each interface that closes the block of now every
 * millisecond: with 200 pods, who say nothing, they take half of a processor, and every packet waits
 * for the next tick (VPP 26.06, af_packet.c: tp_retire_blk_tov).
 *
 * VPP maps all blocks of an interface at once, on its main thread, which forwards nothing meanwhile.
 * So a frame is as large as the MTU asks for, and no larger.
 */
const rxFrames = 1024;
const txFrames = 32;
/** A multiple of it keeps blocks whole pages. */
const frameUnitBytes = 2048;
/** Room for the kernel's header of a frame (tpacket2_hdr and sockaddr_ll) and Ethernet's. */
const frameOverheadBytes = 128;

function frameBytes(mtu: number): number {
  return Math.ceil((mtu + frameOverheadBytes) / frameUnitBytes) * frameUnitBytes;
}

/** Uplink, host link and pod interfaces. */
export const interfaceParts: VppDriverParts<InterfaceRow> = {
  async dump(session) {
    session.handles.clearInterfaces();
    const [details, hostNames, taps] = await Promise.all([
      dumpInterfaces(session),
      hostInterfaces(session),
      dumpTaps(session),
    ]);
    const held: Held<InterfaceRow>[] = [];
    for (const entry of details) {
      if (!entry.tag.startsWith(tagPrefix)) continue;
      const name = entry.tag.slice(tagPrefix.length);
      session.handles.setInterface(name, entry.sw_if_index);
      const common = { name, mac: entry.l2_address, mtu: entry.mtu[0] ?? 0 };
      const hostInterface = hostNames.get(entry.sw_if_index);
      const tap = taps.get(entry.sw_if_index);
      if (hostInterface !== undefined) {
        const row = { ...common, kind: 'afPacket' as const, role: roleOf(name), hostInterface };
        held.push({ key: name, row });
      } else if (tap !== undefined)
        held.push({ key: name, row: { ...common, ...tap, kind: 'tap', role: 'pod' } });
      else if (name.startsWith('gate-'))
        held.push({ key: name, row: { ...common, kind: 'loopback', role: 'gate' } });
    }
    return held;
  },
  async put(session, row, from) {
    if (from !== undefined && !sameDevice(from, row)) {
      await removeInterface(session, row.name, from);
      // Its addresses, routes and features went with it.
      session.readopt();
    }
    const known = session.handles.interfaces.get(row.name);
    const swIfIndex = known ?? (await createInterface(session, row));
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
  remove: removeInterface,
};

/** Admin up and down, of what has a wire or is a gate; tunnels are a table of their own. */
export const linkStateParts = stateParts((name) => !isTunnelName(name));
export const tunnelStateParts = stateParts(isTunnelName);

function stateParts(isOurs: (name: string) => boolean): VppDriverParts<LinkStateRow> {
  return {
    async dump(session) {
      const details = await dumpInterfaces(session);
      return details.flatMap((entry) => {
        const name = session.handles.nameOf(entry.sw_if_index);
        if (name === undefined || !isOurs(name)) return [];
        const up = (entry.flags & if_status_flags.IF_STATUS_API_FLAG_ADMIN_UP) !== 0;
        return [{ key: name, row: { interface: name, up } }];
      });
    },
    async put(session, row) {
      if (row.up && !isGuarded(session, row.interface)) throw new WaitingForFilters(row.interface);
      await setLink(session, row.interface, row.up);
    },
    async remove(session, name) {
      if (session.handles.interfaces.has(name)) await setLink(session, name, false);
    },
  };
}

/**
 * Whether what must stand before an interface comes up is there: the filters of a pod (NP-19) and
 * its own sources, and the node's edge on the uplink and on tunnels.
 */
function isGuarded({ handles }: VppSession, name: string): boolean {
  const isPod = isPodInterface(name);
  if (!isPod && name !== uplinkName && !isTunnelName(name)) return true;
  return handles.filtered.has(name) && (!isPod || handles.sources.has(name));
}

/** Every interface of VPP. */
export function dumpInterfaces(session: VppSession) {
  return session.connection.dump('sw_interface_dump', {
    sw_if_index: none,
    name_filter_valid: false,
    name_filter: '',
  });
}

/** Names an interface where VPP shows it and where we find it again. */
export async function tagInterface(
  session: VppSession,
  swIfIndex: number,
  name: string,
): Promise<void> {
  await session.connection.request('sw_interface_tag_add_del', {
    is_add: true,
    sw_if_index: swIfIndex,
    tag: tagPrefix + name,
  });
}

/** Everything but the MTU is fixed when VPP makes the interface. */
function sameDevice(a: InterfaceRow, b: InterfaceRow): boolean {
  return tables.interfaces.equal(a, { ...b, mtu: a.mtu });
}

function roleOf(name: string): AfPacketRow['role'] {
  return name === 'uplink' || name === 'host' ? name : 'pod';
}

async function hostInterfaces(session: VppSession): Promise<Map<number, string>> {
  const details = await session.connection.dump('af_packet_dump', {});
  return new Map(details.map((entry) => [entry.sw_if_index, entry.host_if_name]));
}

function createInterface(session: VppSession, row: InterfaceRow): Promise<number> {
  if (row.kind === 'loopback') return createLoopback(session, row);
  return row.kind === 'tap' ? createTap(session, row) : createAfPacket(session, row);
}

type Tap = Pick<TapRow, 'netns' | 'podInterface' | 'podMac'>;

async function dumpTaps(session: VppSession): Promise<Map<number, Tap>> {
  const { connection } = session;
  if (!connection.supports('sw_interface_tap_v2_dump')) return new Map();
  const details = await connection.dump('sw_interface_tap_v2_dump', { sw_if_index: none });
  return new Map(
    details.map((entry) => [
      entry.sw_if_index,
      {
        netns: entry.host_namespace,
        podInterface: entry.host_if_name,
        podMac: entry.host_mac_addr,
      },
    ]),
  );
}

/** `string host_namespace[64]` with its closing NUL. */
const netnsMaxBytes = 63;

/**
 * Persistent, and attached to when it exists: the pod keeps its interface with its addresses
 * while VPP is away. Not run where these lines were written: no /dev/vhost-net.
 */
async function createTap(session: VppSession, row: TapRow): Promise<number> {
  if (Buffer.byteLength(row.netns) > netnsMaxBytes)
    throw new Error(`the path ${row.netns} has more than ${netnsMaxBytes} bytes`);
  const reply = await session.connection.request('tap_create_v3', {
    id: none,
    use_random_mac: false,
    mac_address: row.mac,
    num_rx_queues: 1,
    num_tx_queues: 1,
    tx_ring_sz: 0,
    rx_ring_sz: 0,
    host_mtu_set: true,
    host_mtu_size: row.mtu,
    host_mac_addr_set: true,
    host_mac_addr: row.podMac,
    host_ip4_prefix_set: false,
    host_ip4_prefix: addressWithLength(unspecified[4], 0),
    host_ip6_prefix_set: false,
    host_ip6_prefix: addressWithLength(unspecified[6], 0),
    host_ip4_gw_set: false,
    host_ip4_gw: unspecified[4],
    host_ip6_gw_set: false,
    host_ip6_gw: unspecified[6],
    tap_flags: tap_flags.TAP_API_FLAG_PERSIST | tap_flags.TAP_API_FLAG_ATTACH,
    host_namespace_set: true,
    host_namespace: row.netns,
    host_if_name_set: true,
    host_if_name: row.podInterface,
    host_bridge_set: false,
    host_bridge: '',
    tag: tagPrefix + row.name,
  });
  return reply.sw_if_index;
}

async function createAfPacket(session: VppSession, row: AfPacketRow): Promise<number> {
  try {
    const reply = await session.connection.request('af_packet_create_v3', {
      mode: af_packet_mode.AF_PACKET_API_MODE_ETHERNET,
      hw_addr: row.mac,
      use_random_hw_addr: false,
      host_if_name: row.hostInterface,
      rx_frame_size: frameBytes(row.mtu),
      tx_frame_size: frameBytes(row.mtu),
      rx_frames_per_block: rxFrames,
      tx_frames_per_block: txFrames,
      // Without CKSUM_GSO: with it, what VPP sends on a veth is lost (observed on VPP 26.06).
      flags:
        af_packet_flags.AF_PACKET_API_FLAG_QDISC_BYPASS |
        af_packet_flags.AF_PACKET_API_FLAG_VERSION_2,
      num_rx_queues: 1,
      num_tx_queues: 1,
    });
    return reply.sw_if_index;
  } catch (error) {
    if (!(error instanceof VppError) || error.retval !== interfaceAlreadyExists) throw error;
    return adoptUntagged(session, row, error);
  }
}

/** A daemon that died between create and tag left it behind. */
async function adoptUntagged(
  session: VppSession,
  row: AfPacketRow,
  cause: unknown,
): Promise<number> {
  for (const [swIfIndex, hostInterface] of await hostInterfaces(session))
    if (hostInterface === row.hostInterface) return swIfIndex;
  throw new Error(`VPP already has ${row.hostInterface} but does not show it`, { cause });
}

/**
 * VPP forgets the filters of an interface that goes. Where their row stays, because somebody is not
 * known yet, it must be written again when the interface is back.
 */
export function forgetFilters(session: VppSession, name: string): void {
  if (session.handles.filtered.has(name)) session.readopt();
}

async function removeInterface(
  session: VppSession,
  name: string,
  from: InterfaceRow | undefined,
): Promise<void> {
  const swIfIndex = session.handles.interfaces.get(name);
  if (swIfIndex === undefined) return;
  forgetFilters(session, name);
  // VPP keeps the attachment to a gate, and gives the number to the next interface.
  await attachGate(session, await gateState(session), swIfIndex, undefined);
  if (from?.kind === 'loopback') await deleteLoopback(session, swIfIndex);
  else if (from?.kind === 'tap')
    await session.connection.request('tap_delete_v2', { sw_if_index: swIfIndex });
  else {
    const hostInterface = from?.hostInterface ?? (await hostInterfaces(session)).get(swIfIndex);
    if (hostInterface !== undefined)
      await session.connection.request('af_packet_delete', { host_if_name: hostInterface });
  }
  session.handles.removeInterface(name);
}

/** Up at once: it has no wire, and nothing arrives there that did not pass another interface. */
async function createLoopback(session: VppSession, row: LoopbackRow): Promise<number> {
  const { connection } = session;
  const reply = await connection.request('create_loopback', { mac_address: row.mac });
  await connection.request('sw_interface_set_flags', {
    sw_if_index: reply.sw_if_index,
    flags: if_status_flags.IF_STATUS_API_FLAG_ADMIN_UP,
  });
  return reply.sw_if_index;
}

async function deleteLoopback(session: VppSession, swIfIndex: number): Promise<void> {
  await forgetGate(session, swIfIndex);
  forgetWayOut(session, swIfIndex);
  await closeGate(session, swIfIndex);
  await session.connection.request('delete_loopback', { sw_if_index: swIfIndex });
}

async function setLink(session: VppSession, name: string, up: boolean): Promise<void> {
  await session.connection.request('sw_interface_set_flags', {
    sw_if_index: session.handles.need(name),
    flags: up ? if_status_flags.IF_STATUS_API_FLAG_ADMIN_UP : 0,
  });
}
