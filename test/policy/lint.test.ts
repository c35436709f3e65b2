import assert from 'node:assert/strict';
import type { FindingKind, PolicyFinding } from '../../src/core/control-policy-lint.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import type {
  ClusterNetworkPolicy,
  ClusterRule,
  LabelSelector,
  Labels,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyRule,
} from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { lintPolicies } from '../../src/policy/lint.ts';
import { comparedMax } from '../../src/policy/lint-order.ts';
import { config, node, pod } from '../facts.ts';

const all: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const labelled = (matchLabels: Labels): LabelSelector => ({ matchLabels, matchExpressions: [] });

let nextAddress = 1;
function podOf(key: string, labels: Labels, given: Partial<Pod> = {}): Pod {
  return pod(key, { labels, ips: [ip(`10.244.0.${nextAddress++ % 250}`)], ...given });
}

function policy(name: string, given: Partial<NetworkPolicy> = {}): NetworkPolicy {
  return {
    key: `shop/${name}`,
    uid: `uid-${name}`,
    namespace: 'shop',
    podSelector: all,
    policyTypes: ['Ingress'],
    ingress: [],
    egress: [],
    mode: 'enforce',
    ...given,
  };
}

function cluster(name: string, given: Partial<ClusterNetworkPolicy> = {}): ClusterNetworkPolicy {
  return {
    key: name,
    uid: `uid-${name}`,
    tier: 'Admin',
    priority: 10,
    subject: { namespace: all, pods: all },
    ingress: [],
    egress: [],
    ...given,
  };
}

const rule = (given: Partial<PolicyRule> = {}): PolicyRule => ({ peers: [], ports: [], ...given });
const from = (...peers: readonly PolicyPeer[]) => rule({ peers });
const clusterRule = (given: Partial<ClusterRule> = {}): ClusterRule => ({
  name: '',
  action: 'Accept',
  peers: [{ pods: { namespace: all, pods: all } }],
  ports: [],
  ...given,
});

const dns = {
  protocol: 'UDP',
  containerPort: 53,
  name: 'dns',
  hostPort: 0,
  hostIp: '',
} as const;
const http = {
  protocol: 'TCP',
  containerPort: 8080,
  name: 'http',
  hostPort: 0,
  hostIp: '',
} as const;

/** shop has web and db, monitor has agents, kube-system has dns and what runs on the host. */
const pods: readonly Pod[] = [
  podOf('shop/web-1', { app: 'web' }, { ports: [http] }),
  podOf('shop/db-1', { app: 'db' }),
  podOf('monitor/agent-1', { app: 'agent' }),
  podOf('kube-system/dns-1', { app: 'dns' }, { ports: [dns] }),
  podOf('kube-system/host-1', { app: 'host' }, { hostNetwork: true }),
  podOf('shop/job-1', { app: 'job' }, { phase: 'Succeeded' }),
];

type Policies = readonly (NetworkPolicy | ClusterNetworkPolicy)[];

function factsOf(policies: Policies) {
  const store = createStore();
  store.commit('pods', [...pods.map((one) => [one.key, one] as const)]);
  for (const [name, labels] of [
    ['shop', { team: 'a' }],
    ['monitor', { team: 'b' }],
    ['kube-system', {}],
    ['empty', {}],
  ] as const) {
    const fact = { key: name, labels: { ...labels, 'kubernetes.io/metadata.name': name } };
    store.commit('namespaces', [[name, fact]]);
  }
  store.commit('nodes', [['n1', node('n1', 1, { podCidrs: [prefix('10.245.1.0/24')] })]]);
  store.commit('config', [['config', config]]);
  for (const one of policies)
    if ('tier' in one) store.commit('clusterPolicies', [[one.key, one]]);
    else store.commit('policies', [[one.key, one]]);
  return store.facts;
}

/** `severity finding field`, for what a case is about. */
function told(policies: Policies, finding?: FindingKind): string[] {
  return lintPolicies(factsOf(policies))
    .filter((one) => finding === undefined || one.finding === finding)
    .map((one) => `${one.severity} ${one.finding} ${one.object.split('/').pop()} ${one.field}`);
}

