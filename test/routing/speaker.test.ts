import assert from 'node:assert/strict';
import fc from 'fast-check';
import { concernedPeers } from '../../src/bgp/policy-codec.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { evaluatePolicy } from '../../src/desired/bgp-policy.ts';
import { everyMarker, podsMarker, servicesMarker } from '../../src/desired/markers.ts';
import type { BgpPeerRow, BgpPolicyRow, BgpStatement } from '../../src/desired/rows.ts';
import type { BgpConfig } from '../../src/model/bgp-config.ts';
import type { Node } from '../../src/model/facts.ts';
import type { Store } from '../../src/model/store.ts';
import { nodePlanner } from '../../src/routing/nodes.ts';
import { speakerPlanner } from '../../src/routing/speaker.ts';
import { config, node, uplink } from '../facts.ts';
import { annotated, bgpConfig, lines, nodesOf, peer } from './rig.ts';

const planOf = (store: Store) => speakerPlanner.plan(store.facts, 'speaker');
const speaker = (bgp: Partial<BgpConfig> = {}, self: Partial<Node> = {}) =>
  planOf(nodesOf(bgpConfig(bgp), self));
const peersOf = (bgp: Partial<BgpConfig>, self: Partial<Node> = {}): readonly BgpPeerRow[] =>
  speaker(bgp, self).rows.bgpPeers ?? [];
const fieldsOf = (bgp: Partial<BgpConfig>, self: Partial<Node> = {}) =>
  speaker(bgp, self).problems.map((problem) => `${problem.object} ${problem.field}`);

function statements(
  direction: 'import' | 'export',
  bgp: Partial<BgpConfig> = {},
  self: Partial<Node> = {},
): readonly BgpStatement[] {
  const rows = speaker(bgp, self).rows.bgpPolicies ?? [];
  return rows.find((row) => row.direction === direction)?.statements ?? [];
}

