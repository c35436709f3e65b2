/**
 * By which numbers VPP refuses what is wrong, measured on a real VPP and on the embedded data plane.
 * Where the two differ, VPP is right.
 */
import { addressWithLength } from '../../native/vpp-api/address.ts';
import { VppError } from '../../native/vpp-api/errors.ts';
import { ip } from '../../src/core/ip.ts';
import { route } from '../emulator/rig.ts';
import { checkPackets, type PacketCase } from './packet-cases.ts';

const cases: readonly PacketCase[] = [
  {
    name: 'return values of what is wrong',
    async run(s) {
      const retvals: Record<string, number> = {};
      const seen = async (name: string, asked: Promise<unknown>) => {
        retvals[name] = await asked.then(
          () => 0,
          (error: unknown) => (error instanceof VppError ? error.retval : -999),
        );
      };
      const dev = s.index.uplink ?? 0;
      await seen('translation', s.vpp.request('cnat_translation_del', { id: 4711 }));
      await seen(
        'interface',
        s.vpp.request('sw_interface_set_flags', { sw_if_index: 4711, flags: 1 }),
      );
      await seen(
        'cnat',
        s.vpp.request('feature_cnat_enable_disable', { sw_if_index: 4711, enable_disable: true }),
      );
      await seen('acl', s.vpp.request('acl_del', { acl_index: 4711 }));
      await seen('route dev', route(s.vpp, '10.250.0.0/24', [{ via: '1.2.3.4', dev: 4711 }]));
      await seen('no path', route(s.vpp, '10.250.0.0/24', []));
      const address = (text: string, length: number, isAdd: boolean) =>
        s.vpp.request('sw_interface_add_del_address', {
          sw_if_index: dev,
          is_add: isAdd,
          del_all: false,
          prefix: addressWithLength(ip(text), length),
        });
      await seen('same address', address('192.0.2.1', 24, true));
      await seen('same address v6', address('2001:db8::1', 64, true));
      await seen('unknown address', address('192.0.2.99', 24, false));
      await seen(
        'neighbour',
        s.vpp.request('ip_neighbor_add_del', {
          is_add: false,
          neighbor: {
            sw_if_index: dev,
            flags: 0,
            mac_address: '00:00:00:00:00:00',
            ip_address: ip('192.0.2.200'),
          },
        }),
      );
      await seen('af_packet', s.vpp.request('af_packet_delete', { host_if_name: 'nothing' }));
      await seen('tunnel', s.vpp.request('ipip_del_tunnel', { sw_if_index: 4711 }));
      await seen(
        'unnumbered',
        s.vpp.request('sw_interface_set_unnumbered', {
          sw_if_index: 4711,
          unnumbered_sw_if_index: dev,
          is_add: true,
        }),
      );
      await seen(
        'ip6 twice',
        s.vpp.request('sw_interface_ip6_enable_disable', {
          sw_if_index: s.index.pod1 ?? 0,
          enable: true,
        }),
      );
      await seen(
        'punt',
        s.vpp.request('set_punt', {
          is_add: true,
          punt: { type: 0, punt: { l4: { af: 0, protocol: 132, port: 0xffff } } },
        }),
      );
      return Object.entries(retvals).map(([name, retval]) => `${name} ${retval}`);
    },
    expect: [
      'translation -6',
      'interface -2',
      'cnat -2',
      'acl -6',
      'route dev -54',
      'no path -52',
      'same address -105',
      'same address v6 -127',
      'unknown address -60',
      'neighbour -6',
      'af_packet -11',
      'tunnel -6',
      'unnumbered -10',
      'ip6 twice -81',
      'punt -1',
    ],
  },
];

checkPackets('wrong requests', cases);
