import { addressWithLength } from '../../native/vpp-api/address.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import { createFakeClock, type FakeClock } from '../../src/core/clock.ts';
import { familyOf, hostPrefix, type Ip, ip, ipFromBytes, prefix } from '../../src/core/ip.ts';
import { type Addr, addrFromIp } from '../../src/emulator/address.ts';
import { createEmulator, type Emulator, type Port } from '../../src/emulator/emulator.ts';
import {
  buildIp,
  icmpMessage,
  TcpFlag,
  tcpSegment,
  udpSegment,
} from '../../src/emulator/packet/build.ts';
import {
  headerBytes,
  Protocol,
  protocolOf,
  sourceOf,
  targetOf,
  transportChecksumRight,
} from '../../src/emulator/packet/headers.ts';

/** A node of the recipe in the facts: an uplink, two local pods, one remote pod network. */
export interface Rig extends AsyncDisposable {
  readonly emulator: Emulator;
  readonly clock: FakeClock;
  readonly vpp: VppConnection;
  readonly ports: Readonly<Record<string, Port>>;
  readonly index: Readonly<Record<string, number>>;
  /** Sends an L3 packet into an interface and gives what came out, as text. */
  send(from: string, l3: Buffer): string[];
  explain(from: string, l3: Buffer): string[];
  service(
    vip: string,
    port: number,
    backends: readonly string[],
    more?: ServiceOptions,
  ): Promise<number>;
}

export interface ServiceOptions {
  readonly protocol?: number;
  readonly maglev?: boolean;
  readonly affinity?: boolean;
  readonly real?: boolean;
  readonly flags?: number;
  readonly pathFlags?: number;
}

export const unset = 0xffff_ffff;
export const macs = {
  uplink: '02:00:00:00:00:01',
  router: '02:00:00:00:00:02',
  pod1: '02:00:00:00:01:01',
  pod2: '02:00:00:00:02:01',
} as const;

export const hostNames = { uplink: 'eth0', pod1: 'veth1', pod2: 'veth2' } as const;

export async function createRig(): Promise<Rig> {
  const clock = createFakeClock();
  const emulator = createEmulator({ clock });
  const vpp = await connectVpp({ stream: emulator.connect(), name: 'test' });
  const ports: Record<string, Port> = {};
  const index: Record<string, number> = {};
  for (const [name, hostName] of Object.entries(hostNames)) {
    ports[name] = emulator.addPort(hostName);
    index[name] = await openInterface(vpp, name, hostName);
  }
  await configure(vpp, index);
  const rig: Rig = {
    emulator,
    clock,
    vpp,
    ports,
    index,
    send(from, l3) {
      const { outputs } = emulator.inject(from, l3);
      return outputs.map((out) => `${tagOf(emulator, out.interface)}: ${show(out.bytes)}`);
    },
    explain: (from, l3) => emulator.inject(from, l3).steps.map((s) => `${s.node}: ${s.text}`),
    service: (vip, port, backends, more) => putService(vpp, vip, port, backends, more),
    async [Symbol.asyncDispose]() {
      await vpp[Symbol.asyncDispose]();
      await emulator[Symbol.asyncDispose]();
    },
  };
  return rig;
}

export async function openInterface(
  vpp: VppConnection,
  name: string,
  hostName: string,
): Promise<number> {
  const { sw_if_index } = await vpp.request('af_packet_create_v3', {
    mode: 1,
    hw_addr: macs[name as keyof typeof macs],
    use_random_hw_addr: false,
    host_if_name: hostName,
    rx_frame_size: 10240,
    tx_frame_size: 10240,
    rx_frames_per_block: 32,
    tx_frames_per_block: 32,
    flags: 1,
    num_rx_queues: 1,
    num_tx_queues: 1,
  });
  await vpp.request('sw_interface_tag_add_del', { is_add: true, sw_if_index, tag: name });
  await vpp.request('sw_interface_set_mtu', { sw_if_index, mtu: [1500, 0, 0, 0] });
  await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
  await vpp.request('feature_cnat_enable_disable', { sw_if_index, enable_disable: true });
  return sw_if_index;
}