describe('speakerPlanner', () => {
  it('makes this node a speaker that announces its pods', () => {
    const text = lines(speaker()).filter((line) => !line.startsWith('bgpPolicies'));
    assert.deepEqual(text, [
      'bgpServer: AS 64512 id 192.0.2.1 port 179',
      'bgpPaths: 10.244.1.0/24 via 192.0.2.1 (pods)',
    ]);
  });

  it('asks for a router id on a node without IPv4', () => {
    const store = nodesOf(config);
    const six = { ...uplink, addresses: uplink.addresses.filter((a) => a.length === 64) };
    store.replace('uplink', new Map([['uplink', six]]));
    assert.deepEqual(
      planOf(store).problems.map((problem) => problem.field),
      ['bgp.routerId'],
    );
  });

  it('waits for its Node, which decides about AS and role', () => {
    const store = nodesOf(config);
    store.replace('nodes', new Map([['n2', node('n2', 2)]]));
    assert.deepEqual(planOf(store).rows, {});
    assert.equal(nodePlanner.plan(store.facts, 'n2').rows.bgpPeers, undefined);
  });

  it('takes AS, listen addresses and neighbours from the Node as kube-router does', () => {
    const self = annotated({
      'kube-router.io/node.asn': '64600',
      'kube-router.io/bgp-local-addresses': '192.0.2.1',
      'kube-router.io/peers':
        '- {remoteip: 192.0.2.250, remoteasn: 65010, port: 1179, localip: 192.0.2.1}',
    });
    const plan = speaker({}, self);
    assert.deepEqual(plan.problems, []);
    assert.deepEqual(plan.rows.bgpServer?.[0]?.asn, 64_600);
    assert.deepEqual(plan.rows.bgpServer?.[0]?.listenAddresses, ['192.0.2.1']);
    const [row] = plan.rows.bgpPeers ?? [];
    assert.deepEqual(
      [row?.address, row?.asn, row?.port, row?.localAddress],
      ['192.0.2.250', 65_010, 1179, '192.0.2.1'],
    );
  });

  it('reads the older columns of neighbours, too', () => {
    const self = annotated({
      'kube-router.io/peer.ips': '192.0.2.250,192.0.2.251',
      'kube-router.io/peer.asns': '65010,65011',
    });
    const rows = peersOf({}, self).map((row) => `${row.address} ${row.asn}`);
    assert.deepEqual(rows, ['192.0.2.250 65010', '192.0.2.251 65011']);
  });

  it('leaves out one bad neighbour and says which, and why', () => {
    const self = annotated({
      'kube-router.io/peers': [
        '- {remoteip: 192.0.2.250, remoteasn: 65010}',
        '- {remoteip: nowhere, remoteasn: 65010}',
        '- {remoteip: 192.0.2.251, remoteasn: 65010, password: c2VjcmV0}',
      ].join('\n'),
    });
    const plan = speaker({}, self);
    assert.equal(plan.rows.bgpPeers?.length, 1);
    assert.deepEqual(
      plan.problems.map((problem) => `${problem.field}: ${problem.reason}`),
      [
        'metadata.annotations[kube-router.io/peers][1]: remoteip "nowhere" is no IP address; this entry is left out',
        'metadata.annotations[kube-router.io/peers][2]: a password in an annotation is not accepted; name a key of the Secret: passwordkey; this entry is left out',
      ],
    );
  });

  it('has neighbours only where their selector matches the node', () => {
    const peers = [peer('a', { nodeSelector: { rack: '1' } })];
    assert.equal(peersOf({ peers }).length, 0);
    assert.equal(peersOf({ peers }, { labels: { rack: '1' } }).length, 1);
  });

  it('hands down timers, multihop, TTL security, limits and add-path', () => {
    const [row] = peersOf({
      holdTimeSeconds: 30,
      peers: [
        peer('a', {
          holdTimeSeconds: 9,
          keepaliveSeconds: 2,
          connectRetrySeconds: 11,
          ttlSecurityHops: 1,
          maxPrefixes: 100,
          addPathReceive: true,
          addPathSend: 4,
          gracefulRestartSeconds: 0,
          longLivedSeconds: 600,
        }),
      ],
    });
    assert.deepEqual(
      [row?.holdTimeSeconds, row?.keepaliveSeconds, row?.connectRetrySeconds, row?.ttlMin],
      [9, 2, 11, 255],
    );
    assert.deepEqual([row?.maxPrefixes, row?.addPathReceive, row?.addPathSend], [100, true, 4]);
    assert.deepEqual([row?.gracefulRestartSeconds, row?.longLivedSeconds], [0, 600]);
  });

  it('waits for whoever calls from inside a range', () => {
    const [row] = peersOf({ peers: [peer('a', { address: '', range: prefix('192.0.2.0/24') })] });
    assert.deepEqual([row?.address, row?.passive], ['192.0.2.0/24', true]);
  });

  it('never opens a session without the password that is wanted', () => {
    const store = nodesOf(
      bgpConfig({ passwordsDir: '/secrets', peers: [peer('a', { passwordKey: 'tor' })] }),
    );
    assert.deepEqual(
      planOf(store).problems.map((problem) => problem.reason),
      ['there is no password "tor" in /secrets; there is no session without it'],
    );
    assert.equal(planOf(store).rows.bgpPeers?.length, 0);
    store.commit('passwords', [['tor', 'digest']]);
    assert.deepEqual(planOf(store).rows.bgpPeers?.[0]?.password, { key: 'tor', digest: 'digest' });
  });

  it('names a neighbour that is a node, has no address of ours, or is there twice', () => {
    const fields = fieldsOf({
      peers: [peer('node', { address: ip('192.0.2.2') }), peer('a'), peer('again')],
    });
    assert.deepEqual(fields, ['config bgp.peers[node].address', 'config bgp.peers[again]']);
  });
});

describe('the mesh of nodes', () => {
  const sessionsOf = (self: Record<string, string>, other: Record<string, string>) => {
    const store = nodesOf(config, annotated(self), [node('n2', 2, annotated(other))]);
    return nodePlanner.plan(store.facts, 'n2').rows.bgpPeers ?? [];
  };
  const asn = (value: string) => ({ 'kube-router.io/node.asn': value });
  const server = (id: string) => ({ 'kube-router.io/rr.server': id });
  const client = (id: string) => ({ 'kube-router.io/rr.client': id });

  it('has sessions between nodes of one AS', () => {
    assert.equal(sessionsOf({}, {})[0]?.asn, 64_512);
    assert.equal(sessionsOf(asn('65001'), {}).length, 0);
    assert.equal(sessionsOf(asn('65001'), asn('65001'))[0]?.asn, 65_001);
  });

  it('has sessions of a client with the reflectors of its cluster, and of nobody else', () => {
    assert.equal(sessionsOf(client('7'), server('0.0.0.7')).length, 1);
    assert.equal(sessionsOf(client('7'), server('8')).length, 0);
    assert.equal(sessionsOf(client('7'), client('7')).length, 0);
    assert.equal(sessionsOf(client('7'), {}).length, 0);
  });

  it('reflects for the clients of its cluster, and peers with plain nodes and reflectors', () => {
    assert.equal(sessionsOf(server('7'), client('7'))[0]?.reflectorClusterId, '0.0.0.7');
    assert.equal(sessionsOf(server('7'), client('8')).length, 0);
    assert.equal(sessionsOf(server('7'), {})[0]?.reflectorClusterId, undefined);
    assert.equal(sessionsOf(server('7'), server('8')).length, 1);
  });

  it('is off when it is configured so', () => {
    const store = nodesOf(bgpConfig({ nodeMesh: false }));
    assert.equal(nodePlanner.plan(store.facts, 'n2').rows.bgpPeers, undefined);
  });
});

