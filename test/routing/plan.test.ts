import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import type { Plan } from '../../src/desired/plan.ts';
import { stages, type Table } from '../../src/desired/table.ts';
import { tables } from '../../src/desired/tables.ts';
import type { Config } from '../../src/model/config.ts';
import { type ChangedKeys, createStore, type Store } from '../../src/model/store.ts';
import { learnedRoutePlanner } from '../../src/routing/learned.ts';
import { nodePlanner } from '../../src/routing/nodes.ts';
import { podPlanner } from '../../src/routing/pods.ts';
import { uplinkPlanner } from '../../src/routing/uplink.ts';
import { attachment, config, node, uplink } from '../facts.ts';

function cluster(given: Config = config): Store {
  const store = createStore();
  store.replace('config', new Map([['config', given]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  const far = node('n3', 3, { internalIps: [ip('198.51.100.3')] });
  store.replace(
    'nodes',
    new Map([
      ['n1', node('n1', 1)],
      ['n2', node('n2', 2)],
      ['n3', far],
    ]),
  );
  return store;
}

function lines(plan: Plan): string[] {
  return stages.flatMap((stage) => {
    const table: Table<unknown> = tables[stage];
    return (plan.rows[stage] ?? []).map((row) => `${stage}: ${table.format(row)}`);
  });
}

describe('uplinkPlanner', () => {
  it('gives the node its interfaces, addresses, masquerading and the ranges it must not leak', () => {
    assert.deepEqual(lines(uplinkPlanner.plan(cluster().facts, 'uplink')), [
      'interfaces: uplink afPacket eth0 mtu 1500',
      'interfaces: host afPacket kvr0-vpp mtu 1500',
      'addresses: uplink 192.0.2.1/24',
      'addresses: uplink 2001:db8::1/64',
      'addresses: host borrowed from uplink',
      'neighbours: 169.254.1.2 02:00:00:00:00:03 dev host',
      'neighbours: fe80::2 02:00:00:00:00:03 dev host',
      'punts: ipv4 via 169.254.1.2 dev host',
      'punts: ipv6 via fe80::2 dev host',
      'nat: masquerade as 192.0.2.1 2001:db8::1',
      'natExclusions: 10.244.0.0/16',
      'natExclusions: 10.244.1.0/24',
      'natInterfaces: uplink uplink',
      'natInterfaces: host host',
      'routes: 0.0.0.0/0 via 192.0.2.254 dev uplink',
      'routes: 10.96.0.0/16 reject',
      'routes: 10.244.1.0/24 reject',
      'routes: 169.254.1.2/32 via 169.254.1.2 dev host',
      'routes: 169.254.1.3/32 drop',
      'routes: fd6b:7670:7200::2/128 via fe80::2 dev host',
      'routes: fd6b:7670:7200::3/128 drop',
      'linkStates: uplink up',
      'linkStates: host up',
    ]);
  });

  it('NP-24 the host keeps the source of what begins there while it answers denied packets', () => {
    const store = cluster();
    const policy = { ...config.policy, denied: 'refuse' as const };
    store.commit('config', [['config', { ...config, policy }]]);
    const of = lines(uplinkPlanner.plan(store.facts, 'uplink')).filter((line) =>
      line.startsWith('natInterfaces'),
    );
    assert.deepEqual(of, ['natInterfaces: uplink uplink', 'natInterfaces: host host, answers']);
  });

  it("the node's own routes on the uplink are VPP's, and equal gateways share", () => {
    const store = cluster();
    const routes = [{ prefix: prefix('203.0.113.0/24'), gateways: [ip('192.0.2.253')] }];
    const gateways = ['192.0.2.254', '192.0.2.250', '2001:db8::fe'].map(ip);
    store.replace('uplink', new Map([['uplink', { ...uplink, gateways, routes }]]));
    const planned = lines(uplinkPlanner.plan(store.facts, 'uplink'));
    const found = planned.filter((line) => line.startsWith('routes:') && line.includes(' via '));
    assert.deepEqual(found.slice(0, 3), [
      'routes: 0.0.0.0/0 via 192.0.2.250 dev uplink, via 192.0.2.254 dev uplink',
      'routes: ::/0 via 2001:db8::fe dev uplink',
      'routes: 203.0.113.0/24 via 192.0.2.253 dev uplink',
    ]);
  });

  it('plans nothing before the uplink is known', () => {
    const store = createStore();
    store.replace('config', new Map([['config', config]]));
    assert.deepEqual(uplinkPlanner.plan(store.facts, 'uplink').rows, {});
  });
});

describe('podPlanner', () => {
  it('wires a pod, and brings its link up last', () => {
    const store = cluster();
    const pod = attachment('veth1', '10.244.1.5');
    store.commit('attachments', [[pod.key, pod]]);
    assert.deepEqual(lines(podPlanner.plan(store.facts, pod.key)), [
      'interfaces: pod-veth1 afPacket veth1 mtu 1480',
      'addresses: pod-veth1 borrowed from uplink',
      'neighbours: 10.244.1.5 02:00:00:00:01:01 dev pod-veth1',
      'natInterfaces: pod-veth1 pod',
      'sources: pod-veth1 from 10.244.1.5',
      'routes: 10.244.1.5/32 via 10.244.1.5 dev pod-veth1',
      'linkStates: pod-veth1 up',
    ]);
  });

  it('lets VPP make the interface in the pod where taps are used', () => {
    const store = cluster();
    const pod = { ...attachment('tap1', '10.244.1.5'), kind: 'tap' as const };
    store.commit('attachments', [[pod.key, pod]]);
    assert.deepEqual(podPlanner.plan(store.facts, pod.key).rows.interfaces, [
      {
        name: 'pod-tap1',
        kind: 'tap',
        role: 'pod',
        netns: '/run/netns/tap1',
        podInterface: 'eth0',
        podMac: '02:00:00:00:01:01',
        mac: '02:00:00:00:01:02',
        mtu: 1480,
      },
    ]);
  });

  it('plans nothing for a pod that is gone', () => {
    assert.deepEqual(podPlanner.plan(cluster().facts, 'gone').rows, {});
  });
});

describe('nodePlanner', () => {
  it('peers with a node of the same subnet without a tunnel', () => {
    assert.deepEqual(lines(nodePlanner.plan(cluster().facts, 'n2')), [
      'natExclusions: 10.244.2.0/24',
      'bgpPeers: 192.0.2.2 AS 64512 node/n2',
    ]);
  });

  it('makes an IPIP tunnel to a node of another subnet', () => {
    assert.deepEqual(lines(nodePlanner.plan(cluster().facts, 'n3')), [
      'tunnels: ipip-198.51.100.3 ipip 192.0.2.1 > 198.51.100.3 mtu 1480',
      'addresses: ipip-198.51.100.3 borrowed from uplink',
      'natExclusions: 10.244.3.0/24',
      'natInterfaces: ipip-198.51.100.3 tunnel',
      'filterLists: ipip-198.51.100.3 in edge permit-all',
      'tunnelStates: ipip-198.51.100.3 up',
      'bgpPeers: 198.51.100.3 AS 64512 node/n3',
    ]);
  });

  it('tunnels to every node in mode full, to none in mode none', () => {
    const tunnels = (mode: Config['overlay']['mode'], owner: string) =>
      nodePlanner.plan(cluster({ ...config, overlay: { ...config.overlay, mode } }).facts, owner)
        .rows.tunnels ?? [];
    assert.equal(tunnels('full', 'n2').length, 1);
    assert.equal(tunnels('none', 'n3').length, 0);
  });

  const tunnelLines = (
    overlay: Partial<Config['overlay']>,
    annotations: { readonly n1?: string; readonly n3?: string } = {},
  ) => {
    const store = cluster({ ...config, overlay: { ...config.overlay, ...overlay } });
    for (const name of ['n1', 'n3'] as const) {
      const before = store.facts.nodes.get(name);
      const wanted = annotations[name];
      assert.ok(before !== undefined);
      if (wanted !== undefined) {
        const own = { 'kube-vpp-router.io/encapsulation': wanted };
        store.commit('nodes', [[name, { ...before, annotations: own }]]);
      }
    }
    const learned = { prefix: prefix('fd00:3::/64'), nextHops: [ip('198.51.100.3')] };
    store.commit('learnedRoutes', [['fd00:3::/64', learned]]);
    const plans = [
      nodePlanner.plan(store.facts, 'n3'),
      learnedRoutePlanner.plan(store.facts, 'fd00:3::/64'),
    ];
    return {
      tunnels: plans.flatMap(lines).filter((line) => line.startsWith('tunnels: ')),
      routes: plans.flatMap(lines).filter((line) => line.startsWith('routes: ')),
      problems: plans.flatMap((plan) => plan.problems),
    };
  };

  it('makes the tunnel by which the other node receives, and that by which we do', () => {
    const gre = 'tunnels: gre-198.51.100.3 gre 192.0.2.1 > 198.51.100.3 mtu 1476';
    const ipip = 'tunnels: ipip-198.51.100.3 ipip 192.0.2.1 > 198.51.100.3 mtu 1480';
    const toGre = ['routes: fd00:3::/64 dev gre-198.51.100.3'];
    assert.deepEqual(tunnelLines({ encapsulation: 'gre' }), {
      tunnels: [gre],
      routes: toGre,
      problems: [],
    });
    assert.deepEqual(tunnelLines({}, { n3: 'gre' }), {
      tunnels: [gre, ipip],
      routes: toGre,
      problems: [],
    });
    assert.deepEqual(tunnelLines({}, { n1: 'gre' }).tunnels, [ipip, gre]);
    assert.deepEqual(tunnelLines({ accept: ['gre', 'ipip'] }).tunnels, [ipip, gre]);
  });

  it('makes two interfaces of VXLAN, and leads routes to the neighbour behind the one', () => {
    const ends = 'vxlan 192.0.2.1 > 198.51.100.3 mtu 1450 vni 77';
    assert.deepEqual(tunnelLines({ encapsulation: 'vxlan', vxlanVni: 77 }), {
      tunnels: [
        `tunnels: vxlan-198.51.100.3 ${ends} out`,
        `tunnels: vxlan-in-198.51.100.3 ${ends} in`,
      ],
      routes: ['routes: fd00:3::/64 via fe80::4 dev vxlan-198.51.100.3'],
      problems: [],
    });
  });

  it('everything that VXLAN needs besides the tunnels', () => {
    const overlay = { ...config.overlay, encapsulation: 'vxlan' as const };
    const all = lines(nodePlanner.plan(cluster({ ...config, overlay }).facts, 'n3'));
    assert.deepEqual(
      all.filter((line) => !/^(tunnels|natExclusions|bgpPeers): /.test(line)),
      [
        'interfaces: gate-tunnels loopback mtu 1500',
        'addresses: gate-tunnels borrowed from uplink',
        'addresses: vxlan-198.51.100.3 borrowed from uplink',
        'addresses: vxlan-in-198.51.100.3 borrowed from uplink',
        'neighbours: 169.254.1.4 02:6b:76:70:00:04 dev gate-tunnels',
        'neighbours: fe80::4 02:6b:76:70:00:04 dev gate-tunnels',
        'neighbours: 169.254.1.4 02:6b:c6:33:64:03 dev vxlan-198.51.100.3',
        'neighbours: fe80::4 02:6b:c6:33:64:03 dev vxlan-198.51.100.3',
        'natInterfaces: vxlan-198.51.100.3 tunnel',
        'natInterfaces: vxlan-in-198.51.100.3 tunnel',
        'filterLists: vxlan-198.51.100.3 in edge permit-all',
        'filterLists: vxlan-in-198.51.100.3 in edge permit-all',
        'tunnelStates: vxlan-198.51.100.3 up',
        'tunnelStates: vxlan-in-198.51.100.3 up',
        'linkStates: gate-tunnels up',
      ],
    );
  });

  it('a bad annotation is a problem of the Node, and the configuration decides', () => {
    const bad = tunnelLines({ encapsulation: 'gre' }, { n3: 'GRE' });
    assert.deepEqual(bad.routes, ['routes: fd00:3::/64 dev gre-198.51.100.3']);
    assert.deepEqual(bad.problems, [
      {
        object: 'Node/n3',
        field: 'metadata.annotations[kube-vpp-router.io/encapsulation]',
        reason: '"GRE" is none of ipip, gre, vxlan; gre is used',
      },
    ]);
  });

  it('replans all nodes when this one wants to receive otherwise', () => {
    const { facts } = cluster();
    const changed = { nodes: new Set(['n1']), nodeParts: new Set(['way n1']) } as ChangedKeys;
    assert.equal(nodePlanner.touched(facts, changed), 'all');
    const other = { nodes: new Set(['n3']), nodeParts: new Set(['way n3']) } as ChangedKeys;
    assert.deepEqual([...nodePlanner.touched(facts, other)], ['n3']);
  });

  it('says so when packets of pods do not pass the tunnels in one piece', () => {
    const problems = (mtu: number, overlay: Partial<Config['overlay']>) => {
      const pods = { ...config.pods, mtu };
      const given = { ...config, pods, overlay: { ...config.overlay, ...overlay } };
      return nodePlanner.plan(cluster(given).facts, 'n1').problems.map((p) => p.reason);
    };
    assert.deepEqual(problems(1460, {}), []);
    assert.deepEqual(problems(0, { encapsulation: 'vxlan' }), []);
    assert.deepEqual(problems(1500, { mode: 'none' }), []);
    assert.deepEqual(problems(1460, { encapsulation: 'vxlan' }), [
      'packets of 1460 bytes and 70 of vxlan exceed the MTU 1500 of eth0; large ones are cut or refused',
    ]);
  });
});

describe('learnedRoutePlanner', () => {
  const cases = [
    {
      name: 'a next hop in our subnet is direct',
      prefix: '10.244.2.0/24',
      via: ['192.0.2.2'],
      out: ['routes: 10.244.2.0/24 via 192.0.2.2 dev uplink'],
    },
    {
      name: 'a node elsewhere is reached by its tunnel',
      prefix: '10.244.3.0/24',
      via: ['198.51.100.3'],
      out: ['routes: 10.244.3.0/24 dev ipip-198.51.100.3'],
    },
    {
      name: 'a router elsewhere is reached by the gateway',
      prefix: '203.0.113.0/24',
      via: ['198.51.100.9'],
      out: ['routes: 203.0.113.0/24 via 192.0.2.254 dev uplink'],
    },
    {
      name: 'several next hops are ECMP',
      prefix: '203.0.113.0/24',
      via: ['192.0.2.2', '192.0.2.9'],
      out: ['routes: 203.0.113.0/24 via 192.0.2.2 dev uplink, via 192.0.2.9 dev uplink'],
    },
    {
      name: 'several next hops behind one gateway are one way',
      prefix: '203.0.113.0/24',
      via: ['198.51.100.8', '198.51.100.9'],
      out: ['routes: 203.0.113.0/24 via 192.0.2.254 dev uplink'],
    },
    { name: 'our own pods are not learned', prefix: '10.244.1.0/24', via: ['192.0.2.2'], out: [] },
    { name: 'our own address is not learned', prefix: '192.0.2.1/32', via: ['192.0.2.2'], out: [] },
  ];
  for (const c of cases)
    it(c.name, () => {
      const store = cluster();
      const learned = { prefix: prefix(c.prefix), nextHops: c.via.map(ip) };
      store.commit('learnedRoutes', [[c.prefix, learned]]);
      assert.deepEqual(lines(learnedRoutePlanner.plan(store.facts, c.prefix)), c.out);
    });

  it('uses 64 next hops at most', () => {
    const store = cluster();
    const nextHops = Array.from({ length: 80 }, (_, i) => ip(`192.0.2.${i + 10}`));
    store.commit('learnedRoutes', [
      ['203.0.113.0/24', { prefix: prefix('203.0.113.0/24'), nextHops }],
    ]);
    const { rows } = learnedRoutePlanner.plan(store.facts, '203.0.113.0/24');
    assert.equal(rows.routes?.[0]?.paths.length, 64);
  });

  it("goes where the node's own routes lead", () => {
    const store = cluster();
    const routes = [{ prefix: prefix('198.51.100.0/24'), gateways: [ip('192.0.2.77')] }];
    store.replace('uplink', new Map([['uplink', { ...uplink, routes }]]));
    const learned = { prefix: prefix('203.0.113.0/24'), nextHops: [ip('198.51.100.9')] };
    store.commit('learnedRoutes', [['203.0.113.0/24', learned]]);
    assert.deepEqual(lines(learnedRoutePlanner.plan(store.facts, '203.0.113.0/24')), [
      'routes: 203.0.113.0/24 via 192.0.2.77 dev uplink',
    ]);
  });

  it('a next hop without a way is a problem, not a route', () => {
    const store = cluster();
    store.replace('uplink', new Map([['uplink', { ...uplink, gateways: [] }]]));
    const learned = { prefix: prefix('203.0.113.0/24'), nextHops: [ip('198.51.100.9')] };
    store.commit('learnedRoutes', [['203.0.113.0/24', learned]]);
    const plan = learnedRoutePlanner.plan(store.facts, '203.0.113.0/24');
    assert.deepEqual(plan.rows, {});
    assert.equal(plan.problems.length, 1);
  });

  it('leaves out next hops that BFD saw go down, and takes them back', () => {
    const store = cluster();
    const key = '203.0.113.0/24';
    const nextHops = ['192.0.2.253', '192.0.2.254'].map(ip);
    store.commit('learnedRoutes', [[key, { prefix: prefix(key), nextHops }]]);
    store.commit('learnedRoutes', [
      ['203.0.114.0/24', { prefix: prefix('203.0.114.0/24'), nextHops: [ip('192.0.2.2')] }],
    ]);
    store.takeSnapshot();
    const planned = () => {
      const { facts, changed } = store.takeSnapshot();
      const touched = learnedRoutePlanner.touched(facts, changed);
      assert.deepEqual([...touched], [key]);
      return lines(learnedRoutePlanner.plan(facts, key));
    };
    store.commit('bfdDown', [['192.0.2.253', 'new']]);
    assert.deepEqual(planned(), [`routes: ${key} via 192.0.2.254 dev uplink`]);
    store.commit('bfdDown', [['192.0.2.254', 'written']]);
    assert.deepEqual(planned(), []);
    store.commit('bfdDown', [['192.0.2.253', undefined]]);
    assert.deepEqual(planned(), [`routes: ${key} via 192.0.2.253 dev uplink`]);
  });
});
