/**
 * What VPP makes of packets of Services with endpoints behind tunnels, measured on a real VPP and on the embedded data plane: the same API
 * calls, the same packets, the same answers. Where the two differ, VPP is right.
 */
import { ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { buildIp } from '../../src/emulator/packet/build.ts';
import { putService, route, showL3, tcp, unset } from '../emulator/rig.ts';
import { checkPackets, masked, type PacketCase } from './packet-cases.ts';

/** A packet from the other end of the tunnel of these tests. */
function wrapped(protocol: number, payload: Uint8Array): Buffer {
  return buildIp({
    source: addrFromIp(ip('198.51.100.7')),
    target: addrFromIp(ip('192.0.2.1')),
    protocol,
    payload,
  });
}

const cases: readonly PacketCase[] = [
  {
    name: 'IPIP: out through a tunnel and in from it',
    async run(s) {
      const { sw_if_index: tunnel } = await s.vpp.request('ipip_add_tunnel', {
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
      await s.vpp.request('sw_interface_set_unnumbered', {
        sw_if_index: s.index.uplink ?? 0,
        unnumbered_sw_if_index: tunnel,
        is_add: true,
      });
      await s.vpp.request('feature_cnat_enable_disable', {
        sw_if_index: tunnel,
        enable_disable: true,
      });
      await s.vpp.request('sw_interface_set_flags', { sw_if_index: tunnel, flags: 1 });
      await route(s.vpp, '10.1.9.0/24', [{ dev: tunnel }]);
      await putService(s.vpp, '10.96.0.14', 80, ['10.1.9.5:80']);
      const out = await s.send('pod1', tcp('10.1.1.11:1600', '10.96.0.14:80'));
      const inner = s.last[0]?.frame.subarray(34);
      const answer = wrapped(4, tcp('10.1.9.5:80', '10.1.1.11:1600', 18));
      const back = await s.send('uplink', answer);
      return [...out, inner === undefined ? '' : showL3(inner), ...back];
    },
    expect: [
      'uplink: 192.0.2.1 > 198.51.100.7 proto 4',
      '10.1.1.11:1600 > 10.1.9.5:80 tcp',
      'pod1: 10.96.0.14:80 > 10.1.1.11:1600 tcp',
    ],
  },
  {
    name: 'GRE: out through a tunnel and in from it',
    async run(s) {
      const { sw_if_index: tunnel } = await s.vpp.request('gre_tunnel_add_del_v2', {
        is_add: true,
        tunnel: {
          type: 0,
          mode: 0,
          flags: 0,
          session_id: 0,
          instance: unset,
          outer_table_id: 0,
          sw_if_index: unset,
          src: ip('192.0.2.1'),
          dst: ip('198.51.100.7'),
          key: 0,
        },
      });
      await s.vpp.request('sw_interface_set_unnumbered', {
        sw_if_index: s.index.uplink ?? 0,
        unnumbered_sw_if_index: tunnel,
        is_add: true,
      });
      await s.vpp.request('feature_cnat_enable_disable', {
        sw_if_index: tunnel,
        enable_disable: true,
      });
      await s.vpp.request('sw_interface_set_flags', { sw_if_index: tunnel, flags: 1 });
      await route(s.vpp, '10.1.10.0/24', [{ dev: tunnel }]);
      await putService(s.vpp, '10.96.0.15', 80, ['10.1.10.5:80']);
      const out = await s.send('pod1', tcp('10.1.1.11:1700', '10.96.0.15:80'));
      const inner = s.last[0]?.frame.subarray(38);
      const header = Buffer.from('00000800', 'hex');
      const payload = Buffer.concat([header, tcp('10.1.10.5:80', '10.1.1.11:1700', 18)]);
      const back = await s.send('uplink', wrapped(47, payload));
      return [...out, inner === undefined ? '' : showL3(inner), ...back];
    },
    expect: [
      'uplink: 192.0.2.1 > 198.51.100.7 proto 47',
      '10.1.1.11:1700 > 10.1.10.5:80 tcp',
      'pod1: 10.96.0.15:80 > 10.1.1.11:1700 tcp',
    ],
  },
  {
    name: 'no NAT by Maglev: into the tunnel of the backend, masqueraded if cnat is on there',
    async run(s) {
      await putService(s.vpp, '203.0.113.80', 80, ['10.1.9.5:80'], {
        maglev: true,
        flags: 13,
        pathFlags: 2,
      });
      const lines: string[] = [];
      const [tunnel] = await s.vpp.dump('ipip_tunnel_dump', { sw_if_index: unset });
      const cnat = (enable: boolean) =>
        s.vpp.request('feature_cnat_enable_disable', {
          sw_if_index: tunnel?.tunnel.sw_if_index ?? 0,
          enable_disable: enable,
        });
      const send = async (port: number) => {
        lines.push(...(await s.send('uplink', tcp(`198.51.100.9:${port}`, '203.0.113.80:80'))));
        lines.push(...s.last.map(({ frame }) => showL3(frame.subarray(34))));
      };
      await send(5);
      // It counts: what was enabled twice is still on after one disable.
      await cnat(true);
      await cnat(false);
      await send(6);
      await cnat(false);
      await send(7);
      return masked(lines);
    },
    expect: [
      'uplink: 192.0.2.1 > 198.51.100.7 proto 4',
      '192.0.2.1:* > 203.0.113.80:80 tcp',
      'uplink: 192.0.2.1 > 198.51.100.7 proto 4',
      '192.0.2.1:* > 203.0.113.80:80 tcp',
      'uplink: 192.0.2.1 > 198.51.100.7 proto 4',
      '198.51.100.9:7 > 203.0.113.80:80 tcp',
    ],
  },
];

checkPackets('packets of Services in tunnels', cases);