describe('the export policy', () => {
  const peers = [peer('a')];

  it('tells nodes about our pods only, and others nothing that is not ours', () => {
    const [only, ...more] = statements('export');
    assert.deepEqual([only?.communities, only?.routeType, more], [[podsMarker], 'local', []]);
  });

  it('reflects only on a reflector', () => {
    const self = annotated({ 'kube-router.io/rr.server': '7' });
    assert.equal(statements('export', {}, self).at(-1)?.name, 'reflected');
  });

  it('tells a neighbour about Services and pods, without our marks, and nothing else', () => {
    const found = statements('export', { peers }).filter((one) => one.peers !== undefined);
    assert.deepEqual(
      found.map((one) => `${one.name}: ${one.accept}`),
      ['services to a: true', 'pods to a: true', 'nothing else to a: false'],
    );
    assert.deepEqual(found[0]?.removeCommunities, [everyMarker]);
    assert.ok(found[0]?.communities?.includes(servicesMarker));
  });

  it('concerns no other neighbour, and no node, when one comes', () => {
    const rows = [peers, [...peers, peer('b', { address: ip('192.0.2.254') })]].map(
      (list): BgpPolicyRow => ({
        direction: 'export',
        otherwise: 'reject',
        statements: statements('export', { peers: list }),
      }),
    );
    const [before, after] = rows;
    assert.ok(before !== undefined && after !== undefined);
    assert.deepEqual(concernedPeers(before, after), ['192.0.2.254']);
  });

  it('adds what the neighbour, and the Node, ask for', () => {
    const self = annotated({
      'kube-router.io/node.bgp.communities': '64512:9, no-export',
      'kube-router.io/path-prepend.as': '64512',
      'kube-router.io/path-prepend.repeat-n': '3',
    });
    const [services] = statements('export', { peers }, self);
    assert.deepEqual(services?.addCommunities, ['64512:9', '65535:65281']);
    assert.deepEqual(services?.prepend, { asn: 64_512, times: 3 });
  });

  it('asks to be avoided while the node is cordoned, and is silent when it is gone (RFC 8326)', () => {
    const [cordoned] = statements('export', { peers }, { unschedulable: true });
    assert.deepEqual(cordoned?.addCommunities, ['65535:0']);
    assert.equal(cordoned?.localPreference, 1);
    const store = nodesOf(bgpConfig({ peers }));
    store.commit('nodes', [['n1', node('n1', 1, { terminating: true })]]);
    const names = planOf(store).rows.bgpPolicies?.[0]?.statements.map((one) => one.name);
    assert.deepEqual(names, ['pods to a', 'nothing else to a', 'pods to nodes']);
    store.commit('departure', [['departure', { isOver: false }]]);
    const [first] = planOf(store).rows.bgpPolicies?.[0]?.statements ?? [];
    assert.deepEqual(first?.addCommunities, ['65535:0']);
  });
});

