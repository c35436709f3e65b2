import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { planChanges, planners } from '../../src/daemon/planning.ts';
import { createDesired, type Desired } from '../../src/desired/desired.ts';
import { stages } from '../../src/desired/table.ts';
import { noBfd } from '../../src/model/bgp-config.ts';
import { createStore, type FactKind, factKinds, type Store } from '../../src/model/store.ts';
import { attachment, config, endpoint, node, pod, port, service, slice, uplink } from '../facts.ts';
import { bgpConfig, peer } from '../routing/rig.ts';

type Commit = readonly [FactKind, string, unknown];

const addresses = ['10.244.1.5', '10.244.2.6', '10.244.2.7'] as const;
const states = ['ready', 'draining', 'gone', 'unready'] as const;
const keep = fc.boolean();

const serviceCommit = fc
  .record({
    key: fc.constantFrom('d/a', 'd/b'),
    vip: fc.constantFrom('10.96.0.1', '10.96.0.2'),
    nodePort: fc.constantFrom(0, 30080),
    local: fc.boolean(),
    internalLocal: fc.boolean(),
    type: fc.constantFrom('ClusterIP' as const, 'LoadBalancer' as const, 'ExternalName' as const),
    ingress: fc.subarray(['203.0.113.5', '203.0.113.6', '10.96.0.2']),
    mode: fc.constantFrom('VIP' as const, 'Proxy' as const),
    externalIps: fc.subarray(['203.0.113.5', '192.0.2.1', '192.0.2.2', '198.51.100.3']),
    sourceRanges: fc.subarray(['198.51.100.0/24', '2001:db8::/32', 'nonsense']),
    affinitySeconds: fc.constantFrom(0, 60),
    annotations: fc.constantFrom(
      {},
      { 'kube-router.io/service.advertise.clusterip': 'false' },
      { 'kube-vpp-router.io/bgp.peers': 'a', 'kube-vpp-router.io/bgp.med': '5' },
      { 'kube-vpp-router.io/bgp.communities': 'nonsense' },
    ),
    keep,
  })
  .map(
    ({ key, vip, nodePort, local, internalLocal, ingress, mode, keep: kept, ...rest }): Commit => {
      const given = {
        ...rest,
        externalIps: rest.externalIps.map(ip),
        clusterIps: [ip(vip)],
        ports: [port({ nodePort })],
        ingress: ingress.map((one) => ({ ip: ip(one), mode })),
        externalTrafficPolicy: local ? ('Local' as const) : ('Cluster' as const),
        internalTrafficPolicy: internalLocal ? ('Local' as const) : ('Cluster' as const),
      };
      return ['services', key, kept ? service(key, given) : undefined];
    },
  );

const sliceCommit = fc
  .record({
    key: fc.constantFrom('d/s1', 'd/s2', 'd/s3'),
    owner: fc.constantFrom('d/a', 'd/b'),
    endpoints: fc.uniqueArray(
      fc.record({
        address: fc.constantFrom(...addresses),
        state: fc.constantFrom(...states),
        on: fc.constantFrom('n1', 'n2'),
        zone: fc.constantFrom('', 'x', 'y'),
      }),
      { maxLength: 3, selector: (one) => one.address },
    ),
    keep,
  })
  .map(({ key, owner, endpoints, keep: kept }): Commit => {
    const list = endpoints.map((one) =>
      endpoint(one.address, one.state, {
        node: one.on,
        zoneHints: one.zone === '' ? [] : [one.zone],
      }),
    );
    return ['slices', key, kept ? slice(key, owner, list) : undefined];
  });

const nodeCommit = fc
  .record({
    key: fc.constantFrom('n1', 'n2', 'n3'),
    subnet: fc.constantFrom('192.0.2', '198.51.100'),
    zone: fc.constantFrom('x', 'y'),
    terminating: fc.boolean(),
    annotations: fc.constantFrom(
      {},
      { 'kube-router.io/node.asn': '64600' },
      { 'kube-router.io/rr.server': '7' },
      { 'kube-router.io/rr.client': '7' },
      { 'kube-router.io/peers': '- {remoteip: 192.0.2.2, remoteasn: 65001}' },
    ),
    keep,
  })
  .map(({ key, subnet, zone, terminating, annotations, keep: kept }): Commit => {
    const number = Number(key.slice(1));
    const given = {
      internalIps: [ip(`${subnet}.${number}`)],
      labels: { 'topology.kubernetes.io/zone': zone },
      annotations,
      terminating,
    };
    return ['nodes', key, kept ? node(key, number, given) : undefined];
  });

const routeCommit = fc
  .record({
    to: fc.constantFrom('10.244.2.0/24', '10.244.3.0/24', '203.0.113.0/24'),
    via: fc.subarray(['192.0.2.2', '198.51.100.3', '198.51.100.9'], { minLength: 1 }),
    keep,
  })
  .map(
    ({ to, via, keep: kept }): Commit => [
      'learnedRoutes',
      to,
      kept ? { prefix: prefix(to), nextHops: via.map(ip) } : undefined,
    ],
  );

