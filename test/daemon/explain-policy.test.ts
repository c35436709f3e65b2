import assert from 'node:assert/strict';
import type { FlowExplanation } from '../../src/core/control-policy.ts';
import { ip } from '../../src/core/ip.ts';
import { parsePort } from '../../src/daemon/policy-ends.ts';
import type { Store } from '../../src/model/store.ts';
import { udp } from '../emulator/rig.ts';
import { endpoint, pod, port, service, slice } from '../facts.ts';
import { policy, rule, selector } from '../policy/objects.ts';
import { localPod, type PolicyDaemon, startPolicyDaemon, storeOf } from './policy-rig.ts';

const pg = { name: 'pg', protocol: 'UDP', containerPort: 5432, hostPort: 0, hostIp: '' } as const;
const fromWeb = { podSelector: selector({ app: 'web' }) };

/** web-1, job-1 and db-1 here, db-2 on n2; databases let pods of the web in, by their port. */
function shop(): Store {
  const store = storeOf(
    [
      localPod('shop/web-1', 11, { app: 'web' }),
      localPod('shop/job-1', 12, { app: 'job' }),
      localPod('shop/db-1', 13, { app: 'db' }, { ports: [pg] }),
    ],
    [
      pod('shop/db-2', {
        labels: { app: 'db' },
        node: 'n2',
        ips: [ip('10.244.2.13')],
        ports: [pg],
      }),
      pod('shop/agent', { hostNetwork: true, ips: [ip('192.0.2.1')] }),
      pod('shop/new', { phase: 'Pending', node: '' }),
      pod('shop/done', { phase: 'Succeeded', ips: [ip('10.244.1.99')] }),
    ],
  );
  const db = policy('shop/db', {
    podSelector: selector({ app: 'db' }),
    ingress: [rule([fromWeb], [{ protocol: 'UDP', port: 'pg' }])],
  });
  store.commit('policies', [[db.key, db]]);
  const ports = [port({ name: 'pg', protocol: 'UDP', port: 54 })];
  store.commit('services', [['shop/db', service('shop/db', { ports })]]);
  const endpoints = [
    endpoint('10.244.1.13', 'ready', { node: 'n1' }),
    endpoint('10.244.2.13', 'ready', { node: 'n2' }),
  ];
  const slicePorts = [{ name: 'pg', protocol: 'UDP' as const, port: 5432 }];
  store.commit('slices', [
    ['shop/db-1', slice('shop/db-1', 'shop/db', endpoints, { ports: slicePorts })],
  ]);
  return store;
}

async function explain(
  { view }: PolicyDaemon,
  from: string,
  to: string,
  portText: string,
): Promise<FlowExplanation> {
  const found = await view.explainFlow({ from, to, port: portText });
  assert.ok(found.ok, found.ok ? '' : found.problem);
  return found.value;
}

