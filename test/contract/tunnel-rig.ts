import assert from 'node:assert/strict';
import type { VppConnection } from '../../native/vpp-api/client.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildFrame, buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { writeTransportChecksum } from '../../src/emulator/packet/headers.ts';
import { apiPath, neighbour, route, showL3, tcp, unset } from '../emulator/rig.ts';
import type { PacketSubject } from './packet-subject.ts';

export type Kind = 'ipip' | 'gre' | 'vxlan';

export interface Side {
  readonly kind: Kind;
  readonly outer: 4 | 6;
  /** Pods behind it: 10.1.<net>.0/24 and fd10:<net>::/64. */
  readonly net: number;
}

const ends = {
  4: { own: '192.0.2.1', peer: '198.51.100.7' },
  6: { own: '2001:db8::1', peer: '2001:db8:7::7' },
} as const;
export const vni = 4096;
export const port = 4789;
export const frameMac = '02:6b:76:70:01:00';
export const nextHops = { 4: '169.254.1.4', 6: 'fe80::4' } as const;
/** Bytes that each kind adds to a packet. */
const overheads = { ipip: 0, gre: 4, vxlan: 30 } as const;
export const overheadOf = ({ kind, outer }: Side) => (outer === 4 ? 20 : 40) + overheads[kind];

export const sides: readonly Side[] = [
  { kind: 'ipip', outer: 4, net: 20 },
  { kind: 'ipip', outer: 6, net: 21 },
  { kind: 'gre', outer: 4, net: 22 },
  { kind: 'gre', outer: 6, net: 23 },
  { kind: 'vxlan', outer: 4, net: 24 },
  { kind: 'vxlan', outer: 6, net: 25 },
];

/** One interface, or two where one sends and the other receives. */
async function createTunnel(s: PacketSubject, { kind, outer }: Side): Promise<readonly number[]> {
  const { vpp } = s;
  const src = ip(ends[outer].own);
  const dst = ip(ends[outer].peer);
  const more = { instance: unset, sw_if_index: unset, flags: 0, mode: 0, src, dst };
  if (kind === 'ipip') {
    const tunnel = { ...more, table_id: 0, dscp: 0 };
    return [(await vpp.request('ipip_add_tunnel', { tunnel })).sw_if_index];
  }
  if (kind === 'gre') {
    const tunnel = { ...more, type: 0, session_id: 0, outer_table_id: 0, key: 0 };
    return [(await vpp.request('gre_tunnel_add_del_v2', { is_add: true, tunnel })).sw_if_index];
  }
  if (outer === 4) await openWayOut(s);
  const sends = await addVxlan(vpp, { outer, table: wayOut });
  const receives = await addVxlan(vpp, { outer, table: 0 });
  return [sends, receives];
}

/**
 * VPP 26.06 takes a packet in a tunnel for the flow that is inside, and applies the source
 * translation of that flow a second time, to the outer UDP header. So what leaves by VXLAN is
 * routed by a table of its own, to a loopback, on which it arrives again as a flow of its own.
 * A tunnel of that table does not receive, because packets arrive in table 0: there is a second.
 */
export const wayOut = 4789;
const loopMac = '02:6b:76:70:00:04';

async function openWayOut({ vpp, index }: PacketSubject): Promise<void> {
  const { sw_if_index: loop } = await vpp.request('create_loopback', { mac_address: loopMac });
  await vpp.request('sw_interface_set_unnumbered', {
    sw_if_index: index.uplink ?? 0,
    unnumbered_sw_if_index: loop,
    is_add: true,
  });
  await suppressAnnouncements(vpp, loop);
  await vpp.request('sw_interface_set_flags', { sw_if_index: loop, flags: 1 });
  for (const family of [4, 6] as const) {
    const isIp6 = family === 6;
    await vpp.request('feature_enable_disable', {
      sw_if_index: loop,
      enable: true,
      arc_name: `ip${family}-unicast`,
      feature_name: `cnat-lookup-ip${family}`,
    });
    await neighbour(vpp, loop, nextHops[family], loopMac);
    const table = { table_id: wayOut, is_ip6: isIp6, name: 'vxlan' };
    await vpp.request('ip_table_add_del', { is_add: true, table });
    await vpp.request('ip_route_add_del_v2', {
      is_add: true,
      is_multipath: false,
      route: {
        table_id: wayOut,
        stats_index: 0,
        prefix: prefix(isIp6 ? '::/0' : '0.0.0.0/0'),
        src: 0,
        paths: [apiPath({ dev: loop, via: nextHops[family] }, isIp6)],
      },
    });
  }
}