const podCommit = fc
  .record({
    key: fc.constantFrom('d/p', 'd/q'),
    on: fc.constantFrom('n1', 'n2'),
    hostPort: fc.constantFrom(0, 80, 30080),
    hostIp: fc.constantFrom('', '192.0.2.1', '192.0.2.99'),
    phase: fc.constantFrom('Running' as const, 'Succeeded' as const),
    keep,
  })
  .map(({ key, on, hostPort, hostIp, phase, keep: kept }): Commit => {
    const ports = [{ name: '', protocol: 'TCP' as const, containerPort: 8080, hostPort, hostIp }];
    const fact = pod(key, { node: on, phase, ips: [ip('10.244.1.5')], ports });
    return ['pods', key, kept ? fact : undefined];
  });

const epochCommit = fc
  .record({ key: fc.constantFrom('d/a /TCP', 'd/b /TCP'), epoch: fc.nat(3) })
  .map(({ key, epoch }): Commit => ['affinityEpochs', key, epoch]);

const bgpCommit = fc.oneof(
  fc
    .record({ over: fc.boolean(), keep })
    .map(
      ({ over, keep: kept }): Commit => [
        'departure',
        'departure',
        kept ? { isOver: over } : undefined,
      ],
    ),
  fc
    .record({ key: fc.constantFrom('d/a', 'd/b'), keep })
    .map(({ key, keep: kept }): Commit => ['heldDown', key, kept ? true : undefined]),
  fc
    .record({
      key: fc.constantFrom('192.0.2.253', '192.0.2.2'),
      fact: fc.constantFrom('new', 'written', undefined),
    })
    .map(({ key, fact }): Commit => ['bfdDown', key, fact]),
  fc
    .record({ digest: fc.constantFrom('x', 'y'), keep })
    .map(({ digest, keep: kept }): Commit => ['passwords', 'tor', kept ? digest : undefined]),
  fc
    .record({ aggregated: fc.boolean(), mesh: fc.boolean(), password: fc.boolean() })
    .map(({ aggregated, mesh, password }): Commit => {
      const advertise = {
        ...config.bgp.advertise,
        clusterIps: true,
        externalIps: true,
        loadBalancerIps: true,
        linkBandwidth: 100,
        aggregates: aggregated ? [prefix('10.96.0.0/16')] : [],
      };
      const key = password ? 'tor' : '';
      const bfd = { ...noBfd, enabled: mesh };
      const peers = [
        peer('a', { passwordKey: key, bfd }),
        peer('b', { address: ip('192.0.2.2'), bfd }),
      ];
      return [
        'config',
        'config',
        bgpConfig({ advertise, peers, nodeMesh: mesh, nodePasswordKey: key }),
      ];
    }),
);

const otherCommit = fc.oneof(
  fc.record({ link: fc.constantFrom('v1', 'v2'), keep }).map(({ link, keep: kept }): Commit => {
    const fact = attachment(link, link === 'v1' ? '10.244.1.5' : '10.244.1.6');
    return ['attachments', fact.key, kept ? fact : undefined];
  }),
  fc.constantFrom<Commit>(
    ['config', 'config', config],
    ['config', 'config', { ...config, overlay: { ...config.overlay, mode: 'full' } }],
    ['config', 'config', { ...config, bgp: { ...config.bgp, enabled: false } }],
    // A problem without a row.
    ['config', 'config', { ...config, pods: { ...config.pods, mtu: 1500 } }],
    [
      'config',
      'config',
      {
        ...config,
        services: {
          ...config.services,
          externalIpRanges: ['203.0.113.0/24', '192.0.2.0/24', '198.51.100.0/24'].map(prefix),
          strictSourceRanges: true,
          drainSeconds: 0,
        },
      },
    ],
    ['uplink', 'uplink', uplink],
    ['uplink', 'uplink', { ...uplink, gateways: [] }],
  ),
);

const commits = fc.array(
  fc.oneof(
    serviceCommit,
    sliceCommit,
    nodeCommit,
    routeCommit,
    podCommit,
    epochCommit,
    bgpCommit,
    otherCommit,
  ),
  { maxLength: 40 },
);

function commit(store: Store, [kind, key, fact]: Commit): void {
  store.commit(kind, [[key, fact as never]]);
}

function rows(desired: Desired): unknown {
  return stages.map((stage) =>
    [...desired.keys(stage)].toSorted().map((key) => [key, desired.row(stage, key)]),
  );
}

function problems(desired: Desired): string[] {
  return desired
    .problems()
    .map((problem) => `${problem.object} ${problem.field} ${problem.reason}`)
    .toSorted();
}

