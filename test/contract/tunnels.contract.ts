/**
 * Tunnels between nodes, of every kind and over both families, on the embedded data plane and on
 * a real VPP: what leaves, what is taken in, what is too large. Where the two differ, VPP is right.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { VppConnection } from '../../native/vpp-api/client.ts';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildFrame, buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { writeTransportChecksum } from '../../src/emulator/packet/headers.ts';
import { neighbour, putService, route, showL3, tcp, udp, unset } from '../emulator/rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

type Kind = 'ipip' | 'gre' | 'vxlan';

interface Side {
  readonly kind: Kind;
  readonly outer: 4 | 6;
  /** Pods behind it: 10.1.<net>.0/24 and fd10:<net>::/64. */
  readonly net: number;
}

const ends = {
  4: { own: '192.0.2.1', peer: '198.51.100.7' },
  6: { own: '2001:db8::1', peer: '2001:db8:7::7' },
} as const;
const vni = 4096;
const port = 4789;
const frameMac = '02:6b:76:70:01:00';
const nextHops = { 4: '169.254.1.4', 6: 'fe80::4' } as const;
/** Bytes that each kind adds to a packet. */
const overheads = { ipip: 0, gre: 4, vxlan: 30 } as const;
const overheadOf = ({ kind, outer }: Side) => (outer === 4 ? 20 : 40) + overheads[kind];

const sides: readonly Side[] = [
  { kind: 'ipip', outer: 4, net: 20 },
  { kind: 'ipip', outer: 6, net: 21 },
  { kind: 'gre', outer: 4, net: 22 },
  { kind: 'gre', outer: 6, net: 23 },
  { kind: 'vxlan', outer: 4, net: 24 },
  { kind: 'vxlan', outer: 6, net: 25 },
];

async function createTunnel(vpp: VppConnection, { kind, outer }: Side): Promise<number> {
  const src = ip(ends[outer].own);
  const dst = ip(ends[outer].peer);
  const more = { instance: unset, sw_if_index: unset, flags: 0, mode: 0, src, dst };
  if (kind === 'ipip') {
    const tunnel = { ...more, table_id: 0, dscp: 0 };
    return (await vpp.request('ipip_add_tunnel', { tunnel })).sw_if_index;
  }
  if (kind === 'gre') {
    const tunnel = { ...more, type: 0, session_id: 0, outer_table_id: 0, key: 0 };
    return (await vpp.request('gre_tunnel_add_del_v2', { is_add: true, tunnel })).sw_if_index;
  }
  return (await addVxlan(vpp, outer)).sw_if_index;
}

async function addVxlan(vpp: VppConnection, outer: 4 | 6) {
  const { next_index: decap } = await vpp.request('add_node_next', {
    node_name: `vxlan${outer}-input`,
    next_name: 'ethernet-input',
  });
  const reply = await vpp.request('vxlan_add_del_tunnel_v3', {
    is_add: true,
    instance: unset,
    src_address: ip(ends[outer].own),
    dst_address: ip(ends[outer].peer),
    src_port: port,
    dst_port: port,
    mcast_sw_if_index: unset,
    encap_vrf_id: 0,
    decap_next_index: decap,
    vni,
    is_l3: false,
  });
  const fields = { sw_if_index: reply.sw_if_index, mac_address: frameMac };
  await vpp.request('sw_interface_set_mac_address', fields);
  return reply;
}

/** What the daemon does for a tunnel, by hand. */
async function open(s: PacketSubject, side: Side): Promise<number> {
  const dev = await createTunnel(s.vpp, side);
  const { vpp } = s;
  await vpp.request('sw_interface_set_mtu', {
    sw_if_index: dev,
    mtu: [1500 - overheadOf(side), 0, 0, 0],
  });
  await vpp.request('sw_interface_ip6_enable_disable', { sw_if_index: dev, enable: true });
  await vpp.request('sw_interface_set_unnumbered', {
    sw_if_index: s.index.uplink ?? 0,
    unnumbered_sw_if_index: dev,
    is_add: true,
  });
  await vpp.request('feature_cnat_enable_disable', { sw_if_index: dev, enable_disable: true });
  await vpp.request('sw_interface_set_flags', { sw_if_index: dev, flags: 1 });
  const frames = side.kind === 'vxlan';
  for (const family of frames ? ([4, 6] as const) : [])
    await neighbour(vpp, dev, nextHops[family], frameMac);
  await route(vpp, `10.1.${side.net}.0/24`, [{ dev, ...(frames && { via: nextHops[4] }) }]);
  await route(vpp, `fd10:${side.net}::/64`, [{ dev, ...(frames && { via: nextHops[6] }) }]);
  return dev;
}