function only(policies: Policies, finding: FindingKind): PolicyFinding {
  const found = lintPolicies(factsOf(policies)).filter((one) => one.finding === finding);
  const [first] = found;
  assert.ok(first !== undefined && found.length === 1, JSON.stringify(found));
  return first;
}

const agents = { podSelector: labelled({ app: 'agent' }) };
const inMonitor = { namespaceSelector: labelled({ team: 'b' }) };
const oneBlock = (cidr: string, ...except: string[]) => from({ ipBlock: { cidr, except } });
const egress = (given: Partial<NetworkPolicy>): Partial<NetworkPolicy> => ({
  policyTypes: ['Egress'],
  ...given,
});
const letDns = policy(
  'dns',
  egress({ egress: [rule({ ports: [{ protocol: 'UDP', port: 53 }] })] }),
);

interface Case {
  readonly name: string;
  readonly in: Policies;
  readonly finding: FindingKind;
  readonly out: readonly string[];
}

function run(cases: readonly Case[]): void {
  for (const one of cases) it(one.name, () => assert.deepEqual(told(one.in, one.finding), one.out));
}

describe('mistakes in peers of policies', () => {
  const items: readonly Case[] = [
    {
      name: 'NP-05 finds the dash before podSelector that makes two peers of one',
      in: [policy('p', { ingress: [from(inMonitor, agents)] })],
      finding: 'items-not-one',
      out: ['error items-not-one p spec.ingress[0].from[0]'],
    },
    {
      name: 'NP-05 finds it in the other order, and in egress',
      in: [policy('p', egress({ egress: [from(agents, inMonitor)] }))],
      finding: 'items-not-one',
      out: ['error items-not-one p spec.egress[0].to[0]'],
    },
    {
      name: 'NP-05 finds it where the first item has the pods of the second already',
      in: [
        policy('p', {
          ingress: [from({ namespaceSelector: all }, { podSelector: labelled({ app: 'web' }) })],
        }),
      ],
      finding: 'items-not-one',
      out: ['error items-not-one p spec.ingress[0].from[0]'],
    },
    {
      name: 'NP-05 two items stay two items where each selects pods of its own',
      in: [policy('p', { ingress: [from(inMonitor, { podSelector: labelled({ app: 'web' }) })] })],
      finding: 'items-not-one',
      out: [],
    },
    {
      name: 'NP-05 says nothing of one item with both selectors',
      in: [policy('p', { ingress: [from({ ...inMonitor, ...agents })] })],
      finding: 'items-not-one',
      out: [],
    },
    {
      name: 'NP-05 finds the missing dash that makes one peer of two',
      in: [
        policy('p', {
          ingress: [from({ ...inMonitor, podSelector: labelled({ app: 'web' }) })],
        }),
      ],
      finding: 'one-not-items',
      out: ['warning one-not-items p spec.ingress[0].from[0]'],
    },
    {
      name: 'NP-05 one item with both stays one item where there are such pods, or two would be nobody',
      in: [
        policy('p', { ingress: [from({ ...inMonitor, ...agents })] }),
        policy('q', { ingress: [from({ ...inMonitor, podSelector: labelled({ app: 'none' }) })] }),
        policy('r', {
          ingress: [
            from({
              namespaceSelector: labelled({ 'kubernetes.io/metadata.name': 'empty' }),
              podSelector: labelled({ app: 'web' }),
            }),
          ],
        }),
      ],
      finding: 'one-not-items',
      out: [],
    },
  ];
  run(items);

  it('NP-05 says which is written and which is meant', () => {
    const found = only([policy('p', { ingress: [from(inMonitor, agents)] })], 'items-not-one');
    assert.equal(
      found.written,
      'two items, each a peer of its own: every pod of namespaces with team=b, and pods with app=agent of namespace shop, of which there is none',
    );
    assert.equal(
      found.meant,
      'one item with both selectors (no dash before the second): pods with app=agent of namespaces with team=b (1 now)',
    );
  });

  const nothing: readonly Case[] = [
    {
      name: 'NP-01 finds a policy for no pod',
      in: [policy('p', { podSelector: labelled({ app: 'wbe' }) })],
      finding: 'selects-nothing',
      out: ['warning selects-nothing p spec.podSelector'],
    },
    {
      name: 'NP-16 NP-18 pods of the host and pods that ended count as none',
      in: [
        policy('ended', { podSelector: labelled({ app: 'job' }) }),
        cluster('host', { subject: { namespace: all, pods: labelled({ app: 'host' }) } }),
      ],
      finding: 'selects-nothing',
      out: [
        'warning selects-nothing host spec.subject',
        'warning selects-nothing ended spec.podSelector',
      ],
    },
    {
      name: 'NP-01 says nothing of a policy with pods, nor of one for all pods of an empty namespace',
      in: [
        policy('p', { podSelector: labelled({ app: 'web' }) }),
        { ...policy('q'), key: 'empty/q', namespace: 'empty' },
      ],
      finding: 'selects-nothing',
      out: [],
    },
    {
      name: 'NP-05 finds a peer that is no pod',
      in: [policy('p', { ingress: [from(agents)] })],
      finding: 'selects-nothing',
      out: ['warning selects-nothing p spec.ingress[0].from[0].podSelector'],
    },
    {
      name: 'NP-05 says nothing of peers that are pods, or every pod of a namespace',
      in: [
        policy('p', {
          ingress: [
            from({ podSelector: labelled({ app: 'web' }) }),
            from({ namespaceSelector: labelled({ 'kubernetes.io/metadata.name': 'empty' }) }),
          ],
        }),
      ],
      finding: 'selects-nothing',
      out: [],
    },
    {
      name: 'NP-06 finds labels that no namespace has',
      in: [policy('p', { ingress: [from({ namespaceSelector: labelled({ team: 'z' }) })] })],
      finding: 'selects-nothing',
      out: ['warning selects-nothing p spec.ingress[0].from[0].namespaceSelector'],
    },
    {
      name: 'NP-06 finds the name of a namespace under another label',
      in: [
        policy('p', { ingress: [from({ namespaceSelector: labelled({ name: 'monitor' }) })] }),
        cluster('c', { subject: { namespace: labelled({ name: 'shop' }), pods: all } }),
        cluster('d', {
          priority: 11,
          ingress: [
            clusterRule({
              peers: [{ pods: { namespace: labelled({ name: 'shop' }), pods: all } }],
            }),
          ],
        }),
      ],
      finding: 'namespace-label',
      out: [
        'error namespace-label c spec.subject.namespaces',
        'error namespace-label d spec.ingress[0].from[0].namespaces',
        'error namespace-label p spec.ingress[0].from[0].namespaceSelector',
      ],
    },
    {
      name: 'NP-06 says nothing of the label that every namespace has, nor of labels that some have',
      in: [
        policy('p', {
          ingress: [
            from({ namespaceSelector: labelled({ 'kubernetes.io/metadata.name': 'monitor' }) }),
            from(inMonitor),
          ],
        }),
      ],
      finding: 'namespace-label',
      out: [],
    },
  ];
  run(nothing);

  it('NP-05 says where the pods are that a peer looks for in its own namespace', () => {
    const found = only([policy('p', { ingress: [from(agents)] })], 'selects-nothing');
    assert.equal(found.meant, 'a namespaceSelector: there are such pods in monitor');
  });

  const blocks: readonly Case[] = [
    {
      name: 'NP-12 finds addresses of Services, which never match',
      in: [
        policy('p', egress({ egress: [oneBlock('10.96.0.10/32')] })),
        cluster('c', {
          egress: [clusterRule({ peers: [{ networks: [prefix('10.96.0.0/16')] }] })],
        }),
      ],
      finding: 'service-address',
      out: [
        'error service-address c spec.egress[0].to[0].networks[0]',
        'error service-address p spec.egress[0].to[0].ipBlock',
      ],
    },
    {
      name: 'NP-12 finds a block around the prefix of Services',
      in: [policy('p', egress({ egress: [oneBlock('10.96.0.0/12')] }))],
      finding: 'service-address',
      out: ['warning service-address p spec.egress[0].to[0].ipBlock'],
    },
    {
      name: 'NP-12 says nothing of everything, of other addresses, and of what is excepted',
      in: [
        policy('p', egress({ egress: [oneBlock('0.0.0.0/0', '10.244.0.0/16'), oneBlock('::/0')] })),
        policy('q', egress({ egress: [oneBlock('192.0.2.0/24')] })),
        policy('r', egress({ egress: [oneBlock('10.96.0.0/12', '10.96.0.0/16')] })),
      ],
      finding: 'service-address',
      out: [],
    },
    {
      name: 'NP-07 finds addresses of pods, of the cluster and of its nodes',
      in: [policy('p', { ingress: [oneBlock('10.244.3.7/32'), oneBlock('10.245.1.0/25')] })],
      finding: 'pod-address',
      out: [
        'warning pod-address p spec.ingress[0].from[0].ipBlock',
        'warning pod-address p spec.ingress[1].from[0].ipBlock',
      ],
    },
    {
      name: 'NP-07 a block with all pods in it is worth knowing',
      in: [policy('p', egress({ egress: [oneBlock('0.0.0.0/0')] }))],
      finding: 'pod-address',
      out: ['info pod-address p spec.egress[0].to[0].ipBlock'],
    },
    {
      name: 'NP-07 says nothing of a block that excepts pods, nor of one without them',
      in: [
        policy('p', {
          ingress: [oneBlock('0.0.0.0/0', '10.244.0.0/15'), oneBlock('198.51.100.0/24')],
        }),
      ],
      finding: 'pod-address',
      out: [],
    },
    {
      name: 'NP-07 finds exceptions that are outside, and exceptions that leave nothing',
      in: [
        policy('p', {
          ingress: [
            oneBlock('192.0.2.0/24', '198.51.100.0/25'),
            oneBlock('192.0.2.0/24', '192.0.2.0/24'),
          ],
        }),
      ],
      finding: 'except',
      out: [
        'error except p spec.ingress[0].from[0].ipBlock.except[0]',
        'error except p spec.ingress[1].from[0].ipBlock.except[0]',
      ],
    },
    {
      name: 'NP-07 says nothing of an exception inside, also with host bits set',
      in: [policy('p', { ingress: [oneBlock('192.0.2.9/24', '192.0.2.130/25')] })],
      finding: 'except',
      out: [],
    },
  ];
  run(blocks);
});