describe('neighbours from a range around nodes', () => {
  const lab = peer('lab', {
    address: '',
    range: prefix('192.0.2.0/24'),
    import: { ...config.bgp.import, default: 'reject' },
    advertise: { ...peer('x').advertise, podCidrs: false },
  });
  const node2 = ip('192.0.2.2');
  const store = nodesOf(bgpConfig({ peers: [lab, peer('tor')] }));
  const policy = (direction: 'import' | 'export') =>
    planOf(store).rows.bgpPolicies?.find((row) => row.direction === direction);
  const judged = (to: string, communities: readonly string[]) => {
    const row = policy('export');
    assert.ok(row);
    const path = {
      prefix: prefix('10.244.1.0/24'),
      nextHop: ip('192.0.2.1'),
      communities,
      localPreference: undefined,
      med: undefined,
      asPath: [],
      routeType: 'local' as const,
    };
    return evaluatePolicy(row, path, { address: ip(to), localAddress: ip('192.0.2.1') });
  };

  it('do not change what nodes hear', () => {
    assert.equal(judged('192.0.2.2', [podsMarker]).accept, true);
    assert.equal(judged('192.0.2.2', [servicesMarker]).accept, false);
  });

  it('do not change what nodes may tell', () => {
    const [ours, nodes] = policy('import')?.statements ?? [];
    assert.equal(ours?.accept, false);
    assert.deepEqual([nodes?.peers, nodes?.accept], [[node2], true]);
  });

  it('do not speak for a neighbour with an address of its own', () => {
    assert.equal(judged('192.0.2.253', [podsMarker]).accept, true);
    assert.equal(judged('192.0.2.99', [podsMarker]).accept, false);
    assert.equal(judged('192.0.2.99', [servicesMarker]).accept, true);
  });
});

describe('what was left out', () => {
  it('has no say in the policies', () => {
    const peers = [
      peer('node', { address: ip('192.0.2.2') }),
      peer('secret', { passwordKey: 'missing' }),
    ];
    const names = statements('export', { peers }).map((one) => one.name);
    assert.deepEqual(names, ['pods to nodes']);
  });

  it('is judged whatever an annotation holds, and never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, text) => {
        for (const peers of [
          JSON.stringify(value),
          JSON.stringify([value, { remoteip: value }]),
          text,
        ])
          speaker({}, annotated({ 'kube-router.io/peers': peers }));
      }),
    );
    speaker({}, annotated({ 'kube-router.io/peers': '[{remoteip: {toString: 1}}]' }));
  });
});

describe('an aggregate', () => {
  it('sends nothing back to where it came from', () => {
    const advertise = { ...config.bgp.advertise, aggregates: [prefix('203.0.113.0/24')] };
    assert.ok(lines(speaker({ advertise })).includes('routes: 203.0.113.0/24 reject'));
  });
});

describe('another next hop', () => {
  it('is for the paths of its own family', () => {
    const peers = [peer('a', { advertise: { ...peer('a').advertise, nextHop: 'self' } })];
    const found = statements('export', { peers }).filter((one) => one.name.startsWith('services'));
    assert.deepEqual(
      found.map((one) => [one.nextHop, one.prefixes?.[0]?.prefix]),
      [
        ['self', '0.0.0.0/0'],
        [undefined, undefined],
      ],
    );
  });
});

describe('the import policy', () => {
  const names = (bgp: Partial<BgpConfig>, self: Partial<Node> = {}) =>
    statements('import', bgp, self).map((one) => `${one.name}: ${one.accept}`);

  it('never takes what is ours', () => {
    const [ours] = statements('import');
    assert.deepEqual(ours?.accept, false);
    assert.deepEqual(
      ours?.prefixes?.map((one) => `${one.prefix} ${one.min}-${one.max}`),
      ['10.244.1.0/24 24-32', '10.96.0.0/16 16-32'],
    );
  });

  it('takes no default route, and all else, unless it is told so', () => {
    assert.deepEqual(names({ peers: [peer('a')] }), [
      'ours, IPv4: false',
      'default route from 192.0.2.253, IPv4: false',
      'default route from 192.0.2.253, IPv6: false',
      'all else from 192.0.2.253: true',
    ]);
  });

  it('filters by prefix and community, by neighbour, with a default', () => {
    const rules = {
      ...config.bgp.import,
      default: 'reject' as const,
      defaultRoute: true,
      accept: [{ prefix: prefix('10.0.0.0/8'), min: 8, max: 24 }],
      rejectCommunities: ['65535:666', '64512:1:2'],
      localPreference: 200,
    };
    const found = names({ peers: [peer('a', { import: rules })] });
    assert.deepEqual(found, [
      'ours, IPv4: false',
      'rejected communities from 192.0.2.253, standard: false',
      'rejected communities from 192.0.2.253, large: false',
      'accepted prefixes from 192.0.2.253, IPv4: true',
      'all else from 192.0.2.253: false',
    ]);
    const all = statements('import', { peers: [peer('a', { import: rules })] });
    assert.equal(all.find((one) => one.accept)?.localPreference, 200);
  });

  it('rejects what the Node says, as kube-router does', () => {
    const self = annotated({ 'kube-router.io/node.bgp.customimportreject': '172.16.0.0/12' });
    assert.ok(names({}, self).includes('rejected by the node, IPv4: false'));
  });
});
