import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildFrame, buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { writeIp4Checksum } from '../../src/emulator/packet/headers.ts';
import {
  createRig,
  icmpAbout,
  macs,
  neighbour,
  ping,
  type Rig,
  route,
  tcp,
  udp,
  unset,
} from './rig.ts';

/** Everything on at once: services, tunnel, access lists, reassembly, MSS clamping. */
async function createFullRig(): Promise<Rig> {
  const rig = await createRig();
  const { vpp, index } = rig;
  await rig.service('10.96.0.10', 80, ['10.1.1.12:8080', '10.1.2.1:80']);
  await rig.service('fd96::10', 53, ['[fd10:1::12]:5353'], { protocol: 17 });
  const { sw_if_index: tunnel } = await vpp.request('ipip_add_tunnel', {
    tunnel: {
      instance: unset,
      src: ip('192.0.2.1'),
      dst: ip('198.51.100.7'),
      sw_if_index: unset,
      table_id: 0,
      flags: 0,
      mode: 0,
      dscp: 0,
    },
  });
  await vpp.request('sw_interface_set_unnumbered', {
    sw_if_index: index.uplink ?? 0,
    unnumbered_sw_if_index: tunnel,
    is_add: true,
  });
  await vpp.request('sw_interface_set_flags', { sw_if_index: tunnel, flags: 1 });
  await vpp.request('feature_cnat_enable_disable', { sw_if_index: tunnel, enable_disable: true });
  await route(vpp, '10.1.9.0/24', [{ dev: tunnel }]);
  await addVxlan(rig);
  const any = (text: string) => ({
    is_permit: 2,
    src_prefix: prefix(text),
    dst_prefix: prefix(text),
    proto: 0,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: 0,
    dstport_or_icmpcode_last: 65535,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  });
  const { acl_index } = await vpp.request('acl_add_replace', {
    acl_index: unset,
    tag: '',
    r: [any('0.0.0.0/0'), any('::/0')],
  });
  await vpp.request('acl_interface_set_acl_list', {
    sw_if_index: index.pod2 ?? 0,
    n_input: 1,
    acls: [acl_index, acl_index],
  });
  for (const name of ['pod1', 'uplink']) {
    const sw_if_index = index[name] ?? 0;
    const reassembly = { sw_if_index, enable_ip4: true, enable_ip6: true, type: 0 };
    await vpp.request('ip_reassembly_enable_disable', reassembly);
    await vpp.request('mss_clamp_enable_disable', {
      sw_if_index,
      ipv4_mss: 500,
      ipv6_mss: 500,
      ipv4_direction: 3,
      ipv6_direction: 3,
    });
  }
  return rig;
}

/** A tunnel of frames to the same peer; pods behind it: 10.1.8.0/24. */
async function addVxlan({ vpp, index }: Rig): Promise<void> {
  const { next_index: decap } = await vpp.request('add_node_next', {
    node_name: 'vxlan4-input',
    next_name: 'ethernet-input',
  });
  const { sw_if_index } = await vpp.request('vxlan_add_del_tunnel_v3', {
    is_add: true,
    instance: unset,
    src_address: ip('192.0.2.1'),
    dst_address: ip('198.51.100.7'),
    src_port: 4789,
    dst_port: 4789,
    mcast_sw_if_index: unset,
    encap_vrf_id: 0,
    decap_next_index: decap,
    vni: 4096,
    is_l3: false,
  });
  await vpp.request('sw_interface_set_mac_address', { sw_if_index, mac_address: macs.uplink });
  await vpp.request('sw_interface_set_unnumbered', {
    sw_if_index: index.uplink ?? 0,
    unnumbered_sw_if_index: sw_if_index,
    is_add: true,
  });
  await neighbour(vpp, sw_if_index, '169.254.1.4', macs.uplink);
  await route(vpp, '10.1.8.0/24', [{ dev: sw_if_index, via: '169.254.1.4' }]);
}

const inVxlan = (inner: Uint8Array) => {
  const header = Buffer.from('0800000000100000', 'hex');
  const frame = buildFrame(mac(macs.uplink), mac(macs.uplink), 0x0800, inner);
  return wrapped(17, udpSegment(1, 4789, Buffer.concat([header, frame])));
};

const wrapped = (protocol: number, payload: Uint8Array) =>
  buildIp({
    source: addrFromIp(ip('198.51.100.7')),
    target: addrFromIp(ip('192.0.2.1')),
    protocol,
    payload,
  });

const packets: readonly (readonly [keyof typeof macs, Buffer])[] = [
  ['pod1', tcp('10.1.1.11:1234', '10.96.0.10:80', 2, 'x'.repeat(40))],
  ['pod1', udp('[fd10:1::11]:5', '[fd96::10]:53')],
  ['pod1', udp('10.1.1.11:5', '192.0.2.1:6')],
  ['pod1', tcp('10.1.1.11:9', '10.1.9.1:80')],
  ['uplink', wrapped(4, tcp('10.1.9.1:80', '10.1.1.11:9', 18))],
  ['pod1', tcp('10.1.1.11:9', '10.1.8.1:80')],
  ['uplink', inVxlan(tcp('10.1.8.1:80', '10.1.1.11:9', 18))],
  ['pod1', ping('10.1.1.11', '203.0.113.8')],
  ['pod1', ping('fd10:1::11', 'ff02::1')],
  ['pod2', icmpAbout('10.1.1.12', '10.1.1.11', 3, 3, udp('10.1.1.11:5', '10.1.1.12:5'))],
  ['pod2', icmpAbout('fd10:1::12', 'fd10:1::11', 1, 4, udp('[fd10:1::11]:5', '[fd10:1::12]:5'))],
];

/** Makes the lengths and the IPv4 checksum fit, so that a changed packet gets past the door. */
function repair(l3: Buffer): void {
  if (l3[0] === 0x45 && l3.length >= 20) {
    l3.writeUInt16BE(l3.length, 2);
    writeIp4Checksum(l3);
  } else if ((l3[0] ?? 0) >> 4 === 6 && l3.length >= 40) l3.writeUInt16BE(l3.length - 40, 4);
}

function frameOf(l3: Buffer, mac: string, etherType: number): Buffer {
  const frame = Buffer.alloc(14 + l3.length);
  Buffer.from(mac.replaceAll(':', ''), 'hex').copy(frame);
  frame.writeUInt16BE(etherType, 12);
  l3.copy(frame, 14);
  return frame;
}

describe('hostile bytes', () => {
  it('are forwarded, answered or dropped, never a crash', async () => {
    await using rig = await createFullRig();
    const change = fc.tuple(fc.nat(120), fc.integer({ min: 0, max: 255 }));
    const wrongType = fc.constantFrom(undefined, undefined, undefined, 0x0806, 0x86dd, 0x0800);
    fc.assert(
      fc.property(
        fc.constantFrom(...packets),
        fc.array(change, { maxLength: 5 }),
        fc.option(fc.nat(), { nil: undefined }),
        wrongType,
        fc.boolean(),
        ([port, packet], changes, cut, etherType, isRepaired) => {
          const length = cut === undefined ? packet.length : 1 + (cut % packet.length);
          const l3 = Buffer.from(packet.subarray(0, length));
          for (const [at, value] of changes) l3[at % l3.length] = value;
          if (isRepaired) repair(l3);
          const type = etherType ?? ((packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800);
          const { steps } = rig.emulator.inject(port, frameOf(l3, macs[port], type));
          assert.ok(steps.length > 0);
        },
      ),
      { numRuns: 4000 },
    );
  });
});
