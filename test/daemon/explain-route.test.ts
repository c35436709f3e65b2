import assert from 'node:assert/strict';
import type { Candidate, LookupTable } from '../../src/bgp/lookup.ts';
import { ip, type Prefix, prefix } from '../../src/core/ip.ts';
import { explainRoute, longestMatch } from '../../src/daemon/explain-route.ts';
import type { Store } from '../../src/model/store.ts';
import { config, service } from '../facts.ts';
import { sampleCluster, startDaemon } from './bgp-rig.ts';

const { signal } = new AbortController();

const candidate = (given: Partial<Candidate> = {}): Candidate => ({
  prefix: prefix('172.16.0.0/12'),
  nextHop: ip('192.0.2.253'),
  neighbor: ip('192.0.2.253'),
  sinceSeconds: Date.now() / 1000 - 90,
  stale: false,
  filtered: false,
  nextHopInvalid: false,
  asPath: ['65001'],
  origin: 'igp',
  localPreference: undefined,
  med: undefined,
  communities: [],
  originatorId: '',
  ...given,
});

/** A GoBGP with this table, whose neighbours say these things. */
function gobgp(table: readonly Candidate[], told: readonly Candidate[] = table) {
  const asked: string[] = [];
  const lookup = async (to: Prefix, from: LookupTable) => {
    asked.push(from.kind === 'best' ? `${to}` : `${to} from ${from.peer}`);
    return from.kind === 'best' ? table : told.filter((one) => one.neighbor === from.peer);
  };
  return { asked, lookup };
}

async function explain(store: Store, to: string, lookup = gobgp([]).lookup) {
  await using daemon = await startDaemon(store);
  const found = await explainRoute({ facts: store.facts, loop: daemon.loop, lookup }, to, signal);
  assert.ok(found !== undefined);
  return found;
}

