import assert from 'node:assert/strict';
import { createInterner } from '../../src/kube/intern.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { watchedKinds } from '../../src/kube/kinds.ts';
import { projectObject } from '../../src/kube/projection.ts';
import type { ClusterNetworkPolicy, ClusterRule } from '../../src/model/facts.ts';
import { selector } from '../facts.ts';

const { objectKind, project: read } = watchedKinds.clusterPolicies;
const everywhere = { namespaces: {} };

function project(spec: JsonObject) {
  const object = { metadata: { name: 'deny', uid: 'u' }, spec };
  const found = projectObject(objectKind, 'deny', object, createInterner(), read);
  const problems = found.problems.map(({ field, reason }) => `${field}: ${reason}`);
  return { fact: found.fact, problems };
}

const policy = (given: JsonObject = {}) => ({
  tier: 'Admin',
  priority: 10,
  subject: everywhere,
  ...given,
});

function factOf(given: JsonObject): ClusterNetworkPolicy {
  const { fact, problems } = project(policy(given));
  assert.deepEqual(problems, []);
  assert.ok(fact !== undefined && fact !== 'keep');
  return fact;
}

describe('the projection of a ClusterNetworkPolicy', () => {
  it('CNP-02 keeps tier, priority, subject and rules', () => {
    assert.deepEqual(factOf({ tier: 'Baseline', priority: 0 }), {
      key: 'deny',
      uid: 'u',
      tier: 'Baseline',
      priority: 0,
      subject: { namespace: selector(), pods: selector() },
      ingress: [],
      egress: [],
    });
    const pods = {
      namespaceSelector: { matchLabels: { team: 'a' } },
      podSelector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
    };
    assert.deepEqual(factOf({ subject: { pods } }).subject, {
      namespace: selector({ team: 'a' }),
      pods: selector({}, [{ key: 'app', operator: 'Exists', values: [] }]),
    });
  });

  it('CNP-05 CNP-06 reads peers and ports of every form', () => {
    const to = [
      { namespaces: { matchLabels: { team: 'a' } } },
      { pods: { podSelector: { matchLabels: { app: 'x' } } } },
      { networks: ['10.0.0.5/8', '::/0'] },
      { nodes: {} },
    ];
    const protocols = [
      { tcp: { destinationPort: { number: 80 } } },
      { udp: { destinationPort: { range: { start: 5000, end: 6000 } } } },
      { sctp: { destinationPort: { number: 9 } } },
    ];
    const named = {
      action: 'Pass',
      to: to.slice(0, 2),
      protocols: [{ destinationNamedPort: 'web' }],
    };
    const { egress } = factOf({
      egress: [{ name: 'out', action: 'Accept', to, protocols }, named],
    });
    const peers = [
      { pods: { namespace: selector({ team: 'a' }), pods: selector() } },
      { pods: { namespace: selector(), pods: selector({ app: 'x' }) } },
      { networks: ['10.0.0.0/8', '::/0'] },
      { nodes: selector() },
    ];
    assert.deepEqual(egress, [
      {
        name: 'out',
        action: 'Accept',
        peers,
        ports: [
          { protocol: 'TCP', port: 80 },
          { protocol: 'UDP', port: 5000, endPort: 6000 },
          { protocol: 'SCTP', port: 9 },
        ],
      },
      { name: '', action: 'Pass', peers: peers.slice(0, 2), ports: [{ port: 'web' }] },
    ]);
  });

  it('CNP-06 without protocols a rule is about all of them', () => {
    const { ingress } = factOf({ ingress: [{ action: 'Deny', from: [everywhere] }] });
    const peers = [{ pods: { namespace: selector(), pods: selector() } }];
    assert.deepEqual(ingress, [{ name: '', action: 'Deny', peers, ports: [] }]);
  });

  const port = (number: number) => ({ tcp: { destinationPort: { number } } });
  const unread: readonly {
    readonly name: string;
    readonly side: 'ingress' | 'egress';
    readonly rule: JsonObject;
    readonly told: string;
  }[] = [
    {
      name: 'a peer without a field',
      side: 'ingress',
      rule: { from: [everywhere, {}] },
      told: 'spec.ingress[0].from[1]: {} names not one kind of peer',
    },
    {
      name: 'a peer with two fields',
      side: 'egress',
      rule: { to: [{ namespaces: {}, nodes: {} }] },
      told: 'spec.egress[0].to[0]: {"namespaces":{},"nodes":{}} names not one kind of peer',
    },
    {
      name: 'domain names',
      side: 'egress',
      rule: { to: [everywhere, { domainNames: ['example.org'] }] },
      told: 'spec.egress[0].to[1].domainNames: is no peer that is known here',
    },
    {
      name: 'a peer that only egress has',
      side: 'ingress',
      rule: { from: [{ networks: ['10.0.0.0/8'] }] },
      told: 'spec.ingress[0].from[0].networks: is no peer that is known here',
    },
    {
      name: 'a network that is none',
      side: 'egress',
      rule: { to: [{ networks: ['10.0.0.0/8', '10.0.0.0'] }] },
      told: 'spec.egress[0].to[0].networks[1]: "10.0.0.0" is no prefix',
    },
    {
      name: 'no networks',
      side: 'egress',
      rule: { to: [{ networks: [] }] },
      told: 'spec.egress[0].to[0].networks: names no prefix',
    },
    {
      name: 'an unknown operator',
      side: 'ingress',
      rule: { from: [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }] },
      told: 'spec.ingress[0].from[0].namespaces.matchExpressions[0]: {"key":"a","operator":"Like"} cannot be read',
    },
    {
      name: 'pods without a selector',
      side: 'ingress',
      rule: { from: [{ pods: { namespaceSelector: {} } }] },
      told: 'spec.ingress[0].from[0].pods: {"namespaceSelector":{}} selects nothing that can be read',
    },
    {
      name: 'no peers',
      side: 'ingress',
      rule: { from: [] },
      told: 'spec.ingress[0].from: names nobody',
    },
    {
      name: 'a protocol without a field',
      side: 'ingress',
      rule: { from: [everywhere], protocols: [port(80), {}] },
      told: 'spec.ingress[0].protocols[1]: {} is no port',
    },
    {
      name: 'an unknown protocol',
      side: 'ingress',
      rule: { from: [everywhere], protocols: [{ icmp: {} }] },
      told: 'spec.ingress[0].protocols[0].icmp: {"icmp":{}} is no port',
    },
    {
      name: 'a protocol without a port that is known',
      side: 'ingress',
      rule: { from: [everywhere], protocols: [{ tcp: { sourcePort: 1 } }] },
      told: 'spec.ingress[0].protocols[0].tcp: {"tcp":{"sourcePort":1}} is no port',
    },
    {
      name: 'a number that is no port',
      side: 'ingress',
      rule: { from: [everywhere], protocols: [port(70_000)] },
      told: 'spec.ingress[0].protocols[0].tcp: {"tcp":{"destinationPort":{"number":70000}}} is no port',
    },
    {
      name: 'a range that runs backwards',
      side: 'ingress',
      rule: {
        from: [everywhere],
        protocols: [{ udp: { destinationPort: { range: { start: 90, end: 80 } } } }],
      },
      told: 'spec.ingress[0].protocols[0].udp: {"udp":{"destinationPort":{"range":{"start":90,"end":80}}}} is no port',
    },
    {
      name: 'protocols that are no list',
      side: 'ingress',
      rule: { from: [everywhere], protocols: { tcp: {} } },
      told: 'spec.ingress[0].protocols: {"tcp":{}} is no list',
    },
    {
      name: "a port's name of networks",
      side: 'egress',
      rule: { to: [{ networks: ['::/0'] }], protocols: [{ destinationNamedPort: 'web' }] },
      told: 'spec.egress[0].protocols: names of ports are known of pods alone',
    },
  ];
  const after: ClusterRule = {
    name: 'after',
    action: 'Accept',
    peers: [{ pods: { namespace: selector(), pods: selector() } }],
    ports: [],
  };
  const effects = [
    { action: 'Accept', effect: 'accepts nothing', left: [after] },
    {
      action: 'Deny',
      effect: 'denies everything',
      left: [{ name: 'bad', action: 'Deny', peers: [], ports: [] }, after],
    },
    {
      action: 'Pass',
      effect: 'denies everything',
      left: [{ name: 'bad', action: 'Deny', peers: [], ports: [] }, after],
    },
  ];
  for (const { action, effect, left } of effects)
    for (const { name, side, rule, told } of unread)
      it(`CNP-07 with ${name}, ${action} ${effect}`, () => {
        const rest = {
          name: 'after',
          action: 'Accept',
          [side === 'ingress' ? 'from' : 'to']: [everywhere],
        };
        const rules = [{ name: 'bad', action, ...rule }, rest];
        const { fact, problems } = project(policy({ [side]: rules }));
        assert.deepEqual(typeof fact === 'object' && fact[side], left);
        assert.deepEqual(problems, [`${told}; the rule ${effect}`]);
      });

  const broken: readonly { readonly spec: JsonObject; readonly told: string }[] = [
    { spec: { tier: 'Top' }, told: 'spec.tier: "Top" is neither Admin nor Baseline' },
    { spec: { priority: 1001 }, told: 'spec.priority: 1001 is no number from 0 to 1000' },
    { spec: { priority: -1 }, told: 'spec.priority: -1 is no number from 0 to 1000' },
    { spec: { priority: '5' }, told: 'spec.priority: "5" is no number from 0 to 1000' },
    { spec: { subject: {} }, told: 'spec.subject: {} names neither namespaces nor pods' },
    {
      spec: { subject: { nodes: {} } },
      told: 'spec.subject: {"nodes":{}} names neither namespaces nor pods',
    },
    {
      spec: { subject: { namespaces: 'x' } },
      told: 'spec.subject.namespaces: "x" selects nothing that can be read',
    },
    {
      spec: { egress: [{ action: 'Allow', to: [everywhere] }] },
      told: 'spec.egress[0].action: "Allow" is neither Accept, Deny nor Pass',
    },
  ];
  for (const { spec, told } of broken)
    it(`CNP-02 stays as it was: ${told}`, () => {
      assert.deepEqual(project(policy(spec)), {
        fact: 'keep',
        problems: [`${told}; the policy stays as it was`],
      });
    });
});