function planFromScratch(facts: readonly Commit[]): Desired {
  const store = createStore();
  for (const one of facts) commit(store, one);
  const desired = createDesired();
  planChanges(desired, store.takeSnapshot());
  return desired;
}

function allFacts(store: Store): Commit[] {
  return factKinds.flatMap((kind) =>
    [...store.facts[kind]].map(([key, fact]): Commit => [kind, key, fact]),
  );
}

describe('planning', () => {
  it('incremental equals from scratch, after every step of any history', () => {
    fc.assert(
      fc.property(commits, (history) => {
        const store = createStore();
        const desired = createDesired();
        for (const one of history) {
          commit(store, one);
          planChanges(desired, store.takeSnapshot());
          const scratch = planFromScratch(allFacts(store));
          assert.deepEqual(rows(desired), rows(scratch));
          assert.deepEqual(problems(desired), problems(scratch));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('any order of the same facts gives the same rows', () => {
    fc.assert(
      fc.property(commits, fc.infiniteStream(fc.nat()), (history, random) => {
        const store = createStore();
        for (const one of history) commit(store, one);
        const facts = allFacts(store);
        const shuffled = facts
          .map((one) => ({ one, at: random.next().value as number }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ one }) => one);
        assert.deepEqual(rows(planFromScratch(shuffled)), rows(planFromScratch(facts)));
      }),
    );
  });

  it('an object that cannot be planned keeps what it has, and the others go on', () => {
    const store = createStore();
    commit(store, ['config', 'config', config]);
    commit(store, ['uplink', 'uplink', uplink]);
    commit(store, ['services', 'd/a', service('d/a')]);
    const desired = createDesired();
    planChanges(desired, store.takeSnapshot());
    const before = rows(desired);
    const broken = {
      ...service('d/a'),
      get internalTrafficPolicy(): never {
        throw new Error('boom');
      },
    };
    commit(store, ['services', 'd/a', broken]);
    commit(store, ['services', 'd/b', service('d/b', { clusterIps: [ip('10.96.0.9')] })]);
    planChanges(desired, store.takeSnapshot());
    assert.ok(desired.row('translations', '10.96.0.9 80 TCP'));
    assert.match(problems(desired).join(), /Service\/d\/a services cannot be planned.*boom/);
    commit(store, ['services', 'd/a', service('d/a')]);
    commit(store, ['services', 'd/b', undefined]);
    planChanges(desired, store.takeSnapshot());
    assert.deepEqual(rows(desired), before);
    assert.deepEqual(problems(desired), []);
  });

  it('another address of a Node touches the Services that have it, and no other', () => {
    const store = createStore();
    const address = (i: number) => ip(`203.0.113.${i}`);
    const services = { ...config.services, externalIpRanges: [prefix('203.0.113.0/24')] };
    commit(store, ['config', 'config', { ...config, services }]);
    commit(store, ['uplink', 'uplink', uplink]);
    for (let i = 0; i < 100; i++)
      commit(store, ['services', `d/s${i}`, service(`d/s${i}`, { externalIps: [address(i)] })]);
    const desired = createDesired();
    planChanges(desired, store.takeSnapshot());
    const routed = (i: number) => desired.row('routes', `${address(i)}/32`) !== undefined;
    const ofServices = planners.filter((one) => one.kind === 'Service');
    assert.deepEqual(
      ofServices.map((one) => one.name),
      ['services', 'advertisements'],
    );
    for (const { has, touched } of [
      { has: [7], touched: ['d/s7'] },
      { has: [8, 7], touched: ['d/s8'] },
      { has: [7, 8], touched: [] },
      { has: [8], touched: ['d/s7'] },
      { has: [], touched: ['d/s8'] },
    ]) {
      const given = { internalIps: has.map(address) };
      commit(store, ['nodes', 'n2', node('n2', 2, given)]);
      const snapshot = store.takeSnapshot();
      for (const { touched: read } of ofServices)
        assert.deepEqual([...read(snapshot.facts, snapshot.changed)], touched);
      planChanges(desired, snapshot);
      assert.deepEqual(
        [7, 8, 9].map((i) => !routed(i)),
        [7, 8, 9].map((i) => has.includes(i)),
      );
    }
  });

  it('one endpoint change plans the Service and its routes, however many Services there are', () => {
    const store = createStore();
    commit(store, ['config', 'config', config]);
    commit(store, ['uplink', 'uplink', uplink]);
    for (let i = 0; i < 1_000; i++) {
      commit(store, ['services', `d/s${i}`, service(`d/s${i}`)]);
      commit(store, ['slices', `d/s${i}-1`, slice(`d/s${i}-1`, `d/s${i}`, [])]);
    }
    const desired = createDesired();
    planChanges(desired, store.takeSnapshot());
    const changed = slice('d/s7-1', 'd/s7', [endpoint('10.244.2.6')]);
    commit(store, ['slices', 'd/s7-1', changed]);
    assert.equal(planChanges(desired, store.takeSnapshot()), 2);
  });
});