describe('the explanation of a flow', () => {
  it('NP-03 NP-11 judges both ends, and says by which rule of VPP and how often it was met', async () => {
    await using daemon = await startPolicyDaemon(shop());
    const sent = daemon.send(
      'shop/web-1',
      udp('10.244.1.11:1000', '10.244.1.13:5432'),
      udp('10.244.1.11:1001', '10.244.1.13:5432'),
      udp('10.244.1.11:1000', '10.244.1.13:53'),
    );
    assert.deepEqual(sent, [true, true, false]);
    assert.deepEqual(daemon.send('shop/job-1', udp('10.244.1.12:1', '10.244.1.13:5432')), [false]);
    await daemon.counted();
    const found = await explain(daemon, 'shop/web-1', 'shop/db-1', 'pg/udp');
    assert.equal(found.verdict, 'shop/web-1 to shop/db-1 pg/udp: allowed');
    const [flow] = found.flows;
    assert.equal(flow?.port, '5432/udp');
    const [egress, ingress] = flow?.ends ?? [];
    assert.deepEqual(
      [egress?.direction, egress?.why, egress?.hits.filter, egress?.status],
      ['Egress', 'no policy says anything', 'np-open', 'done'],
    );
    assert.deepEqual(ingress?.rules, [{ policy: 'NetworkPolicy/shop/db', index: 0, name: '' }]);
    assert.equal(ingress?.ruleText, 'reflect udp 10.244.1.11/32 > 0.0.0.0/0 5432');
    // Two connections passed; what another port and another pod sent ended in the deny filter.
    assert.deepEqual([ingress?.hits.packets, ingress?.denied[0]?.packets], [2, 2]);
    const denied = await explain(daemon, '10.244.1.12', '10.244.1.13', '5432/udp');
    assert.equal(
      denied.verdict,
      '10.244.1.12 to 10.244.1.13 5432/udp: denied on the way into shop/db-1: no rule of NetworkPolicy/shop/db allows it',
    );
    assert.deepEqual(denied.flows[0]?.ends[1]?.hits.packets, 2);
  });

  it('NP-12 asks of a Service whether each endpoint may be reached', async () => {
    await using daemon = await startPolicyDaemon(shop());
    for (const to of ['svc/shop/db', '10.96.0.10']) {
      const found = await explain(daemon, 'shop/job-1', to, '54/udp');
      assert.equal(found.verdict, `shop/job-1 to ${to} 54/udp: denied to all 2 endpoints`);
      assert.equal(found.service, 'shop/db 10.96.0.10:54/udp');
      assert.deepEqual(
        found.flows.map((flow) => `${flow.to} ${flow.port} ${flow.ends[1]?.status}`),
        ['10.244.1.13 5432/udp done', '10.244.2.13 5432/udp elsewhere'],
      );
      assert.deepEqual(found.flows[1]?.ends[1]?.hits.packets, undefined);
      assert.match(found.notes.join('\n'), /^shop\/db-2 on node n2: judged by what is known here/);
    }
    const allowed = await explain(daemon, 'shop/web-1', 'svc/shop/db', 'pg/udp');
    assert.equal(allowed.verdict, 'shop/web-1 to svc/shop/db pg/udp: allowed to all 2 endpoints');
  });

  it('NP-15 NP-16 NP-21 knows the own node, addresses that are no pods, and pings', async () => {
    await using daemon = await startPolicyDaemon(shop());
    const verdict = async (from: string, to: string, portText: string) =>
      (await explain(daemon, from, to, portText)).flows[0];
    const node = await verdict('192.0.2.1', 'shop/db-1', '80');
    assert.equal(node?.ends[0]?.why, 'what comes from the own node always passes');
    const agent = await explain(daemon, 'shop/agent', 'shop/db-1', '80');
    assert.match(agent.notes[0] ?? '', /^shop\/agent is in the network of node n1/);
    assert.equal((await verdict('192.0.2.2', 'shop/db-1', '80'))?.allowed, false);
    const ping = await verdict('shop/web-1', 'shop/db-1', '');
    assert.deepEqual([ping?.port, ping?.allowed], ['icmp', false]);
    const out = await verdict('198.51.100.1', '198.51.100.2', '80/tcp');
    assert.equal(out?.verdict, 'allowed: neither end is a pod');
  });

  it('NP-19 says when what was judged is not in force', async () => {
    const store = shop();
    await using daemon = await startPolicyDaemon(store);
    const open = policy('shop/open', { podSelector: selector({ app: 'db' }), ingress: [rule()] });
    store.commit('policies', [[open.key, open]]);
    // The loop has had no turn since.
    const asked = daemon.view.explainFlow({ from: 'shop/job-1', to: 'shop/db-1', port: '80' });
    const early = await asked;
    assert.ok(early.ok);
    assert.deepEqual(
      [early.value.flows[0]?.allowed, early.value.flows[0]?.ends[1]?.status],
      [true, 'pending'],
    );
    await daemon.settled();
    const later = await explain(daemon, 'shop/job-1', 'shop/db-1', '80');
    assert.equal(later.flows[0]?.ends[1]?.status, 'done');
  });

  const refusals = [
    { ask: ['shop/wev-1', 'shop/db-1', '80'], says: /^from: no pod shop\/wev-1$/ },
    {
      ask: ['web-1', 'shop/db-1', '80'],
      says: /"web-1" is neither namespace\/pod nor an address$/,
    },
    {
      ask: ['shop/web-1', 'other/db-1', '80'],
      says: /^to: no pod other\/db-1; there are shop\/db-1$/,
    },
    {
      ask: ['shop/web-1', 'shop/new', '80'],
      says: /has no address yet: it is Pending, no node yet$/,
    },
    { ask: ['shop/web-1', 'shop/done', '80'], says: /has ended \(Succeeded\)/ },
    { ask: ['shop/web-1', 'shop/db-1', '0'], says: /^there is no port 0: 1 to 65535, or a name$/ },
    { ask: ['shop/web-1', 'shop/db-1', 'pg'], says: /has no TCP port named pg; it names pg\/udp$/ },
    { ask: ['shop/web-1', '10.244.1.13', 'pg'], says: /^an address has no names of ports/ },
    { ask: ['shop/web-1', 'fd00::1', '80'], says: /have no family in common$/ },
    { ask: ['shop/web-1', 'svc/shop/dx', '80'], says: /^no Service shop\/dx$/ },
    {
      ask: ['shop/web-1', 'svc/shop/db', '80'],
      says: /has no port 80\/tcp; it has 54\/udp \(pg\)$/,
    },
    {
      ask: ['shop/web-1', '10.96.0.10', ''],
      says: /is an address of Service shop\/db, which has no port icmp/,
    },
  ];
  it('says what is wrong with words that mean no packet', async () => {
    await using daemon = await startPolicyDaemon(shop());
    for (const { ask, says } of refusals) {
      const [from = '', to = '', portText = ''] = ask;
      const found = await daemon.view.explainFlow({ from, to, port: portText });
      assert.match(found.ok ? `taken: ${ask}` : found.problem, says);
    }
  });
});