describe('mistakes in ports of policies', () => {
  const named = (port: string, protocol: 'TCP' | 'UDP' = 'TCP') =>
    rule({ ports: [{ protocol, port }] });
  const toDns = { namespaceSelector: labelled({ 'kubernetes.io/metadata.name': 'kube-system' }) };
  run([
    {
      name: 'NP-11 finds a name that no selected pod has, in both directions',
      in: [
        policy('p', { ingress: [named('htp')] }),
        policy('q', egress({ egress: [{ ...named('web'), peers: [toDns] }] })),
      ],
      finding: 'named-port',
      out: [
        'error named-port p spec.ingress[0].ports[0].port',
        'error named-port q spec.egress[0].ports[0].port',
      ],
    },
    {
      name: 'NP-11 one pod with the name is enough; without pods nobody knows',
      in: [
        policy('p', { ingress: [named('http')] }),
        policy('q', { podSelector: labelled({ app: 'none' }), ingress: [named('http')] }),
        policy('r', egress({ egress: [named('dns', 'UDP')] })),
      ],
      finding: 'named-port',
      out: [],
    },
    {
      name: 'NP-09 finds TCP, which is the default, where the container has UDP',
      in: [
        policy(
          'p',
          egress({ egress: [rule({ peers: [toDns], ports: [{ protocol: 'TCP', port: 53 }] })] }),
        ),
        policy(
          'q',
          egress({ egress: [rule({ peers: [toDns], ports: [{ protocol: 'TCP', port: 'dns' }] })] }),
        ),
      ],
      finding: 'protocol',
      out: [
        'warning protocol p spec.egress[0].ports[0]',
        'warning protocol q spec.egress[0].ports[0]',
      ],
    },
    {
      name: 'NP-09 says nothing of the right protocol, nor of ports that no container names',
      in: [
        policy('p', {
          ingress: [
            rule({
              ports: [
                { protocol: 'TCP', port: 8080 },
                { protocol: 'TCP', port: 9999 },
                { protocol: 'UDP' },
                { protocol: 'UDP', port: 8000, endPort: 9000 },
              ],
            }),
          ],
        }),
      ],
      finding: 'protocol',
      out: [],
    },
    {
      name: 'NP-03 finds pods that may send, but not ask for names',
      in: [
        policy('p', egress({ egress: [rule({ ports: [{ protocol: 'TCP', port: 443 }] })] })),
        policy('q', {
          ...egress({ egress: [rule({ ports: [{ protocol: 'TCP', port: 53 }] })] }),
          podSelector: labelled({ app: 'db' }),
        }),
      ],
      finding: 'no-dns',
      out: ['warning no-dns p spec.egress', 'warning no-dns q spec.egress'],
    },
    {
      name: 'NP-03 a policy that lets nothing out may mean it',
      in: [policy('p', egress({}))],
      finding: 'no-dns',
      out: ['info no-dns p spec.egress'],
    },
    {
      name: 'NP-03 another policy of the same pods, every port, a name or a range let names be asked for',
      in: [
        policy('p', egress({ egress: [rule({ ports: [{ protocol: 'TCP', port: 443 }] })] })),
        letDns,
      ],
      finding: 'no-dns',
      out: [],
    },
    {
      name: 'NP-04 NP-10 NP-11 so do every port, a range, and a name of port 53',
      in: [
        policy('a', { ...egress({ egress: [rule()] }), podSelector: labelled({ app: 'web' }) }),
        policy('b', {
          ...egress({ egress: [rule({ ports: [{ protocol: 'UDP', port: 1, endPort: 99 }] })] }),
          podSelector: labelled({ app: 'db' }),
        }),
        policy('c', {
          ...egress({ egress: [named('dns', 'UDP')] }),
          podSelector: labelled({ app: 'later' }),
        }),
      ],
      finding: 'no-dns',
      out: [],
    },
    {
      name: 'NP-03 a policy of other pods, one that only audits, and one for ingress do not',
      in: [
        policy('p', egress({ egress: [rule({ ports: [{ protocol: 'TCP', port: 443 }] })] })),
        { ...letDns, key: 'shop/db', podSelector: labelled({ app: 'db' }) },
        { ...letDns, key: 'shop/audit', mode: 'audit' },
        { ...letDns, key: 'shop/in', policyTypes: ['Ingress'] },
      ],
      finding: 'no-dns',
      out: ['warning no-dns p spec.egress'],
    },
    {
      name: 'CNP-03 an Admin rule that accepts port 53 lets names be asked for, a Baseline rule does not',
      in: [
        policy('p', { ...egress({}), podSelector: labelled({ app: 'web' }) }),
        policy('q', { ...egress({}), podSelector: labelled({ app: 'db' }) }),
        cluster('admin', {
          subject: { namespace: labelled({ team: 'a' }), pods: labelled({ app: 'web' }) },
          egress: [clusterRule({ ports: [{ protocol: 'UDP', port: 53 }] })],
        }),
        cluster('baseline', { tier: 'Baseline', egress: [clusterRule()] }),
      ],
      finding: 'no-dns',
      out: ['info no-dns q spec.egress'],
    },
  ]);

  it('NP-09 names the protocol that the container has', () => {
    const { written, meant } = only(
      [
        policy(
          'p',
          egress({ egress: [rule({ peers: [toDns], ports: [{ protocol: 'TCP', port: 53 }] })] }),
        ),
      ],
      'protocol',
    );
    assert.equal(
      written,
      'TCP port 53 (TCP is what an absent protocol means): the containers have it for UDP only',
    );
    assert.equal(meant, 'protocol: UDP');
  });
});

