import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import {
  advertisementViews,
  hearersOf,
  peerViews,
  routeViews,
} from '../../src/daemon/routing-views.ts';
import { pathRow, peerRow } from '../../src/desired/bgp.ts';
import { servicesMarker } from '../../src/desired/markers.ts';
import { config, service } from '../facts.ts';
import { peer } from '../routing/rig.ts';
import { sampleCluster, startDaemon } from './bgp-rig.ts';

const status = (address: string, given: object = {}) => ({
  address,
  asn: 65_001,
  state: 'established' as const,
  uptimeSeconds: 60,
  received: 4,
  accepted: 4,
  advertised: 2,
  flaps: 1,
  description: 'as GoBGP has it',
  lastError: '',
  ...given,
});
const row = (address: string, given: object = {}) =>
  peerRow({
    address: address.includes('/') ? prefix(address) : ip(address),
    asn: 65_001,
    localAddress: ip('192.0.2.1'),
    description: 'peer/a',
    ...given,
  });

describe('peerViews', () => {
  it('joins what is wanted with what GoBGP says, and never shows a password', () => {
    const password = { key: 'tor', digest: 'e3b0c442' };
    const [view, ...others] = peerViews([row('192.0.2.253', { password })], new Map(), [
      status('192.0.2.253', { accepted: 3 }),
    ]);
    assert.deepEqual(others, []);
    assert.deepEqual(view, {
      address: '192.0.2.253',
      kind: 'peer',
      asn: 65_001,
      state: 'established',
      uptimeSeconds: 60,
      received: 4,
      accepted: 3,
      advertised: 2,
      flaps: 1,
      description: 'peer/a',
      lastError: '',
      passwordKey: 'tor',
    });
  });

  it('shows what GoBGP does not have and why, ranges with their callers, and strangers', () => {
    const rows = [
      row('192.0.2.2', { description: 'node/n2' }),
      row('192.0.2.128/25'),
      row('192.0.2.200'),
    ];
    const statuses = ['192.0.2.129', '192.0.2.200', '203.0.113.9'].map((one) => status(one));
    const views = peerViews(rows, new Map([['192.0.2.2', 'no room']]), statuses);
    assert.deepEqual(
      views.map((one) => [one.address, one.kind, one.state, one.lastError].join(' ').trim()),
      [
        '192.0.2.2 node not configured no room',
        '192.0.2.128/25 range waiting',
        '192.0.2.129 peer established',
        '192.0.2.200 peer established',
        '203.0.113.9 unknown established',
      ],
    );
  });
});

describe('routeViews', () => {
  it('says where each route comes from, and what became of it', async () => {
    const store = sampleCluster();
    await using daemon = await startDaemon(store);
    daemon.target.refused.add('172.16.0.0/12');
    store.commit('learnedRoutes', [
      ['172.16.0.0/12', { prefix: prefix('172.16.0.0/12'), nextHops: [ip('192.0.2.253')] }],
    ]);
    await daemon.settled();
    const views = routeViews(store.facts, daemon.loop);
    const lines = views.map(
      (one) => `${one.status} ${one.prefix} ${one.paths} ${one.origin} ${one.from} ${one.error}`,
    );
    for (const line of [
      'done 10.244.2.0/24 via 192.0.2.2 dev uplink learned 192.0.2.2 (n2) ',
      'done 10.244.3.0/24 dev ipip-198.51.100.3 learned 198.51.100.3 (n3) ',
      'failed 172.16.0.0/12 via 192.0.2.253 dev uplink learned 192.0.2.253 (peer/a) refused',
      'done 172.20.0.0/16 via 192.0.2.254 dev uplink learned 203.0.113.77 ',
      'done 10.244.1.5/32 via 10.244.1.5 dev pod-kvr1 own pod default/kvr1 ',
    ])
      assert.ok(lines.includes(line), `no line ${line} in\n${lines.join('\n')}`);
    assert.ok(views.every((one) => one.from.length > 0));
  });
});

describe('advertisementViews', () => {
  const viewsOf = async (store: ReturnType<typeof sampleCluster>, withNeighbours = true) => {
    await using daemon = await startDaemon(store);
    return advertisementViews(store.facts, daemon.loop, withNeighbours);
  };

  it('says what each path is for and who hears it, as it goes out', async () => {
    const views = await viewsOf(sampleCluster());
    assert.deepEqual(
      views.map(({ prefix: to, kind, for: what, neighbours }) => [
        `${to} ${kind} ${what}`,
        neighbours?.map((one) => `${one.peer} ${one.med ?? '-'} [${one.communities}]`).toSorted(),
      ]),
      [
        [
          '10.244.1.0/24 pods pods of n1',
          ['node/n2 - []', 'node/n3 - []', 'peer/a - []', 'peer/b - []'],
        ],
        ['10.96.0.10/32 service shop/web', ['peer/a 70 []', 'peer/b 70 []']],
      ],
    );
    assert.ok(views.every((one) => one.status === 'done' && one.communities.length === 0));
  });

  it('leaves the neighbours out unless they are asked for', async () => {
    const [first] = await viewsOf(sampleCluster(), false);
    assert.ok(first !== undefined && !('neighbours' in first));
  });

  it('shows an aggregate once, with all Services behind it', async () => {
    const store = sampleCluster({
      advertise: {
        ...config.bgp.advertise,
        clusterIps: true,
        aggregates: [prefix('10.96.0.0/16')],
      },
    });
    store.commit('services', [
      ['shop/cart', service('shop/cart', { clusterIps: [ip('10.96.0.11')] })],
    ]);
    const web = [...store.facts.slices.values()][0];
    assert.ok(web !== undefined);
    store.commit('slices', [['shop/cart-1', { ...web, key: 'shop/cart-1', service: 'shop/cart' }]]);
    const aggregate = (await viewsOf(store)).find((one) => one.kind === 'aggregate');
    assert.deepEqual(
      [aggregate?.prefix, aggregate?.for],
      ['10.96.0.0/16', ['shop/cart', 'shop/web']],
    );
  });
});

describe('hearersOf', () => {
  it('says why a neighbour does not hear a path', async () => {
    const four = peer('four', { address: ip('192.0.2.251'), families: [4] });
    const quiet = peer('quiet', {
      address: ip('192.0.2.250'),
      advertise: { ...four.advertise, services: false },
    });
    await using daemon = await startDaemon(
      sampleCluster({ peers: [four, quiet], nodeMesh: false }),
    );
    const six = pathRow(prefix('fd00::1/128'), ip('2001:db8::1'), {
      communities: [servicesMarker],
    });
    const reasons = hearersOf(daemon.loop)(six).map(
      (one) => `${one.peer.description}: ${one.reason}`,
    );
    assert.deepEqual(reasons.toSorted(), [
      'peer/four: its session does not carry IPv6',
      'peer/quiet: the export policy says: nothing else to quiet',
    ]);
  });
});
