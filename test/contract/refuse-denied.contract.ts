/**
 * Answers to what filters denied, from VPP's capture to the packet that the client gets: the same
 * code and packets on a real VPP and on the embedded data plane.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { openStats, type StatsReader } from '../../native/vpp-api/stats.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { refuseLookMs } from '../../src/daemon/follow-denied.ts';
import { createFrontendIndex } from '../../src/daemon/frontend-index.ts';
import { createRefuser, type Refuser, refusalsPerSecond } from '../../src/daemon/refuse-denied.ts';
import { sumOf } from '../../src/daemon/vpp-stats.ts';
import { type Refusal, refusalOf } from '../../src/host/refusal.ts';
import type { NetworkPolicy } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { createDeniedFlows, type DeniedFlows, denyCounters } from '../../src/vpp/denied-flows.ts';
import { ping, putService, showL3, tcp, udp, unset } from '../emulator/rig.ts';
import { attachment, config, node, pod } from '../facts.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

const none = { matchLabels: {}, matchExpressions: [] };
const only80: NetworkPolicy = {
  key: 'default/only-80',
  uid: 'uid-only-80',
  namespace: 'default',
  podSelector: none,
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  egress: [{ peers: [], ports: [{ protocol: 'TCP', port: 80 }] }],
  mode: 'enforce',
};

/** What the daemon knows of the rig's two pods. */
function factsOf() {
  const store = createStore();
  for (const [name, addresses, mac, gatewayMac] of [
    ['web', ['10.1.1.11', 'fd10:1::11'], '02:00:00:00:00:ee', '02:00:00:00:01:01'],
    ['db', ['10.1.1.12', 'fd10:1::12'], '02:00:00:00:02:02', '02:00:00:00:02:01'],
  ] as const) {
    const ips = addresses.map((address) => ip(address));
    const one = { ...attachment(name, addresses[0]), ips, mac, gatewayMac };
    store.commit('attachments', [[one.key, one]]);
    store.commit('pods', [[`default/${name}`, pod(`default/${name}`, { ips, uid: one.podUid })]]);
  }
  const addresses = [
    { ip: ip('192.0.2.1'), length: 24 },
    { ip: ip('2001:db8::1'), length: 64 },
  ];
  const hostLink = { vppInterface: 'kvr0-vpp', vppMac: '', hostMac: '' };
  store.replace(
    'uplink',
    new Map([
      ['uplink', { interface: 'eth0', addresses, gateways: [], mtu: 1500, mac: '', hostLink }],
    ]),
  );
  store.commit('config', [['config', config]]);
  store.commit('nodes', [['n1', node('n1', 1)]]);
  const labels = { 'kubernetes.io/metadata.name': 'default' };
  store.commit('namespaces', [['default', { key: 'default', labels }]]);
  store.commit('policies', [[only80.key, only80]]);
  for (const kind of ['policies', 'clusterPolicies', 'namespaces', 'pods', 'nodes'] as const)
    store.markSynced(kind);
  store.takeSnapshot();
  return store.facts;
}