/** The packet inside one that left by a tunnel, and what is around it, as text. */
function opened({ kind, outer }: Side, frame: Buffer): { inner: Buffer; around: string } {
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

interface WrapOptions {
  readonly vni?: number;
  readonly greHeader?: string;
  readonly flags?: number;
  readonly mac?: string;
}

/** A packet as the other end of the tunnel sends it. */
function wrapped({ kind, outer }: Side, inner: Buffer, given: WrapOptions = {}): Buffer {
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

const aroundOf: { readonly [K in Kind]: { readonly [F in 4 | 6]: readonly [string, string] } } = {
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

function onlyFrame(s: PacketSubject): Buffer {
  assert.deepEqual(
    s.last.map(({ port: name }) => name),
    ['uplink'],
  );
  return s.last[0]?.frame ?? Buffer.alloc(0);
}

/** A SYN that offers segments of `mss` bytes. */
function syn(from: string, to: string, mss: number): Buffer {
  const l3 = tcp(from, to, 2, 'abcd');
  const family = (l3[0] ?? 0) >> 4 === 6 ? 6 : 4;
  const at = family === 4 ? 20 : 40;
  l3[at + 12] = 0x60;
  l3.writeUInt32BE(0x0204_0000 + mss, at + 20);
  writeTransportChecksum(l3, family);
  return l3;
}

const mssOf = (l3: Buffer) => l3.readUInt16BE(((l3[0] ?? 0) >> 4 === 6 ? 40 : 20) + 22);

/** What is the same for each kind, once for each outer family. */
function checkSide(side: Side, subject: () => PacketSubject): void {
  const name = `${side.kind} over IPv${side.outer}`;
  const { net } = side;
  const [around4, around6] = aroundOf[side.kind][side.outer];
  let dev = 0;
  before(async () => {
    dev = await open(subject(), side);
  });

  it(`${name}: a ClusterIP of an endpoint at the other end, and its answer`, async () => {
    const s = subject();
    await putService(s.vpp, `10.96.2.${net}`, 80, [`10.1.${net}.5:80`]);
    await s.send('pod1', tcp('10.1.1.11:1600', `10.96.2.${net}:80`));
    const { inner, around } = opened(side, onlyFrame(s));
    assert.equal(around, around4);
    assert.equal(showL3(inner), `10.1.1.11:1600 > 10.1.${net}.5:80 tcp`);
    const answer = tcp(`10.1.${net}.5:80`, '10.1.1.11:1600', 18);
    assert.deepEqual(await s.send('uplink', wrapped(side, answer)), [
      `pod1: 10.96.2.${net}:80 > 10.1.1.11:1600 tcp`,
    ]);
  });

  it(`${name}: the same over IPv6`, async () => {
    const s = subject();
    await putService(s.vpp, `fd96::${net}`, 80, [`[fd10:${net}::5]:80`]);
    await s.send('pod1', tcp('[fd10:1::11]:1600', `[fd96::${net}]:80`));
    const { inner, around } = opened(side, onlyFrame(s));
    assert.equal(around, around6);
    assert.equal(showL3(inner), `[fd10:1::11]:1600 > [fd10:${net}::5]:80 tcp`);
    const answer = tcp(`[fd10:${net}::5]:80`, '[fd10:1::11]:1600', 18);
    assert.deepEqual(await s.send('uplink', wrapped(side, answer)), [
      `pod1: [fd96::${net}]:80 > [fd10:1::11]:1600 tcp`,
    ]);
  });

  it(`${name}: from the other end to a pod, and back`, async () => {
    const s = subject();
    const there = udp(`10.1.${net}.9:700`, '10.1.1.12:53');
    assert.deepEqual(await s.send('uplink', wrapped(side, there)), [
      `pod2: 10.1.${net}.9:700 > 10.1.1.12:53 udp`,
    ]);
    await s.send('pod2', udp('10.1.1.12:53', `10.1.${net}.9:700`));
    assert.equal(showL3(opened(side, onlyFrame(s)).inner), `10.1.1.12:53 > 10.1.${net}.9:700 udp`);
  });

  it(`${name}: what fills the MTU passes whole, and one byte more does not`, async () => {
    const s = subject();
    const mtu = 1500 - overheadOf(side);
    const fits = udp('10.1.1.11:80', `10.1.${net}.5:1`, 'x'.repeat(mtu - 28), { df: true });
    await s.send('pod1', fits);
    assert.equal(onlyFrame(s).length, 1514);
    const large = udp('10.1.1.11:81', `10.1.${net}.5:1`, 'x'.repeat(mtu - 27), { df: true });
    const about = `10.1.1.11:81 > 10.1.${net}.5:1 udp`;
    assert.deepEqual(await s.send('pod1', large), [
      `pod1: 192.0.2.1 > 10.1.1.11 icmp 3/4 (${about})`,
    ]);
    assert.equal(s.last[0]?.frame.readUInt32BE(38), mtu);
    const large6 = udp('[fd10:1::11]:81', `[fd10:${net}::5]:1`, 'x'.repeat(mtu - 47));
    const about6 = `[fd10:1::11]:81 > [fd10:${net}::5]:1 udp`;
    assert.deepEqual(await s.send('pod1', large6), [
      `pod1: 2001:db8::1 > fd10:1::11 icmp 2/0 (${about6})`,
    ]);
    assert.equal(s.last[0]?.frame.readUInt32BE(58), mtu);
  });

  it(`${name}: the MSS of what leaves is lowered to the tunnel's`, async () => {
    const s = subject();
    const mtu = 1500 - overheadOf(side);
    const clamp = (direction: number) =>
      s.vpp.request('mss_clamp_enable_disable', {
        sw_if_index: dev,
        ipv4_mss: mtu - 40,
        ipv6_mss: mtu - 60,
        ipv4_direction: direction,
        ipv6_direction: direction,
      });
    const leaving = async (l3: Buffer) => {
      await s.send('pod1', l3);
      const { inner } = opened(side, onlyFrame(s));
      assert.doesNotMatch(showL3(inner), /BAD CHECKSUM/);
      return mssOf(inner);
    };
    const to4 = `10.1.${net}.5:80`;
    const to6 = `[fd10:${net}::5]:80`;
    await clamp(2);
    assert.equal(await leaving(syn('10.1.1.11:1', to4, 1460)), mtu - 40);
    assert.equal(await leaving(syn('10.1.1.11:2', to4, 900)), 900);
    assert.equal(await leaving(syn('[fd10:1::11]:1', to6, 1440)), mtu - 60);
    await clamp(0);
    assert.equal(await leaving(syn('10.1.1.11:3', to4, 1460)), 1460);
  });

  it(`${name}: what is not of this tunnel is dropped`, async () => {
    const s = subject();
    const inner = udp(`10.1.${net}.9:701`, '10.1.1.12:53');
    const strange: Record<Kind, readonly WrapOptions[]> = {
      ipip: [],
      gre: [{ greHeader: '2000080000000007' }, { greHeader: '00008847' }],
      vxlan: [{ vni: 4097 }, { flags: 0 }, { mac: '02:6b:76:70:01:01' }],
    };
    for (const given of strange[side.kind])
      assert.deepEqual(
        await s.send('uplink', wrapped(side, inner, given)),
        [],
        JSON.stringify(given),
      );
    await s.vpp.request('sw_interface_set_flags', { sw_if_index: dev, flags: 0 });
    assert.deepEqual(await s.send('uplink', wrapped(side, inner)), [], 'it is down');
    await s.vpp.request('sw_interface_set_flags', { sw_if_index: dev, flags: 1 });
    assert.equal((await s.send('uplink', wrapped(side, inner))).length, 1, 'it is up again');
  });
}

function checkMessages(subject: () => PacketSubject): void {
  it('says what it holds of VXLAN, and by which numbers it refuses', async () => {
    const { vpp } = subject();
    const held = await vpp.dump('vxlan_tunnel_v2_dump', { sw_if_index: unset });
    assert.deepEqual(
      held.map((entry) => [entry.src_address, entry.dst_address, entry.vni, entry.src_port]),
      [
        ['192.0.2.1', '198.51.100.7', 4096, 4789],
        ['2001:db8::1', '2001:db8:7::7', 4096, 4789],
      ],
    );
    const retval = (asked: Promise<unknown>) =>
      asked.then(
        () => 0,
        (error: { retval?: number }) => error.retval,
      );
    assert.equal(await retval(addVxlan(vpp, 4)), -75);
    const next = (node_name: string, next_name: string) =>
      retval(vpp.request('add_node_next', { node_name, next_name }));
    assert.equal(await next('no-such-node', 'ethernet-input'), -63);
    assert.equal(await next('vxlan4-input', 'no-such-node'), -64);
    assert.equal(await next('vxlan4-input', 'ethernet-input'), 0);
    const tunnel = {
      instance: unset,
      src_address: ip('192.0.2.1'),
      dst_address: ip('192.0.2.9'),
      src_port: port,
      dst_port: port,
      mcast_sw_if_index: unset,
      encap_vrf_id: 0,
      decap_next_index: 99,
      vni,
      is_l3: false,
    };
    const change = (is_add: boolean, more: object) =>
      retval(vpp.request('vxlan_add_del_tunnel_v3', { is_add, ...tunnel, ...more }));
    assert.equal(await change(true, {}), -76);
    assert.equal(await change(false, {}), -6);
    assert.equal(await change(true, { dst_address: ip('192.0.2.1') }), -82);
    assert.equal(await change(true, { encap_vrf_id: 7 }), -3);
  });
}

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`tunnels of the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let subject: PacketSubject;
    before(async () => {
      subject = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
    });
    after(async () => {
      await subject[Symbol.asyncDispose]();
    });
    for (const side of sides)
      describe(`${side.kind}${side.outer}`, () => checkSide(side, () => subject));

    describe('vxlan', () => checkMessages(() => subject));
  });
}
