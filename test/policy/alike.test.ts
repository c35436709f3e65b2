import assert from 'node:assert/strict';
import { ip, ipFromBigInt, ipToBigInt } from '../../src/core/ip.ts';
import type { FilterRow } from '../../src/desired/rows.ts';
import type { PolicyRule } from '../../src/model/facts.ts';
import { pod } from '../facts.ts';
import { frameOf } from './interpreter.ts';
import { namespace, policy, rule, selector } from './objects.ts';
import { localPods, outcomeOf, planCluster } from './planned.ts';
import { type Cluster, directionVerdict } from './reference.ts';

const server = '10.244.2.9';
const tcp = (port: number) => ({ protocol: 'TCP' as const, port });
const tcpWeb = { protocol: 'TCP' as const, port: 'web' };
const udpWeb = { protocol: 'UDP' as const, port: 'web' };
const anyPod = [{ podSelector: selector() }];
/** Nothing is left of it. */
const hollow = [
  { ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.0.0/17', '10.244.128.0/17'] } },
];

/** Two rules of egress that are easily taken for one another. */
const alike: readonly { readonly name: string; readonly pair: readonly PolicyRule[] }[] = [
  { name: 'nobody, and everybody', pair: [rule(hollow, [tcpWeb]), rule([], [tcpWeb])] },
  { name: 'a name of two protocols', pair: [rule([], [tcpWeb]), rule([], [udpWeb])] },
  { name: 'the same of pods', pair: [rule(anyPod, [tcpWeb]), rule(anyPod, [udpWeb])] },
  {
    name: 'a name beside a number',
    pair: [rule(anyPod, [tcp(82)]), rule(anyPod, [tcp(82), tcpWeb])],
  },
  {
    name: 'numbers with one between them, and neighbours',
    pair: [rule([], [tcp(80), tcp(82)]), rule([], [tcp(80), tcp(81)])],
  },
  {
    name: "a name that is nobody's",
    pair: [rule(anyPod, [tcpWeb]), rule(anyPod, [{ protocol: 'TCP', port: 'wep' }])],
  },
  {
    name: 'a name of all addresses, and of pods',
    pair: [
      rule([{ ipBlock: { cidr: '0.0.0.0/0', except: [] } }], [tcpWeb]),
      rule(anyPod, [{ protocol: 'TCP' }]),
    ],
  },
];

/** Two pods here, each with one of the rules, and a server elsewhere. */
function clusterOfTwo(rules: readonly PolicyRule[]): Cluster {
  const containerPort = { name: 'web', hostPort: 0, hostIp: '' };
  const ports = [
    { ...containerPort, protocol: 'TCP' as const, containerPort: 80 },
    { ...containerPort, protocol: 'UDP' as const, containerPort: 81 },
  ];
  return {
    pods: [
      pod('a/p0', { ips: [ip('10.244.1.3')], labels: { app: '0' } }),
      pod('a/p1', { ips: [ip('10.244.1.4')], labels: { app: '1' } }),
      pod('a/p2', { node: 'n2', ips: [ip(server)], ports }),
    ],
    namespaces: [namespace('a')],
    policies: rules.map((one, i) =>
      policy(`a/np${i}`, { podSelector: selector({ app: `${i}` }), egress: [one] }),
    ),
    ...{ clusterPolicies: [], nodes: [], nodeName: 'n1' },
  };
}

describe('the law of policies, where chance seldom leads', () => {
  for (const { name, pair } of alike)
    it(`NP-11 of rules that are alike each means its own: ${name}`, () => {
      for (const rules of [pair, pair.toReversed()]) {
        const one = clusterOfTwo(rules);
        const desired = planCluster(one);
        for (const sender of localPods(one))
          for (const protocol of ['TCP', 'UDP'] as const)
            for (const port of [80, 81, 82]) {
              const packet = { from: sender.ips[0] ?? ip('::'), to: ip(server), protocol, port };
              const outcome = outcomeOf(desired, sender, 'Egress', frameOf(packet));
              const verdict = directionVerdict(one, sender, 'Egress', packet);
              const text = `${sender.key} ${protocol} ${port}, ${JSON.stringify(rules)}`;
              assert.equal(outcome === 'deny' ? 'deny' : 'allow', verdict, text);
            }
      }
    });

  it('NP-07 a block of more parts than a filter has rules', () => {
    const except = Array.from({ length: 24 }, (_, i) => `10.${i * 9}.${i}.77/32`);
    const policies = [
      policy('a/holes', { ingress: [rule([{ ipBlock: { cidr: '0.0.0.0/0', except } }])] }),
    ];
    const sender = pod('a/p0', { ips: [ip('10.244.1.3')] });
    const one: Cluster = {
      ...{ pods: [sender], namespaces: [namespace('a')], policies },
      ...{ clusterPolicies: [], nodes: [], nodeName: 'n1' },
    };
    const desired = planCluster(one);
    const rules = [...desired.keys('filters')].map(
      (key) => (desired.row('filters', key) as FilterRow).rules.length,
    );
    assert.ok(rules.filter((count) => count > 100).length > 1, 'one filter takes it all');
    // One address in each part: a hole's with one of its bits turned.
    for (const hole of except)
      for (let bit = 0n; bit < 32n; bit++) {
        const from = ipFromBigInt(ipToBigInt(ip(hole.split('/')[0] ?? '')) ^ (1n << bit), 4);
        const packet = { from, to: ip('10.244.1.3'), protocol: 'TCP' as const, port: 80 };
        const outcome = outcomeOf(desired, sender, 'Ingress', packet);
        const verdict = directionVerdict(one, sender, 'Ingress', packet);
        assert.equal(outcome === 'deny' ? 'deny' : 'allow', verdict, from);
      }
  });
});