describe('contradictions in policies', () => {
  run([
    {
      name: 'NP-02 finds rules that policyTypes switch off',
      in: [
        policy('p', { policyTypes: ['Ingress'], egress: [rule()] }),
        policy('q', { policyTypes: ['Egress'], ingress: [rule()], egress: [rule()] }),
      ],
      finding: 'policy-types',
      out: ['error policy-types p spec.policyTypes', 'error policy-types q spec.policyTypes'],
    },
    {
      name: 'NP-02 says nothing of a type without rules',
      in: [policy('p', { policyTypes: ['Ingress', 'Egress'], egress: [rule()] })],
      finding: 'policy-types',
      out: [],
    },
    {
      name: 'NP-24 finds audit mode left on',
      in: [policy('p', { mode: 'audit' }), policy('q')],
      finding: 'audit',
      out: ['warning audit p metadata.annotations["kube-vpp-router.io/policy-mode"]'],
    },
  ]);
});

describe('superfluous rules of policies', () => {
  const web = labelled({ app: 'web' });
  const ports = (...numbers: number[]) =>
    numbers.map((port) => ({ protocol: 'TCP' as const, port }));
  run([
    {
      name: 'NP-03 finds a rule inside another of its policy',
      in: [
        policy('p', {
          ingress: [
            rule({ peers: [{ ipBlock: { cidr: '192.0.2.0/25', except: [] } }], ports: ports(80) }),
            rule({
              peers: [{ ipBlock: { cidr: '192.0.2.0/24', except: [] } }],
              ports: ports(80, 443),
            }),
          ],
        }),
      ],
      finding: 'adds-nothing',
      out: ['info adds-nothing p spec.ingress[0]'],
    },
    {
      name: 'NP-03 of two rules that say the same only the second is superfluous',
      in: [
        policy('a', { ingress: [from(inMonitor)] }),
        policy('b', { ingress: [from(inMonitor)] }),
      ],
      finding: 'adds-nothing',
      out: ['info adds-nothing b spec.ingress[0]'],
    },
    {
      name: 'NP-03 finds a rule inside that of a policy for more pods, by namespace and labels',
      in: [
        policy('narrow', {
          podSelector: web,
          ingress: [from({ ...inMonitor, ...agents })],
        }),
        policy('wide', {
          podSelector: {
            matchLabels: {},
            matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'db'] }],
          },
          ingress: [
            from({
              namespaceSelector: all,
              podSelector: {
                matchLabels: {},
                matchExpressions: [{ key: 'app', operator: 'Exists', values: [] }],
              },
            }),
          ],
        }),
      ],
      finding: 'adds-nothing',
      out: ['info adds-nothing narrow spec.ingress[0]'],
    },
    {
      name: 'NP-03 rules of other pods, ports, protocols, directions, modes and peers add something',
      in: [
        policy('a', { podSelector: web, ingress: [rule({ ports: ports(80) })] }),
        policy('b', { podSelector: labelled({ app: 'db' }), ingress: [rule()] }),
        policy('c', { podSelector: web, ingress: [rule({ ports: [{ protocol: 'UDP' }] })] }),
        policy('d', { podSelector: web, mode: 'audit', ingress: [rule()] }),
        policy('e', { podSelector: web, ...egress({ egress: [rule()] }) }),
        policy('f', { podSelector: web, ingress: [from(inMonitor)] }),
        policy('g', { podSelector: web, policyTypes: ['Egress'], ingress: [rule()] }),
      ],
      finding: 'adds-nothing',
      out: [],
    },
    {
      name: 'NP-07 an exception of the wider block leaves something to add, unless it is excepted too',
      in: [
        policy('p', {
          ingress: [
            oneBlock('192.0.2.0/24', '192.0.2.0/28'),
            oneBlock('192.0.2.0/25'),
            oneBlock('192.0.2.0/26', '192.0.2.0/27'),
            oneBlock('192.0.2.128/25'),
          ],
        }),
      ],
      finding: 'adds-nothing',
      out: ['info adds-nothing p spec.ingress[2]', 'info adds-nothing p spec.ingress[3]'],
    },
    {
      name: 'NP-10 NP-11 a range has its numbers, every port has every name, a range has none',
      in: [
        policy('p', {
          ingress: [
            rule({ peers: [inMonitor], ports: [{ protocol: 'TCP', port: 80, endPort: 90 }] }),
            rule({ peers: [inMonitor], ports: [{ protocol: 'TCP', port: 85, endPort: 90 }] }),
            rule({ peers: [inMonitor], ports: [{ protocol: 'TCP', port: 85, endPort: 91 }] }),
            rule({ peers: [inMonitor], ports: [{ protocol: 'TCP', port: 'http' }] }),
            rule({ peers: [inMonitor], ports: [{ protocol: 'UDP' }] }),
            rule({ peers: [inMonitor], ports: [{ protocol: 'UDP', port: 'dns' }] }),
          ],
        }),
      ],
      finding: 'adds-nothing',
      out: ['info adds-nothing p spec.ingress[1]', 'info adds-nothing p spec.ingress[5]'],
    },
  ]);

  it('NP-03 compares as many rules as it says, and tells when there are more', () => {
    const rules = (count: number) =>
      Array.from({ length: count }, (_, i) => oneBlock(`192.0.${i >> 8}.${i & 255}/32`));
    assert.deepEqual(told([policy('p', { ingress: rules(comparedMax) })], 'not-compared'), []);
    assert.deepEqual(told([policy('p', { ingress: rules(comparedMax + 1) })], 'not-compared'), [
      'info not-compared p spec.ingress',
    ]);
  });
});