export async function configure(vpp: VppConnection, index: Readonly<Record<string, number>>) {
  const uplink = index.uplink ?? 0;
  for (const [address, length] of [
    ['192.0.2.1', 24],
    ['2001:db8::1', 64],
  ] as const) {
    await vpp.request('sw_interface_add_del_address', {
      sw_if_index: uplink,
      is_add: true,
      del_all: false,
      prefix: addressWithLength(ip(address), length),
    });
  }
  await neighbour(vpp, uplink, '192.0.2.254', macs.router);
  await neighbour(vpp, uplink, '2001:db8::fe', macs.router);
  await route(vpp, '0.0.0.0/0', [{ via: '192.0.2.254', dev: uplink }]);
  await route(vpp, '::/0', [{ via: '2001:db8::fe', dev: uplink }]);
  await vpp.request('cnat_set_snat_addresses_v2', {
    fwd_fib_index: 0,
    ret_fib_index: 0,
    snat_ip4: ip('192.0.2.1'),
    snat_ip6: ip('2001:db8::1'),
    sw_if_index: unset,
    flags: 6,
  });
  await vpp.request('cnat_set_snat_policy', { policy: 2 });
  for (const pods of ['10.1.0.0/16', 'fd10::/16'])
    await vpp.request('cnat_snat_policy_add_del_exclude_pfx', { is_add: 1, prefix: prefix(pods) });
  for (const n of [1, 2]) {
    const pod = index[`pod${n}`] ?? 0;
    await vpp.request('sw_interface_set_unnumbered', {
      sw_if_index: uplink,
      unnumbered_sw_if_index: pod,
      is_add: true,
    });
    await vpp.request('sw_interface_ip6_enable_disable', { sw_if_index: pod, enable: true });
    for (const address of [`10.1.1.1${n}`, `fd10:1::1${n}`]) {
      await neighbour(vpp, pod, address, `02:00:00:00:0${n}:02`);
      await route(vpp, hostPrefix(ip(address)), [{ via: address, dev: pod }]);
    }
    for (const table of [0, 1, 2])
      await vpp.request('cnat_snat_policy_add_del_if', { sw_if_index: pod, is_add: 1, table });
  }
}

export async function neighbour(vpp: VppConnection, dev: number, address: string, macText: string) {
  await vpp.request('ip_neighbor_add_del', {
    is_add: true,
    neighbor: { sw_if_index: dev, flags: 1, mac_address: macText, ip_address: ip(address) },
  });
}

export interface PathSpec {
  readonly via?: string;
  readonly dev?: number;
  readonly type?: number;
  readonly weight?: number;
}

export type ApiPath = FieldsOf<'ip_route_v2_details'>['route']['paths'][number];

export function apiPath(path: PathSpec, isIp6: boolean): ApiPath {
  return {
    sw_if_index: path.dev ?? unset,
    table_id: 0,
    rpf_id: unset,
    weight: path.weight ?? 1,
    preference: 0,
    type: path.type ?? 0,
    flags: 0,
    proto: isIp6 ? 1 : 0,
    nh: {
      address: ip(path.via ?? (isIp6 ? '::' : '0.0.0.0')),
      via_label: 0,
      obj_id: 0,
      classify_table_index: 0,
    },
    n_labels: 0,
    label_stack: [],
  };
}

export async function route(
  vpp: VppConnection,
  target: string,
  paths: readonly PathSpec[],
  source = 0,
) {
  await vpp.request('ip_route_add_del_v2', {
    is_add: true,
    is_multipath: false,
    route: {
      table_id: 0,
      stats_index: 0,
      prefix: prefix(target),
      src: source,
      paths: paths.map((path) => apiPath(path, target.includes(':'))),
    },
  });
}

export async function putService(
  vpp: VppConnection,
  vip: string,
  port: number,
  backends: readonly string[],
  more: ServiceOptions = {},
): Promise<number> {
  const endpoint = (text: string) => {
    const colon = text.lastIndexOf(':');
    const addr = ip(text.slice(0, colon).replaceAll(/[[\]]/g, ''));
    return {
      addr,
      sw_if_index: unset,
      if_af: familyOf(addr) === 6 ? 1 : 0,
      port: Number(text.slice(colon + 1)),
    };
  };
  const none: Ip = ip(vip.includes(':') ? '::' : '0.0.0.0');
  const { id } = await vpp.request('cnat_translation_update', {
    translation: {
      vip: endpoint(vip.includes(':') ? `[${vip}]:${port}` : `${vip}:${port}`),
      id: unset,
      ip_proto: more.protocol ?? 6,
      is_real_ip: more.real ? 1 : 0,
      flags: more.flags ?? 9,
      lb_type: more.maglev ? 1 : 0,
      flow_hash_config: more.affinity ? 1 : 0,
      paths: backends.map((backend) => ({
        dst_ep: endpoint(backend),
        src_ep: { addr: none, sw_if_index: unset, if_af: vip.includes(':') ? 1 : 0, port: 0 },
        flags: more.pathFlags ?? 0,
      })),
    },
  });
  return id;
}

