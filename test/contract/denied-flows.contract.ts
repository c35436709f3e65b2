/**
 * Which packets filters denied, learned from VPP's capture of dropped packets: the same code and
 * packets on a real VPP and on the embedded data plane.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { openStats, type StatsReader } from '../../native/vpp-api/stats.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { sumOf } from '../../src/daemon/vpp-stats.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { buildIp, icmpMessage } from '../../src/emulator/packet/build.ts';
import { fragment4 } from '../../src/emulator/plane/fragment.ts';
import type { DeniedPacket } from '../../src/vpp/capture-file.ts';
import {
  burstMax,
  createDeniedFlows,
  type DeniedFlows,
  denyCounters,
  packetsMax,
  pauseSeconds,
} from '../../src/vpp/denied-flows.ts';
import { ping, putService, tcp, udp, unset } from '../emulator/rig.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

const captures = () => readdirSync('/tmp').filter((name) => name.startsWith('kvr-denied-'));

function permit(port: number, family: 4 | 6) {
  const everybody = prefix(family === 4 ? '0.0.0.0/0' : '::/0');
  return {
    is_permit: 2,
    src_prefix: everybody,
    dst_prefix: everybody,
    proto: 6,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: port,
    dstport_or_icmpcode_last: port,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}

/** `input 10.1.1.11:1000 > 10.1.1.12:443 TCP` */
function show({ direction, source, sourcePort, destination, port, protocol }: DeniedPacket) {
  const end = (address: string, number: number | undefined) =>
    number === undefined ? address : `${address} ${number}`;
  return `${direction} ${end(source, sourcePort)} > ${end(destination, port)} ${protocol}`;
}

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`denied flows of the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    let stats: StatsReader;
    let flows: DeniedFlows;
    let nowMs = 0;
    let asked: string[] = [];
    let said: string[] = [];

    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      stats = await openStats({ path: s.statsPath });
      const { acl_index: only80 } = await s.vpp.request('acl_add_replace', {
        acl_index: unset,
        tag: 'only 80',
        r: [permit(80, 4), permit(80, 6)],
      });
      // pod1 may send to port 80 only, pod2 may receive on port 80 only.
      for (const [pod, inputs] of [
        ['pod1', 1],
        ['pod2', 0],
      ] as const)
        await s.vpp.request('acl_interface_set_acl_list', {
          sw_if_index: s.index[pod] ?? 0,
          n_input: inputs,
          acls: [only80],
        });
    });
    after(async () => {
      await stats[Symbol.asyncDispose]();
      await s[Symbol.asyncDispose]();
    });

    const connection = {
      request: ((name: string, fields: never) => {
        asked.push(name);
        return s.vpp.request(name as 'control_ping', fields);
      }) as PacketSubject['vpp']['request'],
    };
    const create = (directory = '/tmp') =>
      createDeniedFlows({
        connection: () => connection,
        async denied() {
          await s.counted();
          return sumOf(stats.read(denyCounters));
        },
        directory,
        monotonic: () => nowMs,
        log: (message, fields) => said.push(`${message} ${JSON.stringify(fields)}`),
      });
    const look = async () => (await flows.look(true)).map(show);

    beforeEach(async () => {
      said = [];
      flows = create();
      await flows.look(true);
      asked = [];
    });
    afterEach(async () => {
      await flows[Symbol.asyncDispose]();
      assert.deepEqual(captures(), []);
    });

    it('NP-24 names both ends, protocol, port and direction of what was denied', async () => {
      await s.send('pod1', tcp('10.1.1.11:1000', '10.1.1.12:443'));
      await s.send('pod1', tcp('[fd10:1::11]:1000', '[fd10:1::12]:443'));
      await s.send('uplink', udp('192.0.2.9:1000', '10.1.1.12:53'));
      await s.send('uplink', udp('[2001:db8::9]:1000', '[fd10:1::12]:53', 'x'.repeat(1400)));
      await s.send('uplink', ping('192.0.2.9', '10.1.1.12'));
      await s.send('pod1', ping('fd10:1::11', 'fd10:1::12'));
      assert.deepEqual(await look(), [
        'input 10.1.1.11 1000 > 10.1.1.12 443 TCP',
        'input fd10:1::11 1000 > fd10:1::12 443 TCP',
        'output 192.0.2.9 1000 > 10.1.1.12 53 UDP',
        'output 2001:db8::9 1000 > fd10:1::12 53 UDP',
        'output 192.0.2.9 > 10.1.1.12 8 ICMP',
        'input fd10:1::11 > fd10:1::12 128 ICMPv6',
      ]);
      assert.deepEqual(await look(), []);
    });

    it('NP-24 tells the MAC addresses of the pods', async () => {
      await s.send('pod1', tcp('10.1.1.11:1001', '10.1.1.12:443'));
      await s.send('uplink', udp('192.0.2.9:1001', '10.1.1.12:53'));
      const found = await flows.look(true);
      assert.deepEqual(
        found.map((one) => [one.sourceMac, one.destinationMac]),
        [
          ['02:00:00:00:00:ee', '02:00:00:00:01:01'],
          ['02:00:00:00:02:01', '02:00:00:00:02:02'],
        ],
      );
    });

    it('NP-12 names the pod behind a Service, not the Service', async () => {
      await putService(s.vpp, '10.96.0.50', 443, ['10.1.1.12:8443']);
      await s.send('pod1', tcp('10.1.1.11:1002', '10.96.0.50:443'));
      assert.deepEqual(await look(), ['input 10.1.1.11 1002 > 10.1.1.12 8443 TCP']);
    });

    it('NP-22 NP-23 has no ports of later fragments and of other protocols', async () => {
      const whole = udp('192.0.2.9:1003', '10.1.1.12:53', 'x'.repeat(2000));
      const [, later] = fragment4(whole, 1500);
      assert.ok(later !== undefined);
      const gre = buildIp({
        source: addrFromIp(ip('192.0.2.9')),
        target: addrFromIp(ip('10.1.1.12')),
        protocol: 47,
        payload: icmpMessage(0, 0, 0, Buffer.alloc(8)),
      });
      await s.send('uplink', later, gre);
      assert.deepEqual(await look(), [
        'output 192.0.2.9 > 10.1.1.12 UDP',
        'output 192.0.2.9 > 10.1.1.12 47',
      ]);
    });

    it('NP-24 finds the packet that came by a tunnel inside of what VPP kept', async () => {
      const { sw_if_index: tunnel } = await s.vpp.request('ipip_add_tunnel', {
        tunnel: {
          instance: unset,
          src: ip('192.0.2.1'),
          dst: ip('192.0.2.254'),
          sw_if_index: unset,
          table_id: 0,
          flags: 0,
          mode: 0,
          dscp: 0,
        },
      });
      await s.vpp.request('sw_interface_set_flags', { sw_if_index: tunnel, flags: 1 });
      await s.vpp.request('sw_interface_set_unnumbered', {
        sw_if_index: s.index.uplink ?? 0,
        unnumbered_sw_if_index: tunnel,
        is_add: true,
      });
      await s.vpp.request('sw_interface_ip6_enable_disable', { sw_if_index: tunnel, enable: true });
      const outer = (protocol: number, payload: Buffer) =>
        buildIp({
          source: addrFromIp(ip('192.0.2.254')),
          target: addrFromIp(ip('192.0.2.1')),
          protocol,
          payload,
        });
      await s.send('uplink', outer(4, udp('10.1.2.9:1004', '10.1.1.12:53')));
      await s.send('uplink', outer(41, udp('[fd10:2::9]:1004', '[fd10:1::12]:53')));
      assert.deepEqual(await look(), [
        'output 10.1.2.9 1004 > 10.1.1.12 53 UDP',
        'output fd10:2::9 1004 > fd10:1::12 53 UDP',
      ]);
      await s.vpp.request('ipip_del_tunnel', { sw_if_index: tunnel });
    });

    it('NP-24 tells nothing of what passed, nor of what was dropped for another reason', async () => {
      assert.equal((await s.send('pod1', tcp('10.1.1.11:1005', '10.1.1.12:80'))).length, 1);
      const nonsense = fragment4(udp('10.1.1.11:1005', '10.1.1.12:53', 'x'.repeat(2000)), 1500)[1];
      nonsense?.writeUInt16BE(1, 6);
      await s.send('pod1', nonsense ?? Buffer.alloc(20));
      assert.deepEqual(asked, []);
      await s.send('uplink', udp('192.0.2.9:1005', '10.1.1.12:53'));
      assert.deepEqual(await look(), ['output 192.0.2.9 1005 > 10.1.1.12 53 UDP']);
    });

    it('NP-29 asks VPP nothing while no counter moves, and three times when one does', async () => {
      for (let i = 0; i < 100; i++) assert.deepEqual(await look(), []);
      assert.deepEqual(asked, []);
      await s.send('pod1', tcp('10.1.1.11:1006', '10.1.1.12:443'));
      assert.equal((await look()).length, 1);
      assert.deepEqual(asked, ['cli_inband', 'pcap_trace_off', 'pcap_trace_on']);
    });

    it(`NP-29 keeps ${packetsMax} packets of a capture at most`, async () => {
      const many = Array.from({ length: packetsMax + 20 }, (_, i) =>
        tcp(`10.1.1.11:${2000 + i}`, '10.1.1.12:443'),
      );
      await s.send('pod1', ...many);
      assert.equal((await look()).length, packetsMax);
      await s.send('pod1', tcp('10.1.1.11:1007', '10.1.1.12:443'));
      assert.deepEqual(await look(), ['input 10.1.1.11 1007 > 10.1.1.12 443 TCP']);
    });

    it(`NP-29 reads ${burstMax} captures in a row, then one in ${pauseSeconds} s`, async () => {
      // The second packet comes out, so that nobody waits for silence.
      const [denied, passes] = [443, 80].map((port) => tcp('10.1.1.11:1008', `10.1.1.12:${port}`));
      const deny = () =>
        s.send('pod1', ...[denied, passes].flatMap((one) => (one ? [Buffer.from(one)] : [])));
      let taken = 0;
      for (let i = 0; i < burstMax + 3; i++) {
        await deny();
        taken += (await look()).length;
      }
      assert.equal(taken, burstMax);
      nowMs += pauseSeconds * 1000;
      assert.equal((await look()).length, 3);
      await deny();
      assert.deepEqual(await look(), []);
    }).timeout(120_000);

    it('leaves alone a capture that somebody else runs', async () => {
      await flows[Symbol.asyncDispose]();
      const theirs = { ...ours('theirs.pcap'), max_packets: 5 };
      await s.vpp.request('pcap_trace_on', theirs);
      flows = create();
      await flows.look(true);
      await s.send('pod1', tcp('10.1.1.11:1009', '10.1.1.12:443'));
      assert.deepEqual(await look(), []);
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', /VPP captures nothing for us/);
      const { reply } = await s.vpp.request('cli_inband', { cmd: 'pcap trace status' });
      assert.match(reply, /1 of 5 pkts[\s\S]*theirs\.pcap/);
      await s.vpp.request('pcap_trace_off', {});
      rmSync('/tmp/theirs.pcap');
      nowMs += 60_000;
      await look();
      await s.send('pod1', tcp('10.1.1.11:1010', '10.1.1.12:443'));
      assert.deepEqual(await look(), ['input 10.1.1.11 1010 > 10.1.1.12 443 TCP']);
    });

    it('lets go of VPP when somebody ended its capture and started another', async () => {
      await s.vpp.request('pcap_trace_off', {}).catch(() => undefined);
      await s.vpp.request('pcap_trace_on', ours('theirs.pcap'));
      await s.send('pod1', tcp('10.1.1.11:1011', '10.1.1.12:443'));
      assert.deepEqual(await look(), []);
      const { reply } = await s.vpp.request('cli_inband', { cmd: 'pcap trace status' });
      assert.match(reply, /1 of 64 pkts[\s\S]*theirs\.pcap/);
      await s.vpp.request('pcap_trace_off', {});
      rmSync('/tmp/theirs.pcap');
    });

    it('takes over the capture of a daemon that was killed, and removes its file', async () => {
      await flows[Symbol.asyncDispose]();
      await s.vpp.request('pcap_trace_on', ours('kvr-denied-old'));
      await s.send('pod1', tcp('10.1.1.11:1012', '10.1.1.12:443'));
      flows = create();
      await flows.look(true);
      assert.deepEqual(captures(), []);
      await s.send('pod1', tcp('10.1.1.11:1013', '10.1.1.12:443'));
      assert.deepEqual(await look(), ['input 10.1.1.11 1013 > 10.1.1.12 443 TCP']);
      assert.deepEqual(said, []);
    });

    it('ends the capture when it is not wanted any more', async () => {
      await s.send('pod1', tcp('10.1.1.11:1014', '10.1.1.12:443'));
      assert.equal((await flows.look(false)).length, 1);
      const { reply } = await s.vpp.request('cli_inband', { cmd: 'pcap trace status' });
      assert.match(reply, /disabled/);
      asked = [];
      assert.deepEqual(await flows.look(false), []);
      assert.deepEqual(asked, []);
    });

    it("says so once when VPP's /tmp is somewhere else", async () => {
      await flows[Symbol.asyncDispose]();
      flows = create('/tmp/kvr-no-such-directory');
      await flows.look(true);
      await s.send('pod1', tcp('10.1.1.11:1015', '10.1.1.12:443'));
      for (let i = 0; i < 3; i++) assert.deepEqual(await look(), []);
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', /capture cannot be read.*ENOENT/);
      for (const name of captures()) rmSync(join('/tmp', name));
    });
  });
}

/** A capture as the daemon starts it. */
function ours(filename: string) {
  return {
    capture_rx: false,
    capture_tx: false,
    capture_drop: true,
    filter: false,
    preallocate_data: false,
    free_data: false,
    max_packets: 64,
    max_bytes_per_packet: 2048,
    sw_if_index: 0,
    error: '',
    filename,
  };
}
