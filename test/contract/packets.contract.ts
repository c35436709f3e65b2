/**
 * What VPP makes of packets that no Service translates, measured on a real VPP and on the embedded data plane: the same API
 * calls, the same packets, the same answers. Where the two differ, VPP is right.
 */
import { ip, prefix } from '../../src/core/ip.ts';
import { addrFromIp, mac } from '../../src/emulator/address.ts';
import { buildArp, buildFrame, buildNeighbourMessage } from '../../src/emulator/packet/build.ts';
import { apiPath, ping, putService, route, tcp, udp, unset } from '../emulator/rig.ts';
import { checkPackets, type PacketCase } from './packet-cases.ts';
import type { PacketSubject } from './packet-subject.ts';

/**
 * Sends until something answers: VPP limits the errors of such routes in a table of bits by
 * address, which it clears ten times a second. Source: v26.06 `ip_null_dpo.c`.
 */
async function answered(subject: PacketSubject, l3: Buffer): Promise<readonly string[]> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const lines = await subject.send('pod1', Buffer.from(l3));
    if (lines.length > 0) return lines;
  }
  return [];
}

const cases: readonly PacketCase[] = [
  {
    name: 'echo requests to the own address',
    run: async (s) => [
      ...(await s.send('pod1', ping('10.1.1.11', '192.0.2.1'))),
      ...(await s.send('pod1', ping('fd10:1::11', '2001:db8::1'))),
      ...(await s.send('uplink', ping('203.0.113.9', '192.0.2.1'))),
    ],
    expect: [
      'pod1: 192.0.2.1 > 10.1.1.11 echo 0 id 7',
      'pod1: 2001:db8::1 > fd10:1::11 echo 129 id 7',
      'uplink: 192.0.2.1 > 203.0.113.9 echo 0 id 7',
    ],
  },
  {
    name: 'UDP and TCP to the own address where nobody listens',
    run: async (s) => [
      ...(await s.send('uplink', udp('203.0.113.9:99', '192.0.2.1:9999'))),
      ...(await s.send('uplink', tcp('203.0.113.9:99', '192.0.2.1:9999'))),
      ...(await s.send('uplink', udp('[2001:db8:5::9]:99', '[2001:db8::1]:9999'))),
    ],
    expect: [
      'uplink: 192.0.2.1 > 203.0.113.9 icmp 3/3 (203.0.113.9:99 > 192.0.2.1:9999 udp)',
      'uplink: 2001:db8::1 > 2001:db8:5::9 icmp 1/4 ([2001:db8:5::9]:99 > [2001:db8::1]:9999 udp)',
    ],
  },
  {
    name: 'routes that say unreachable, prohibited and drop',
    async run(s) {
      await route(s.vpp, '10.97.0.0/24', [{ type: 5 }]);
      await route(s.vpp, '10.97.1.0/24', [{ type: 6 }]);
      await route(s.vpp, '10.97.2.0/24', [{ type: 2 }]);
      await route(s.vpp, 'fd97::/64', [{ type: 5 }]);
      await route(s.vpp, 'fd97:1::/64', [{ type: 6 }]);
      const lines: string[] = [];
      for (const target of ['10.97.0.1:1', '10.97.1.1:1'])
        lines.push(...(await answered(s, udp('10.1.1.11:77', target))));
      lines.push(...(await s.send('pod1', udp('10.1.1.11:77', '10.97.2.1:1'))));
      for (const target of ['[fd97::1]:1', '[fd97:1::1]:1'])
        lines.push(...(await answered(s, udp('[fd10:1::11]:77', target))));
      return lines;
    },
    expect: [
      'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/1 (10.1.1.11:77 > 10.97.0.1:1 udp)',
      'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/10 (10.1.1.11:77 > 10.97.1.1:1 udp)',
      'pod1: 2001:db8::1 > fd10:1::11 icmp 1/0 ([fd10:1::11]:77 > [fd97::1]:1 udp)',
      'pod1: 2001:db8::1 > fd10:1::11 icmp 1/1 ([fd10:1::11]:77 > [fd97:1::1]:1 udp)',
    ],
  },
  {
    name: 'a hop limit that is spent, and a packet that does not fit',
    run: async (s) => [
      ...(await s.send('pod1', udp('10.1.1.11:70', '10.1.1.12:1', 'x', { ttl: 1 }))),
      ...(await s.send('pod1', udp('[fd10:1::11]:70', '[fd10:1::12]:1', 'x', { ttl: 1 }))),
    ],
    expect: [
      'pod1: 192.0.2.1 > 10.1.1.11 icmp 11/0 (10.1.1.11:70 > 10.1.1.12:1 udp)',
      'pod1: 2001:db8::1 > fd10:1::11 icmp 3/0 ([fd10:1::11]:70 > [fd10:1::12]:1 udp)',
    ],
  },
  {
    name: 'punted TCP and UDP go to the redirect',
    async run(s) {
      const pod2 = s.index.pod2 ?? 0;
      for (const af of [0, 1]) {
        for (const protocol of [6, 17])
          await s.vpp.request('set_punt', {
            is_add: true,
            punt: { type: 0, punt: { l4: { af, protocol, port: 0xffff } } },
          });
        const via = af === 0 ? '10.1.1.12' : 'fd10:1::12';
        await s.vpp.request('add_del_ip_punt_redirect_v2', {
          is_add: true,
          punt: { rx_sw_if_index: unset, af, paths: [apiPath({ via, dev: pod2 }, af === 1)] },
        });
      }
      return [
        ...(await s.send('uplink', tcp('203.0.113.9:600', '192.0.2.1:179'))),
        ...(await s.send('uplink', udp('203.0.113.9:600', '192.0.2.1:7777'))),
        ...(await s.send('uplink', tcp('[2001:db8:5::9]:600', '[2001:db8::1]:179'))),
        ...(await s.send('uplink', ping('203.0.113.9', '192.0.2.1', 9, true))),
        ...(await s.send('uplink', ping('203.0.113.9', '192.0.2.1', 10))),
      ];
    },
    expect: [
      'pod2: 203.0.113.9:600 > 192.0.2.1:179 tcp',
      'pod2: 203.0.113.9:600 > 192.0.2.1:7777 udp',
      'pod2: [2001:db8:5::9]:600 > [2001:db8::1]:179 tcp',
      'pod2: 203.0.113.9 > 192.0.2.1 echo 0 id 9',
      'uplink: 192.0.2.1 > 203.0.113.9 echo 0 id 10',
    ],
  },
  {
    name: 'a packet larger than the MTU: fragments, or an error when it must not be cut',
    async run(s) {
      for (const name of ['pod2', 'uplink'])
        await s.vpp.request('sw_interface_set_mtu', {
          sw_if_index: s.index[name] ?? 0,
          mtu: [1300, 0, 0, 0],
        });
      const big = 'x'.repeat(1372);
      const cut = await s.send('pod1', udp('10.1.1.11:80', '10.1.1.12:1', big));
      const lengths = s.last.map(({ frame }) => frame.length);
      const refused = await s.send('pod1', udp('10.1.1.11:81', '10.1.1.12:1', big, { df: true }));
      const word = s.last[0]?.frame.readUInt32BE(38) ?? 0;
      const refused6 = await s.send('pod1', udp('[fd10:1::11]:81', '[fd10:1::12]:1', big));
      const word6 = s.last[0]?.frame.readUInt32BE(58) ?? 0;
      for (const name of ['pod2', 'uplink'])
        await s.vpp.request('sw_interface_set_mtu', {
          sw_if_index: s.index[name] ?? 0,
          mtu: [1500, 0, 0, 0],
        });
      return [
        `${cut.length} fragments of ${lengths.join(' and ')} bytes`,
        ...[...refused, ...refused6].map((line) => line.replace(/ BAD CHECKSUM/, '')),
        `MTU ${word} and ${word6}`,
      ];
    },
    expect: [
      '2 fragments of 1314 and 134 bytes',
      'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/4 (10.1.1.11:81 > 10.1.1.12:1 udp)',
      'pod1: 2001:db8::1 > fd10:1::11 icmp 2/0 ([fd10:1::11]:81 > [fd10:1::12]:1 udp)',
      'MTU 1300 and 1300',
    ],
  },
  {
    name: 'ARP and neighbour solicitations for own addresses, and for others',
    async run(s) {
      const ask = (port: string, from: string, target: string) =>
        s.sendFrame(
          port,
          buildFrame(
            mac('ff:ff:ff:ff:ff:ff'),
            mac('02:00:00:00:00:02'),
            0x0806,
            buildArp({
              operation: 1,
              senderMac: mac('02:00:00:00:00:02'),
              senderAddr: addrFromIp(ip(from)),
              targetMac: mac('00:00:00:00:00:00'),
              targetAddr: addrFromIp(ip(target)),
            }),
          ),
        );
      const solicit = (target: string) => {
        const message = buildNeighbourMessage({
          type: 135,
          source: addrFromIp(ip('2001:db8::fe')),
          destination: addrFromIp(ip('ff02::1:ff00:1')),
          target: addrFromIp(ip(target)),
          mac: mac('02:00:00:00:00:02'),
        });
        return s.sendFrame(
          'uplink',
          buildFrame(mac('33:33:ff:00:00:01'), mac('02:00:00:00:00:02'), 0x86dd, message),
        );
      };
      return [
        ...(await ask('uplink', '192.0.2.254', '192.0.2.1')),
        ...(await ask('uplink', '192.0.2.254', '192.0.2.77')),
        ...(await solicit('2001:db8::1')),
        ...(await solicit('2001:db8::77')),
      ];
    },
    expect: ['uplink: arp 192.0.2.1 is here', 'uplink: 2001:db8::1 > 2001:db8::fe nd 136'],
  },
  {
    name: 'access lists: reflect, implicit deny, order after service translation',
    async run(s) {
      const any = { src_prefix: prefix('0.0.0.0/0'), dst_prefix: prefix('0.0.0.0/0') };
      const ports = { srcport_or_icmptype_first: 0, srcport_or_icmptype_last: 65535 };
      const rest = { tcp_flags_mask: 0, tcp_flags_value: 0 };
      const add = async (proto: number, from: number, to: number) => {
        const { acl_index } = await s.vpp.request('acl_add_replace', {
          acl_index: unset,
          tag: 'contract',
          r: [
            {
              ...any,
              ...ports,
              ...rest,
              is_permit: 2,
              proto,
              dstport_or_icmpcode_first: from,
              dstport_or_icmpcode_last: to,
            },
          ],
        });
        return acl_index;
      };
      const only8080 = await add(6, 8080, 8080);
      const everything = await add(0, 0, 65535);
      const pod2 = s.index.pod2 ?? 0;
      const bind = (acls: readonly number[], n_input: number) =>
        s.vpp.request('acl_interface_set_acl_list', { sw_if_index: pod2, n_input, acls });
      await bind([everything, only8080], 1);
      await putService(s.vpp, '10.96.0.16', 80, ['10.1.1.12:8080']);
      await putService(s.vpp, '10.96.0.16', 81, ['10.1.1.12:8081']);
      const lines = [
        ...(await s.send('pod1', tcp('10.1.1.11:1800', '10.96.0.16:80'))),
        ...(await s.send('pod2', tcp('10.1.1.12:8080', '10.1.1.11:1800', 18))),
        ...(await s.send('pod1', tcp('10.1.1.11:1801', '10.96.0.16:81'))),
        ...(await s.send('pod2', udp('10.1.1.12:500', '10.1.1.11:501'))),
        ...(await s.send('pod1', udp('10.1.1.11:501', '10.1.1.12:500'))),
        ...(await s.send('pod1', udp('10.1.1.11:502', '10.1.1.12:500'))),
        ...(await s.send('pod1', udp('[fd10:1::11]:502', '[fd10:1::12]:500'))),
      ];
      await bind([], 0);
      return lines;
    },
    expect: [
      'pod2: 10.1.1.11:1800 > 10.1.1.12:8080 tcp',
      'pod1: 10.96.0.16:80 > 10.1.1.11:1800 tcp',
      'pod1: 10.1.1.12:500 > 10.1.1.11:501 udp',
      'pod2: 10.1.1.11:501 > 10.1.1.12:500 udp',
    ],
  },
];

checkPackets('packets', cases);