function tagOf(emulator: Emulator, name: string): string {
  return emulator.plane.interfaces.byName(name)?.tag || name;
}

const a = (text: string): Addr => addrFromIp(ip(text));

/** `1.2.3.4:5` or `[::1]:5` */
function end(text: string): { addr: Addr; port: number } {
  const colon = text.lastIndexOf(':');
  return {
    addr: a(text.slice(0, colon).replaceAll(/[[\]]/g, '')),
    port: Number(text.slice(colon + 1)),
  };
}

export function tcp(from: string, to: string, flags: number = TcpFlag.syn, payload = ''): Buffer {
  const s = end(from);
  const t = end(to);
  return buildIp({
    source: s.addr,
    target: t.addr,
    protocol: Protocol.tcp,
    payload: tcpSegment(s.port, t.port, flags, Buffer.from(payload)),
  });
}

export function udp(
  from: string,
  to: string,
  payload = 'hello',
  more: { df?: boolean; ttl?: number } = {},
): Buffer {
  const s = end(from);
  const t = end(to);
  return buildIp({
    source: s.addr,
    target: t.addr,
    protocol: Protocol.udp,
    payload: udpSegment(s.port, t.port, Buffer.from(payload)),
    dontFragment: more.df ?? false,
    hopLimit: more.ttl ?? 64,
  });
}

export function ping(from: string, to: string, id = 7, reply = false): Buffer {
  const v6 = from.includes(':');
  const type = v6 ? (reply ? 129 : 128) : reply ? 0 : 8;
  return buildIp({
    source: a(from),
    target: a(to),
    protocol: v6 ? Protocol.icmp6 : Protocol.icmp,
    payload: icmpMessage(type, 0, id << 16, Buffer.from('ping')),
  });
}

/** An ICMP error about a packet. */
export function icmpAbout(
  from: string,
  to: string,
  type: number,
  code: number,
  about: Buffer,
): Buffer {
  const v6 = from.includes(':');
  return buildIp({
    source: a(from),
    target: a(to),
    protocol: v6 ? Protocol.icmp6 : Protocol.icmp,
    payload: icmpMessage(type, code, 0, about.subarray(0, v6 ? 200 : 60)),
  });
}

/** One line for a frame, checksums verified. */
export function show(frame: Buffer): string {
  const etherType = frame.readUInt16BE(12);
  const body = frame.subarray(14);
  if (etherType === 0x0806) {
    const from = ipFromBytes(body.subarray(14, 18));
    const to = ipFromBytes(body.subarray(24, 28));
    return body[7] === 1 ? `arp who-has ${to} tell ${from}` : `arp ${from} is here`;
  }
  return showL3(body);
}

export function showL3(l3: Buffer): string {
  const family = (l3[0] ?? 0) >> 4 === 6 ? 6 : 4;
  const wrong = transportChecksumRight(l3, family) ? '' : ' BAD CHECKSUM';
  const protocol = protocolOf(l3, family);
  const at = headerBytes(l3, family);
  const text = (addr: Addr, port?: number) => {
    const plain = ipFromBytes(Buffer.from(addr, 'latin1'));
    if (port === undefined) return plain;
    return family === 6 ? `[${plain}]:${port}` : `${plain}:${port}`;
  };
  const s = sourceOf(l3, family);
  const t = targetOf(l3, family);
  if (protocol === Protocol.tcp || protocol === Protocol.udp) {
    const name = protocol === Protocol.tcp ? 'tcp' : 'udp';
    return `${text(s, l3.readUInt16BE(at))} > ${text(t, l3.readUInt16BE(at + 2))} ${name}${wrong}`;
  }
  if (protocol === Protocol.icmp || protocol === Protocol.icmp6) {
    const type = l3[at] ?? 0;
    const echo = family === 4 ? type === 8 || type === 0 : type >= 128 && type < 130;
    if (echo) return `${text(s)} > ${text(t)} echo ${type} id ${l3.readUInt16BE(at + 4)}${wrong}`;
    if (type >= 133) return `${text(s)} > ${text(t)} nd ${type}${wrong}`;
    const inner = showInner(l3.subarray(at + 8));
    return `${text(s)} > ${text(t)} icmp ${type}/${l3[at + 1]} (${inner})${wrong}`;
  }
  return `${text(s)} > ${text(t)} proto ${protocol}${wrong}`;
}

/** The quoted packet of an ICMP error; its transport checksum may be cut off. */
function showInner(l3: Buffer): string {
  return showL3(l3).replace(' BAD CHECKSUM', '');
}