export async function addVxlan(
  vpp: VppConnection,
  { outer, table }: { readonly outer: 4 | 6; readonly table: number },
): Promise<number> {
  const { next_index: decap } = await vpp.request('add_node_next', {
    node_name: `vxlan${outer}-input`,
    next_name: 'ethernet-input',
  });
  const { sw_if_index } = await vpp.request('vxlan_add_del_tunnel_v3', {
    is_add: true,
    instance: unset,
    src_address: ip(ends[outer].own),
    dst_address: ip(ends[outer].peer),
    src_port: port,
    dst_port: port,
    mcast_sw_if_index: unset,
    encap_vrf_id: table,
    decap_next_index: decap,
    vni,
    is_l3: false,
  });
  await vpp.request('sw_interface_set_mac_address', { sw_if_index, mac_address: frameMac });
  await suppressAnnouncements(vpp, sw_if_index);
  return sw_if_index;
}

/** A link of frames is announced to routers, and VPP 26.06 mangles what it says there itself. */
async function suppressAnnouncements(vpp: VppConnection, sw_if_index: number): Promise<void> {
  await vpp.request('sw_interface_ip6_enable_disable', { sw_if_index, enable: true });
  await vpp.request('sw_interface_ip6nd_ra_config', {
    sw_if_index,
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

/** What the daemon does for a tunnel, by hand. */
export async function open(s: PacketSubject, side: Side): Promise<readonly number[]> {
  const devices = await createTunnel(s, side);
  const { vpp } = s;
  for (const sw_if_index of devices) {
    const mtu = [1500 - overheadOf(side), 0, 0, 0];
    await vpp.request('sw_interface_set_mtu', { sw_if_index, mtu });
    if (side.kind !== 'vxlan')
      await vpp.request('sw_interface_ip6_enable_disable', { sw_if_index, enable: true });
    await vpp.request('sw_interface_set_unnumbered', {
      sw_if_index: s.index.uplink ?? 0,
      unnumbered_sw_if_index: sw_if_index,
      is_add: true,
    });
    await vpp.request('feature_cnat_enable_disable', { sw_if_index, enable_disable: true });
    await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
  }
  const dev = devices[0] ?? 0;
  const frames = side.kind === 'vxlan';
  for (const family of frames ? ([4, 6] as const) : [])
    await neighbour(vpp, dev, nextHops[family], frameMac);
  await route(vpp, `10.1.${side.net}.0/24`, [{ dev, ...(frames && { via: nextHops[4] }) }]);
  await route(vpp, `fd10:${side.net}::/64`, [{ dev, ...(frames && { via: nextHops[6] }) }]);
  return devices;
}

/** The packet inside one that left by a tunnel, and what is around it, as text. */
export function opened({ kind, outer }: Side, frame: Buffer): { inner: Buffer; around: string } {
  const l3 = frame.subarray(14);
  const ipBytes = outer === 4 ? 20 : 40;
  const rest = l3.subarray(ipBytes);
  const outside = showL3(l3);
  if (kind === 'ipip') return { inner: rest, around: outside };
  if (kind === 'gre')
    return { inner: rest.subarray(4), around: `${outside} ${rest.toString('hex', 0, 4)}` };
  // The source port is the hash of the flow: any, the same for the same flow.
  const text = outside.replace(/(\.1|:1]):\d+ >/, '$1:* >');
  const inside = rest.subarray(8);
  return {
    inner: inside.subarray(22),
    around: `${text} ${inside.toString('hex', 0, 8)} ${inside.toString('hex', 8, 22)}`,
  };
}

export interface WrapOptions {
  readonly vni?: number;
  readonly greHeader?: string;
  readonly flags?: number;
  readonly mac?: string;
}

/** A packet as the other end of the tunnel sends it. */
export function wrapped({ kind, outer }: Side, inner: Buffer, given: WrapOptions = {}): Buffer {
  const six = (inner[0] ?? 0) >> 4 === 6;
  const around = {
    source: addrFromIp(ip(ends[outer].peer)),
    target: addrFromIp(ip(ends[outer].own)),
  };
  if (kind === 'ipip') return buildIp({ ...around, protocol: six ? 41 : 4, payload: inner });
  if (kind === 'gre') {
    const header = Buffer.from(given.greHeader ?? (six ? '000086dd' : '00000800'), 'hex');
    return buildIp({ ...around, protocol: 47, payload: Buffer.concat([header, inner]) });
  }
  const header = Buffer.alloc(8);
  header[0] = given.flags ?? 8;
  header.writeUInt32BE(((given.vni ?? vni) << 8) >>> 0, 4);
  const target = mac(given.mac ?? frameMac);
  const frame = buildFrame(target, mac(frameMac), six ? 0x86dd : 0x0800, inner);
  const segment = udpSegment(55_555, port, Buffer.concat([header, frame]));
  return buildIp({ ...around, protocol: 17, payload: segment });
}

export const aroundOf: {
  readonly [K in Kind]: { readonly [F in 4 | 6]: readonly [string, string] };
} = {
  ipip: {
    4: ['192.0.2.1 > 198.51.100.7 proto 4', '192.0.2.1 > 198.51.100.7 proto 41'],
    6: ['2001:db8::1 > 2001:db8:7::7 proto 4', '2001:db8::1 > 2001:db8:7::7 proto 41'],
  },
  gre: {
    4: ['192.0.2.1 > 198.51.100.7 proto 47 00000800', '192.0.2.1 > 198.51.100.7 proto 47 000086dd'],
    6: [
      '2001:db8::1 > 2001:db8:7::7 proto 47 00000800',
      '2001:db8::1 > 2001:db8:7::7 proto 47 000086dd',
    ],
  },
  vxlan: {
    4: [
      '192.0.2.1:* > 198.51.100.7:4789 udp 0800000000100000 026b76700100026b767001000800',
      '192.0.2.1:* > 198.51.100.7:4789 udp 0800000000100000 026b76700100026b7670010086dd',
    ],
    6: [
      '[2001:db8::1]:* > [2001:db8:7::7]:4789 udp 0800000000100000 026b76700100026b767001000800',
      '[2001:db8::1]:* > [2001:db8:7::7]:4789 udp 0800000000100000 026b76700100026b7670010086dd',
    ],
  },
};

/** VPP reports its groups once when a link of frames comes up (MLD): that answers nothing. */
export async function letAnnounce(s: PacketSubject, side: Side): Promise<void> {
  for (let i = 0; i < 3 && side.kind === 'vxlan'; i++) await s.send('pod1');
}

export function onlyFrame({ last }: PacketSubject): Buffer {
  assert.deepEqual(
    last.map(({ port: name }) => name),
    ['uplink'],
  );
  return last[0]?.frame ?? Buffer.alloc(0);
}

/** A SYN that offers segments of `mss` bytes. */
export function syn(from: string, to: string, mss: number): Buffer {
  const l3 = tcp(from, to, 2, 'abcd');
  const family = (l3[0] ?? 0) >> 4 === 6 ? 6 : 4;
  const at = family === 4 ? 20 : 40;
  l3[at + 12] = 0x60;
  l3.writeUInt32BE(0x0204_0000 + mss, at + 20);
  writeTransportChecksum(l3, family);
  return l3;
}

export const mssOf = (l3: Buffer) => l3.readUInt16BE(((l3[0] ?? 0) >> 4 === 6 ? 40 : 20) + 22);