describe('the explanation of a route', () => {
  const ways = [
    { to: '10.244.2.7', way: 'direct', hop: '192.0.2.2', why: /in a subnet of this node/ },
    { to: '10.244.3.7', way: 'tunnel', hop: '198.51.100.3', why: /no subnet.*mode is subnet/ },
    { to: '172.20.1.1', way: 'gateway', hop: '203.0.113.77', why: /192\.0\.2\.254 is the gateway/ },
  ];
  for (const { to, way, hop, why } of ways)
    it(`says that ${to} is reached by ${way}, and why`, async () => {
      const { nextHops, verdict } = await explain(sampleCluster(), to);
      assert.deepEqual(
        nextHops.map((one) => [one.nextHop, one.way]),
        [[hop, way]],
      );
      assert.match(nextHops[0]?.reason ?? '', why);
      assert.match(verdict, new RegExp(`^${to}: by .*${hop} by ${way}; in force$`));
    });

  it('says that a tunnel is used because of its mode, and that none is without one', async () => {
    const full = await explain(
      sampleCluster({}, { overlay: { ...config.overlay, mode: 'full' } }),
      '10.244.2.7',
    );
    assert.match(full.nextHops[0]?.reason ?? '', /overlay\.mode is full/);
    const none = await explain(
      sampleCluster({}, { overlay: { ...config.overlay, mode: 'none' } }),
      '10.244.3.7',
    );
    assert.deepEqual([none.nextHops[0]?.way], ['gateway']);
    assert.match(none.nextHops[0]?.reason ?? '', /overlay\.mode is none/);
  });

  it('takes the longest prefix, and says whose it is', async () => {
    const pod = await explain(sampleCluster(), '10.244.1.5');
    assert.deepEqual([pod.route?.prefix, pod.route?.from], ['10.244.1.5/32', ['pod default/kvr1']]);
    const sink = await explain(sampleCluster(), '10.96.77.1');
    assert.deepEqual([sink.route?.prefix, sink.route?.paths], ['10.96.0.0/16', ['reject']]);
    const inside = await explain(sampleCluster(), '172.20.0.0/24');
    assert.equal(inside.route?.prefix, '172.20.0.0/16');
    const around = await explain(sampleCluster(), '172.0.0.0/8');
    assert.equal(around.route?.prefix, '0.0.0.0/0');
  });

  it('says when there is no route, and refuses what is no address', async () => {
    await using daemon = await startDaemon(sampleCluster());
    assert.equal(longestMatch(daemon.loop, prefix('fd00::/8')), undefined);
    const parts = { facts: daemon.store.facts, loop: daemon.loop, lookup: undefined };
    const found = await explainRoute(parts, 'fd00::1', signal);
    assert.match(found?.verdict ?? '', /^fd00::1: this node has no route/);
    assert.deepEqual(found?.notes, ['BGP is off']);
    assert.equal(await explainRoute(parts, 'web', signal), undefined);
  });

  it('says of each path of GoBGP why it is used or not', async () => {
    const b = { neighbor: ip('192.0.2.252'), nextHop: ip('192.0.2.252'), asPath: ['65002'] };
    const { lookup, asked } = gobgp([
      candidate(),
      candidate(b),
      candidate({ ...b, neighbor: ip('192.0.2.251'), asPath: ['65003', '65004'] }),
      candidate({ prefix: prefix('0.0.0.0/0'), neighbor: undefined, asPath: [] }),
    ]);
    const { candidates, notes } = await explain(sampleCluster(), '172.16.0.1', lookup);
    assert.deepEqual(
      candidates.map((one) => `${one.prefix} ${one.peer} ${one.verdict}: ${one.reason}`),
      [
        '172.16.0.0/12 peer/a best: ',
        '172.16.0.0/12 peer/b equal: as good as the best: both are used',
        '172.16.0.0/12 192.0.2.251 worse: its AS path has 2 and not 1 ASes',
        '0.0.0.0/0 this node best: ',
      ],
    );
    assert.ok(candidates.slice(0, 3).every((one) => Math.abs(one.ageSeconds - 90) < 5));
    assert.deepEqual(notes, []);
    assert.deepEqual(asked, [
      '172.16.0.1/32',
      '172.16.0.1/32 from 192.0.2.252',
      '172.16.0.1/32 from 192.0.2.253',
      '172.16.0.1/32 from 192.0.2.2',
      '172.16.0.1/32 from 198.51.100.3',
    ]);
  });

  it('names the import statement that keeps a path out', async () => {
    const vip = { prefix: prefix('10.96.0.10/32') };
    const told = [
      candidate(vip),
      candidate({ ...vip, neighbor: ip('192.0.2.252'), asPath: ['65002', '64512'] }),
      candidate({ prefix: prefix('0.0.0.0/0') }),
      candidate({ prefix: prefix('10.0.0.0/8') }),
    ];
    const { candidates } = await explain(sampleCluster(), '10.96.0.10', gobgp([], told).lookup);
    assert.deepEqual(
      candidates.map((one) => `${one.prefix} ${one.peer} ${one.verdict}: ${one.reason}`),
      [
        '10.96.0.10/32 peer/b rejected: our own AS is in its AS path',
        '10.96.0.10/32 peer/a rejected: the import policy rejects it: ours, IPv4 (prefix 10.96.0.0/16 of length 16 to 32)',
        '10.0.0.0/8 peer/a rejected: GoBGP does not use it, though the import policy lets it in',
        '0.0.0.0/0 peer/a rejected: the import policy rejects it: default route from 192.0.2.252 192.0.2.253, IPv4 (neighbour 192.0.2.253, prefix 0.0.0.0/0 of length 0 to 0)',
      ].toSorted((x, y) => Number(/\/(\d+)/.exec(y)?.[1]) - Number(/\/(\d+)/.exec(x)?.[1])),
    );
  });

  it('goes on without GoBGP, and says so', async () => {
    const away = () => Promise.reject(new Error('no gobgpd'));
    const found = await explain(sampleCluster(), '10.244.2.7', away);
    assert.deepEqual([found.nextHops.length, found.candidates.length], [1, 0]);
    assert.deepEqual(found.notes, ['GoBGP does not answer: no gobgpd']);
  });

  it('counts the neighbours that did not answer', async () => {
    const some = async (_: Prefix, from: LookupTable) => {
      if (from.kind === 'from' && from.peer === ip('192.0.2.252')) throw new Error('no such peer');
      return [];
    };
    const { notes } = await explain(sampleCluster(), '10.244.2.7', some);
    assert.deepEqual(notes, ['1 of 4 neighbours were not asked for what they say']);
  });
});

describe("the explanation of a Service's address", () => {
  it('says who hears it and why others do not', async () => {
    const [web, ...others] = (await explain(sampleCluster(), '10.96.0.10')).services;
    assert.deepEqual(others, []);
    assert.deepEqual(
      [web?.service, web?.kind, web?.announced, web?.prefix, web?.reason],
      ['shop/web', 'ClusterIP', true, '10.96.0.10/32', 'announced by bgp.advertise.clusterIps'],
    );
    assert.deepEqual(
      web?.neighbours.map((one) => `${one.peer} med ${one.med}`),
      ['peer/a med 70', 'peer/b med 70'],
    );
    assert.deepEqual(web?.withheld, [
      { peer: 'node/n2', reason: 'no statement of the export policy is about it' },
      { peer: 'node/n3', reason: 'no statement of the export policy is about it' },
    ]);
  });

  it('says why it is not announced', async () => {
    const store = sampleCluster();
    store.replace('slices', new Map());
    const [web] = (await explain(store, '10.96.0.10')).services;
    assert.deepEqual(
      [web?.announced, web?.reason, web?.neighbours, web?.withheld],
      [false, 'no endpoint is usable', [], []],
    );
  });

  it('shows only the neighbours that the Service names', async () => {
    const store = sampleCluster();
    const annotations = { 'kube-vpp-router.io/bgp.peers': 'b' };
    store.commit('services', [['shop/web', service('shop/web', { annotations })]]);
    const [web] = (await explain(store, '10.96.0.10')).services;
    assert.deepEqual(
      web?.neighbours.map((one) => one.peer),
      ['peer/b'],
    );
    const a = web?.withheld.find((one) => one.peer === 'peer/a');
    assert.equal(a?.reason, 'the export policy says: nothing else to a');
  });
});