describe('order of ClusterNetworkPolicies', () => {
  const team = (name: string) => ({ namespace: labelled({ team: name }), pods: all });
  const peers = (name: string) => [{ pods: team(name) }];
  run([
    {
      name: 'CNP-04 finds a rule that an earlier one of its policy hides',
      in: [
        cluster('c', {
          ingress: [
            clusterRule({ action: 'Pass' }),
            clusterRule({ action: 'Deny', peers: peers('b') }),
            clusterRule({ action: 'Pass', peers: peers('a') }),
          ],
        }),
      ],
      finding: 'hidden',
      out: ['warning hidden c spec.ingress[1]', 'info hidden c spec.ingress[2]'],
    },
    {
      name: 'CNP-04 finds a rule that a policy of a smaller priority hides, by number and not by name',
      in: [
        cluster('a', {
          priority: 200,
          ingress: [clusterRule({ action: 'Deny', peers: peers('b') })],
        }),
        cluster('b', { priority: 30, ingress: [clusterRule({ action: 'Accept' })] }),
      ],
      finding: 'hidden',
      out: ['warning hidden a spec.ingress[0]'],
    },
    {
      name: 'CNP-04 what tier Admin decides hides Baseline, what it passes does not',
      in: [
        cluster('admin', {
          ingress: [
            clusterRule({ action: 'Accept', peers: peers('a') }),
            clusterRule({ action: 'Pass', peers: peers('b') }),
          ],
        }),
        cluster('base', {
          tier: 'Baseline',
          priority: 0,
          ingress: [
            clusterRule({ action: 'Deny', peers: peers('a') }),
            clusterRule({ action: 'Deny', peers: peers('b') }),
          ],
        }),
      ],
      finding: 'hidden',
      out: ['warning hidden base spec.ingress[0]'],
    },
    {
      name: 'CNP-04 rules for other pods, peers, ports and directions, and later ones, hide nothing',
      in: [
        cluster('a', {
          priority: 1,
          subject: team('b'),
          ingress: [clusterRule({ action: 'Deny' })],
          egress: [clusterRule({ action: 'Deny' })],
        }),
        cluster('b', {
          priority: 2,
          subject: team('a'),
          ingress: [
            clusterRule({ peers: peers('a'), ports: [{ protocol: 'TCP', port: 80 }] }),
            clusterRule({ peers: peers('a'), ports: [{ protocol: 'TCP', port: 81 }] }),
            clusterRule({ peers: peers('b'), ports: [{ protocol: 'TCP', port: 81 }] }),
            clusterRule({ action: 'Deny' }),
          ],
        }),
      ],
      finding: 'hidden',
      out: [],
    },
    {
      name: 'CNP-02 of two with one priority neither surely hides the other',
      in: [
        cluster('a', { ingress: [clusterRule({ action: 'Deny' })] }),
        cluster('b', { ingress: [clusterRule({ action: 'Deny' })] }),
      ],
      finding: 'hidden',
      out: [],
    },
    {
      name: 'CNP-04 finds two of one tier and priority that have a pod in common',
      in: [
        cluster('a', { ingress: [clusterRule()] }),
        cluster('b', { subject: team('a'), ingress: [clusterRule({ action: 'Deny' })] }),
      ],
      finding: 'same-priority',
      out: ['warning same-priority b spec.priority'],
    },
    {
      name: 'CNP-04 pods that may come are worth knowing',
      in: [
        cluster('a', {
          subject: { namespace: all, pods: labelled({ x: '1' }) },
          ingress: [clusterRule()],
        }),
        cluster('b', {
          subject: { namespace: all, pods: labelled({ y: '1' }) },
          ingress: [clusterRule()],
        }),
      ],
      finding: 'same-priority',
      out: ['info same-priority b spec.priority'],
    },
    {
      name: 'CNP-04 says nothing of other pods, tiers, numbers and directions',
      in: [
        cluster('a', { subject: team('a'), ingress: [clusterRule()] }),
        cluster('b', { subject: team('b'), ingress: [clusterRule()] }),
        cluster('c', { tier: 'Baseline', ingress: [clusterRule({ peers: peers('z') })] }),
        cluster('d', { priority: 11, ingress: [clusterRule()] }),
        cluster('e', { egress: [clusterRule()] }),
      ],
      finding: 'same-priority',
      out: [],
    },
  ]);
});