function permit80(family: 4 | 6) {
  const everybody = prefix(family === 4 ? '0.0.0.0/0' : '::/0');
  return {
    is_permit: 2,
    src_prefix: everybody,
    dst_prefix: everybody,
    proto: 6,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65535,
    dstport_or_icmpcode_first: 80,
    dstport_or_icmpcode_last: 80,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}

const service = {
  vip: ip('10.96.0.51'),
  port: 443,
  protocol: 'TCP',
  nodeAddress: false,
  affinityEpoch: undefined,
  backends: [{ ip: ip('10.1.1.12'), port: 8443 }],
  service: 'default/db:https',
} as const;

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`refusals on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    let stats: StatsReader;
    let flows: DeniedFlows;
    let refuser: Refuser;
    let sent: Refusal[] = [];
    let nowMs = 0;

    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      stats = await openStats({ path: s.statsPath });
      const { acl_index } = await s.vpp.request('acl_add_replace', {
        acl_index: unset,
        tag: 'only 80',
        r: [permit80(4), permit80(6)],
      });
      for (const [name, inputs] of [
        ['pod1', 1],
        ['pod2', 0],
      ] as const)
        await s.vpp.request('acl_interface_set_acl_list', {
          sw_if_index: s.index[name] ?? 0,
          n_input: inputs,
          acls: [acl_index],
        });
      await putService(s.vpp, service.vip, service.port, ['10.1.1.12:8443']);
    });
    after(async () => {
      await stats[Symbol.asyncDispose]();
      await s[Symbol.asyncDispose]();
    });

    beforeEach(async () => {
      sent = [];
      nowMs += 10_000;
      const monotonic = () => nowMs;
      flows = createDeniedFlows({
        connection: () => s.vpp,
        async denied() {
          await s.counted();
          return sumOf(stats.read(denyCounters));
        },
        directory: '/tmp',
        monotonic,
        log: (message) => assert.fail(message),
      });
      refuser = createRefuser({
        facts: factsOf(),
        frontends: createFrontendIndex(() => [service], monotonic),
        send: (refusal) => sent.push(refusal),
        monotonic,
        log: (message) => assert.fail(message),
      });
      await flows.look(true, 'often');
    });
    afterEach(() => flows[Symbol.asyncDispose]());

    /** What the daemon does every 100 ms. */
    const look = async () => {
      nowMs += refuseLookMs;
      refuser.take(await flows.look(true, 'often'));
      const shown = sent.map(({ packet }) => showL3(packet));
      return shown;
    };

    it('NP-24 answers a SYN and a datagram, of both families and directions, and nothing else', async () => {
      await s.send('pod1', tcp('10.1.1.11:1000', '10.1.1.12:443'));
      await s.send('pod1', udp('[fd10:1::11]:1000', '[fd10:1::12]:53'));
      await s.send('uplink', udp('192.0.2.9:1000', '10.1.1.12:53'));
      await s.send('uplink', tcp('[2001:db8::9]:1000', '[fd10:1::12]:443'));
      await s.send(
        'pod1',
        ping('10.1.1.11', '10.1.1.12'),
        tcp('10.1.1.11:1000', '10.1.1.12:444', 16),
      );
      assert.deepEqual(await look(), [
        '192.0.2.1 > 10.1.1.11 icmp 3/13 (10.1.1.11:1000 > 10.1.1.12:443 tcp)',
        '2001:db8::1 > fd10:1::11 icmp 1/1 ([fd10:1::11]:1000 > [fd10:1::12]:53 udp)',
        '192.0.2.1 > 192.0.2.9 icmp 3/13 (192.0.2.9:1000 > 10.1.1.12:53 udp)',
        '2001:db8::1 > 2001:db8::9 icmp 1/1 ([2001:db8::9]:1000 > [fd10:1::12]:443 tcp)',
      ]);
    });

    it('NP-12 NP-24 a client of a Service is told of the Service, for VPP does not translate it', async () => {
      await s.send('pod1', tcp('10.1.1.11:1001', '10.96.0.51:443'));
      await look();
      const back: string[] = [];
      for (const { packet } of sent) back.push(...(await s.send('uplink', packet)));
      assert.deepEqual(back, [
        'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/13 (10.1.1.11:1001 > 10.1.1.12:8443 tcp)',
        'pod1: 192.0.2.1 > 10.1.1.11 icmp 3/13 (10.1.1.11:1001 > 10.96.0.51:443 tcp)',
      ]);
    });

    it('NP-24 VPP masquerades what an error is about, too, unless it comes from where a pod is', async () => {
      const clients = ['198.51.100.7:1000', '198.51.100.7:1001'] as const;
      const answers = clients.map((client) =>
        refusalOf(udp(client, '10.1.1.12:53'), { from: { 4: ip('192.0.2.1') } }),
      );
      const setTable = (table: number, isAdd: 0 | 1) =>
        s.vpp.request('cnat_snat_policy_add_del_if', {
          sw_if_index: s.index.pod2 ?? 0,
          is_add: isAdd,
          table,
        });
      // The link to the host is in table 3 (host) alone; one that answers in 2 (pods), too.
      for (const table of [0, 1, 2]) await setTable(table, 0);
      await setTable(3, 1);
      const masqueraded = await s.send('pod2', answers[0]?.packet ?? Buffer.alloc(20));
      await setTable(2, 1);
      const kept = await s.send('pod2', answers[1]?.packet ?? Buffer.alloc(20));
      await setTable(3, 0);
      for (const table of [0, 1]) await setTable(table, 1);
      assert.match(
        masqueraded.join(),
        /^uplink: 192.0.2.1 > 198.51.100.7 icmp 3\/13 \(198.51.100.7:1000 > 192.0.2.1:\d+ udp\)$/,
      );
      assert.deepEqual(kept, [
        'uplink: 192.0.2.1 > 198.51.100.7 icmp 3/13 (198.51.100.7:1001 > 10.1.1.12:53 udp)',
      ]);
    });

    it('NP-24 a flow is answered once a second', async () => {
      const again = async () => {
        await s.send('pod1', tcp('10.1.1.11:1002', '10.1.1.12:443'));
        return (await look()).length;
      };
      assert.equal(await again(), 1);
      assert.equal(await again(), 1);
      nowMs += 1000;
      assert.equal(await again(), 2);
    });

    it(`NP-24 NP-29 10,000 denied packets get ${refusalsPerSecond} answers in any second at most`, async () => {
      const answeredMs: number[] = [];
      for (let batch = 0; batch < 20; batch++) {
        const many = Array.from({ length: 500 }, (_, i) =>
          tcp(`10.1.1.11:${2000 + batch * 500 + i}`, '10.1.1.12:443'),
        );
        await s.send('pod1', ...many);
        await look();
        while (answeredMs.length < sent.length) answeredMs.push(nowMs);
      }
      const inSecond = answeredMs.map(
        (from) => answeredMs.filter((ms) => ms >= from && ms < from + 1000).length,
      );
      assert.equal(Math.max(...inSecond), refusalsPerSecond);
      // 20 looks are 2 s.
      assert.equal(sent.length, 2 * refusalsPerSecond);
    });
  });
}