describe('the port of a flow', () => {
  const cases = [
    { text: '', is: 'ICMP undefined' },
    { text: 'icmp', is: 'ICMP undefined' },
    { text: '80', is: 'TCP 80' },
    { text: '53/udp', is: 'UDP 53' },
    { text: '7/SCTP', is: 'SCTP 7' },
    { text: 'http', is: 'TCP http' },
    { text: 'udp', is: 'UDP needs a port, such as 80/udp' },
    { text: '8/icmp', is: 'ICMP has no ports: say icmp, for an echo request' },
    { text: '80/quic', is: '"80/quic" is no PORT[/tcp|udp|sctp], and not icmp' },
    { text: '80/tcp/udp', is: '"80/tcp/udp" is no PORT[/tcp|udp|sctp], and not icmp' },
    { text: '65536', is: 'there is no port 65536: 1 to 65535, or a name' },
    { text: 'a b', is: '"a b" is neither a port nor the name of one' },
  ];
  for (const { text, is } of cases)
    it(`${JSON.stringify(text)}: ${is}`, () => {
      const found = parsePort(text);
      assert.equal(found.ok ? `${found.value.protocol} ${found.value.port}` : found.problem, is);
    });
});

describe("the explanation of a pod's policies", () => {
  it('has both lists in the order in which VPP asks, with reasons and counts', async () => {
    const store = shop();
    await using daemon = await startPolicyDaemon(store);
    daemon.send('shop/job-1', udp('10.244.1.12:1', '10.244.1.13:5432'));
    await daemon.counted();
    const found = await daemon.view.explainPod('shop/db-1');
    assert.ok(found.ok);
    const { verdict, status, lists } = found.value;
    assert.deepEqual([verdict, status], ['isolated: Ingress', 'done']);
    const lines = lists.map(({ direction, filters }) => [
      direction,
      ...filters.map((one) => `${one.packets} ${one.why.join('; ')}`),
    ]);
    assert.deepEqual(lines, [
      ['Egress', '1 no policy says anything'],
      [
        'Ingress',
        '0 ICMP errors, neighbour discovery and later fragments always pass',
        '0 what comes from the own node always passes',
        '0 a pod may always talk to itself',
        '0 NetworkPolicy/shop/db rule 0',
        '1 no rule of NetworkPolicy/shop/db allows it',
      ],
    ]);
    // Both open pods of this node and the database send by one filter.
    assert.equal(lists[0]?.filters[0]?.pods, 3);
    store.commit('pods', [['shop/db-1', undefined]]);
    await daemon.settled();
    const closed = await daemon.view.explainPod('shop/db-1');
    assert.ok(closed.ok);
    assert.match(closed.value.verdict, /^closed: /);
    assert.equal(closed.value.lists[1]?.filters[0]?.filter, 'np-closed');
  });

  const refusals = [
    { ask: 'db', says: /^pod must be namespace\/name$/ },
    { ask: 'shop/dx-1', says: /^no pod shop\/dx-1$/ },
    { ask: 'shop/db-2', says: /^pod shop\/db-2 is on node n2: ask the kvr of that node$/ },
    { ask: 'shop/agent', says: /^pod shop\/agent is in its node's network/ },
    { ask: 'shop/new', says: /^pod shop\/new is on node none yet/ },
  ];
  it('says of a pod that is not here where it is', async () => {
    await using daemon = await startPolicyDaemon(shop());
    for (const { ask, says } of refusals) {
      const found = await daemon.view.explainPod(ask);
      assert.match(found.ok ? `taken: ${ask}` : found.problem, says);
    }
  });
});