describe('all mistakes together', () => {
  it('NP-01 finds nothing in policies that are as they should be', () => {
    const good = [
      policy('web', {
        podSelector: labelled({ app: 'web' }),
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          rule({
            peers: [{ ...inMonitor, ...agents }],
            ports: [{ protocol: 'TCP', port: 'http' }],
          }),
          oneBlock('198.51.100.0/24', '198.51.100.7/32'),
        ],
        egress: [rule({ peers: [{ podSelector: labelled({ app: 'db' }) }] })],
      }),
      letDns,
      cluster('admin', {
        ingress: [
          clusterRule({
            action: 'Deny',
            peers: [{ pods: { namespace: labelled({ team: 'b' }), pods: all } }],
          }),
        ],
      }),
    ];
    assert.deepEqual(told(good), []);
  });

  it('NP-01 errors come first, then warnings; the same every time', () => {
    const policies = [
      policy('b', { mode: 'audit', ingress: [oneBlock('10.0.0.0/8')] }),
      policy('a', { mode: 'audit', policyTypes: ['Egress'], ingress: [rule()], egress: [rule()] }),
    ];
    const first = told(policies);
    assert.deepEqual(first, [
      'error policy-types a spec.policyTypes',
      'warning audit a metadata.annotations["kube-vpp-router.io/policy-mode"]',
      'warning audit b metadata.annotations["kube-vpp-router.io/policy-mode"]',
      'info pod-address b spec.ingress[0].from[0].ipBlock',
    ]);
    assert.deepEqual(told([...policies].reverse()), first);
  });

  it('NP-01 tells of the wanted policies only, and looks at all', () => {
    const facts = factsOf([
      policy('a', { ingress: [from(inMonitor)] }),
      policy('b', { mode: 'audit' }),
      policy('c', { ingress: [from(inMonitor)] }),
    ]);
    const found = lintPolicies(facts, new Set(['NetworkPolicy/shop/c']));
    assert.deepEqual(
      found.map((one) => `${one.finding} ${one.written}`),
      [
        'adds-nothing NetworkPolicy/shop/a spec.ingress[0] allows all that this rule allows, and to the same pods',
      ],
    );
  });
});
