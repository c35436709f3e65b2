import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { pod } from '../facts.ts';
import { clusterPolicy, clusterRule, policy, rule, selector } from './objects.ts';
import { directionVerdict, verdict } from './reference.ts';
import {
  type Case,
  cli,
  cli6,
  db,
  db6,
  job,
  otherNode,
  outside,
  ownNode,
  parsePacket,
  testCases,
  web,
  web6,
  world,
} from './reference-world.ts';

const webOnly = selector({ app: 'web' });
const denyIn = policy('a/deny', { podSelector: webOnly, ingress: [] });
const fromBlock = (cidr: string, ...except: string[]) =>
  policy('a/block', {
    podSelector: webOnly,
    ingress: [rule([{ ipBlock: { cidr, except } }])],
  });
const fromPods = (matchLabels: Record<string, string>) =>
  rule([{ podSelector: selector(matchLabels) }]);

const forms: readonly Case[] = [
  {
    name: 'no policy: everybody may',
    given: {},
    packets: [`${cli} > ${web} TCP 80: allow`, `${outside} > ${web} 47 0: allow`],
  },
  {
    name: 'NP-01 an empty podSelector is every pod of the namespace, and of no other',
    given: { policies: [policy('a/all', { ingress: [] })], nodeName: 'n2' },
    packets: [`${outside} > ${db} TCP 80: allow`],
  },
  {
    name: 'NP-01 an empty podSelector is every pod of the namespace',
    given: { policies: [policy('a/all', { ingress: [] })] },
    packets: [`${outside} > ${web} TCP 80: deny`, `${outside} > ${cli} TCP 80: deny`],
  },
  ...(
    [
      ['In', selector({}, ['app', 'In', 'web', 'x']), 'deny', 'allow'],
      ['NotIn', selector({}, ['app', 'NotIn', 'cli']), 'deny', 'allow'],
      ['Exists', selector({}, ['old', 'Exists']), 'allow', 'deny'],
      ['DoesNotExist, of the absent key', selector({}, ['old', 'DoesNotExist']), 'deny', 'allow'],
      ['NotIn, of the absent key', selector({}, ['old', 'NotIn', '']), 'deny', 'allow'],
      ['In, of the absent key', selector({}, ['old', 'In', 'x']), 'allow', 'allow'],
      ['NotIn, of a key nobody has', selector({}, ['new', 'NotIn', 'x']), 'deny', 'deny'],
      ['both parts', selector({ app: 'web' }, ['old', 'Exists']), 'allow', 'allow'],
    ] as const
  ).map(([name, podSelector, ofWeb, ofCli]) => ({
    name: `NP-01 a subject by ${name}`,
    given: { policies: [policy('a/some', { podSelector, ingress: [] })] },
    packets: [`${outside} > ${web} TCP 80: ${ofWeb}`, `${outside} > ${cli} TCP 80: ${ofCli}`],
  })),
  {
    name: 'NP-03 isolated in one direction only',
    given: { policies: [policy('a/in', { podSelector: webOnly, ingress: [] })] },
    packets: [`${cli} > ${web} TCP 80: deny`, `${web} > ${cli} TCP 80: allow`],
  },
  {
    name: 'NP-03 rules without their type say nothing',
    given: {
      policies: [
        policy('a/in', { podSelector: webOnly, ingress: [rule()], policyTypes: ['Egress'] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: allow`, `${web} > ${cli} TCP 80: deny`],
  },
  {
    name: 'NP-03 what any policy allows is allowed',
    given: {
      policies: [
        denyIn,
        policy('a/more', { podSelector: webOnly, ingress: [fromPods({ app: 'cli' })] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: allow`, `${db} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-03 both directions must let a packet of two pods of the node pass',
    given: {
      policies: [
        policy('a/in', { podSelector: webOnly, ingress: [rule()] }),
        policy('a/out', { podSelector: selector({ app: 'cli' }), egress: [] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: deny`, `${db} > ${web} TCP 80: allow`],
  },
  {
    name: 'NP-04 an empty rule allows everything, and every protocol',
    given: { policies: [policy('a/all', { ingress: [rule()] })] },
    packets: [`${outside} > ${web} TCP 80: allow`, `${outside} > ${web} ICMP 0: allow`],
  },
  {
    name: 'NP-04 no peers are all peers; ports count nevertheless',
    given: { policies: [policy('a/p', { ingress: [rule([], [{ protocol: 'TCP', port: 80 }])] })] },
    packets: [`${outside} > ${web} TCP 80: allow`, `${outside} > ${web} TCP 81: deny`],
  },
  {
    name: 'NP-04 no ports are all ports; peers count nevertheless',
    given: { policies: [policy('a/p', { ingress: [fromPods({ app: 'cli' })] })] },
    packets: [`${cli} > ${web} SCTP 9: allow`, `${outside} > ${web} SCTP 9: deny`],
  },
  {
    name: 'NP-05 podSelector alone is of the own namespace',
    given: { policies: [policy('a/p', { podSelector: webOnly, ingress: [fromPods({})] })] },
    packets: [`${cli} > ${web} TCP 80: allow`, `${db} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-05 namespaceSelector alone is every pod there',
    given: {
      policies: [
        policy('a/p', { ingress: [rule([{ namespaceSelector: selector({ team: 'y' }) }])] }),
      ],
    },
    packets: [
      `${db} > ${web} TCP 80: allow`,
      `${cli} > ${web} TCP 80: deny`,
      `${outside} > ${web} TCP 80: deny`,
    ],
  },
  {
    name: 'NP-05 both in one item are both; in two items either',
    given: {
      policies: [
        policy('a/and', {
          podSelector: webOnly,
          ingress: [
            rule([
              { namespaceSelector: selector({ team: 'y' }), podSelector: selector({ app: 'cli' }) },
            ]),
          ],
        }),
        policy('a/or', {
          podSelector: selector({ app: 'cli' }),
          ingress: [
            rule([
              { namespaceSelector: selector({ team: 'y' }) },
              { podSelector: selector({ app: 'web' }) },
            ]),
          ],
        }),
      ],
    },
    packets: [
      `${db} > ${web} TCP 80: deny`,
      `${cli} > ${web} TCP 80: deny`,
      `${db} > ${cli} TCP 80: allow`,
      `${web} > ${cli} TCP 80: allow`,
    ],
  },
  {
    name: 'NP-05 an empty namespaceSelector is every namespace, and nobody from outside',
    given: { policies: [policy('a/p', { ingress: [rule([{ namespaceSelector: selector() }])] })] },
    packets: [
      `${db} > ${web} TCP 80: allow`,
      `${cli} > ${web} TCP 80: allow`,
      `${outside} > ${web} TCP 80: deny`,
    ],
  },
  {
    name: 'NP-06 a namespace by its name',
    given: {
      policies: [
        policy('a/p', {
          ingress: [
            rule([{ namespaceSelector: selector({ 'kubernetes.io/metadata.name': 'b' }) }]),
          ],
        }),
      ],
    },
    packets: [`${db} > ${web} TCP 80: allow`, `${cli} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-06 a namespace that is not known has no labels',
    given: {
      namespaces: [],
      policies: [
        policy('a/p', {
          podSelector: webOnly,
          ingress: [rule([{ namespaceSelector: selector({ team: 'x' }) }])],
        }),
        policy('a/q', {
          podSelector: selector({ app: 'cli' }),
          ingress: [rule([{ namespaceSelector: selector({}, ['team', 'DoesNotExist']) }])],
        }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: deny`, `${web} > ${cli} TCP 80: allow`],
  },
  {
    name: 'audit mode is as good as no policy',
    given: { policies: [policy('a/p', { ingress: [], mode: 'audit' })] },
    packets: [`${db} > ${web} TCP 80: allow`],
  },
];

const addresses: readonly Case[] = [
  {
    name: 'NP-07 a block with an exception, and their edges',
    given: { policies: [fromBlock('198.51.100.0/24', '198.51.100.8/30')] },
    packets: [
      `198.51.99.255 > ${web} TCP 80: deny`,
      `198.51.100.0 > ${web} TCP 80: allow`,
      `198.51.100.7 > ${web} TCP 80: allow`,
      `198.51.100.8 > ${web} TCP 80: deny`,
      `198.51.100.11 > ${web} TCP 80: deny`,
      `198.51.100.12 > ${web} TCP 80: allow`,
      `198.51.100.255 > ${web} TCP 80: allow`,
      `198.51.101.0 > ${web} TCP 80: deny`,
    ],
  },
  {
    name: 'NP-07 exceptions inside of one another, and next to one another',
    given: {
      policies: [fromBlock('0.0.0.0/0', '198.51.0.0/16', '198.51.100.0/24', '198.52.0.0/16')],
    },
    packets: [
      `198.50.255.255 > ${web} TCP 80: allow`,
      `198.51.0.0 > ${web} TCP 80: deny`,
      `198.51.100.7 > ${web} TCP 80: deny`,
      `198.52.255.255 > ${web} TCP 80: deny`,
      `198.53.0.0 > ${web} TCP 80: allow`,
    ],
  },
  {
    name: 'NP-07 what one block excepts, another may allow',
    given: {
      policies: [
        fromBlock('198.51.100.0/24', '198.51.100.7/32'),
        { ...fromBlock('198.51.100.7/32'), key: 'a/more' },
      ],
    },
    packets: [`198.51.100.7 > ${web} TCP 80: allow`],
  },
  {
    name: 'NP-07 bits behind the length say nothing',
    given: { policies: [fromBlock('198.51.100.77/24', '198.51.100.9/30')] },
    packets: [`198.51.100.1 > ${web} TCP 80: allow`, `198.51.100.10 > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-07 addresses of pods are in blocks, too',
    given: { policies: [fromBlock('10.244.2.0/24')] },
    packets: [`${db} > ${web} TCP 80: allow`, `${cli} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-08 ::/0 is everything of IPv6, and nothing of IPv4',
    given: { policies: [fromBlock('::/0')] },
    packets: [
      `::5 > ${web6} TCP 80: allow`,
      `4000::1 > ${web6} TCP 80: allow`,
      `fe80::1 > ${web6} TCP 80: allow`,
      `ffff:: > ${web6} TCP 80: allow`,
      `${cli} > ${web} TCP 80: deny`,
    ],
  },
  {
    name: 'NP-08 0.0.0.0/0 is nothing of IPv6',
    given: { policies: [fromBlock('0.0.0.0/0')] },
    packets: [`${cli6} > ${web6} TCP 80: deny`, `${cli} > ${web} TCP 80: allow`],
  },
  {
    name: 'NP-15 the own node reaches its pods by any address; others and the way back do not',
    given: { policies: [policy('a/none', { ingress: [], egress: [] })] },
    packets: [
      `${ownNode} > ${web} TCP 80: allow`,
      `2001:db8::1 > ${web6} ICMP 0: allow`,
      `${otherNode} > ${web} TCP 80: deny`,
      `${web} > ${ownNode} TCP 10250: deny`,
    ],
  },
  {
    name: 'NP-15 the own node comes before tier Admin',
    given: { clusterPolicies: [clusterPolicy('deny', { ingress: [clusterRule('Deny')] })] },
    packets: [`${ownNode} > ${web} TCP 80: allow`, `${otherNode} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-16 a pod of the host is no peer and no subject',
    given: {
      policies: [
        policy('a/p', { ingress: [rule([{ namespaceSelector: selector() }])] }),
        policy('b/p', { ingress: [], egress: [] }),
      ],
    },
    packets: [`${otherNode} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-16 a pod of the host is no subject',
    given: {
      policies: [policy('b/p', { ingress: [], egress: [] })],
      clusterPolicies: [clusterPolicy('deny', { ingress: [clusterRule('Deny')] })],
      nodeName: 'n2',
    },
    packets: [`${outside} > ${otherNode} TCP 80: allow`, `${otherNode} > ${db} TCP 80: allow`],
  },
  {
    name: 'NP-17 a pod reaches itself, in both directions and by both families',
    given: { policies: [policy('a/none', { ingress: [], egress: [] })] },
    packets: [
      `${web} > ${web} TCP 80: allow`,
      `${web6} > ${web6} UDP 53: allow`,
      `${web} > ${cli} TCP 80: deny`,
    ],
  },
  {
    name: 'NP-18 a pod that ended is no peer',
    given: { policies: [policy('a/p', { ingress: [rule([{ namespaceSelector: selector() }])] })] },
    packets: [`${job} > ${web} TCP 80: deny`],
  },
  {
    name: 'NP-18 its address belongs to the pod that has it now',
    given: {
      pods: [
        ...world.pods,
        pod('a/ended', { ips: [ip(cli)], labels: { app: 'ended' }, phase: 'Failed' }),
        pod('a/ended2', { ips: [ip(web)], labels: { app: 'done' }, phase: 'Succeeded' }),
      ],
      policies: [
        policy('a/p', { podSelector: webOnly, ingress: [fromPods({ app: 'ended' })] }),
        policy('a/q', { podSelector: selector({ app: 'done' }), egress: [] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: deny`, `${web} > ${cli} TCP 80: allow`],
  },
  {
    name: 'NP-20 selectors select all addresses of a pod',
    given: {
      policies: [policy('a/p', { podSelector: webOnly, ingress: [fromPods({ app: 'cli' })] })],
    },
    packets: [
      `${cli} > ${web} TCP 80: allow`,
      `${cli6} > ${web6} TCP 80: allow`,
      `${db6} > ${web6} TCP 80: deny`,
    ],
  },
];

const ports: readonly Case[] = [
  {
    name: 'NP-09 a number is of its protocol; without a number all are',
    given: {
      policies: [
        policy('a/p', {
          ingress: [rule([], [{ protocol: 'TCP', port: 80 }, { protocol: 'UDP' }])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 79: deny`,
      `${cli} > ${web} TCP 80: allow`,
      `${cli} > ${web} TCP 81: deny`,
      `${cli} > ${web} UDP 0: allow`,
      `${cli} > ${web} UDP 65535: allow`,
      `${cli} > ${web} SCTP 80: deny`,
    ],
  },
  {
    name: 'NP-10 a range includes its ends',
    given: {
      policies: [
        policy('a/p', { ingress: [rule([], [{ protocol: 'SCTP', port: 100, endPort: 200 }])] }),
      ],
    },
    packets: [
      `${cli} > ${web} SCTP 99: deny`,
      `${cli} > ${web} SCTP 100: allow`,
      `${cli} > ${web} SCTP 200: allow`,
      `${cli} > ${web} SCTP 201: deny`,
      `${cli} > ${web} TCP 150: deny`,
    ],
  },
  {
    name: 'NP-11 a name is a port of the destination, of the same protocol',
    given: {
      policies: [
        policy('a/p', {
          ingress: [
            rule(
              [],
              [
                { protocol: 'TCP', port: 'http' },
                { protocol: 'UDP', port: 'dns' },
              ],
            ),
          ],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 8080: allow`,
      `${cli} > ${web} UDP 8080: deny`,
      `${cli} > ${web} UDP 5353: allow`,
      `${cli} > ${web} TCP 53: deny`,
      `${web} > ${cli} TCP 8080: deny`,
    ],
  },
  ...(
    [
      ['nobody named', []],
      ['a peer by its namespace', [{ namespaceSelector: selector({ team: 'y' }) }]],
      ['a peer by its address', [{ ipBlock: { cidr: '10.244.2.0/24', except: [] } }]],
    ] as const
  ).map(([name, peers]) => ({
    name: `NP-11 of egress, a name is a port of each destination: ${name}`,
    given: {
      policies: [
        policy('a/p', {
          podSelector: selector({ app: 'cli' }),
          egress: [rule(peers, [{ protocol: 'TCP' as const, port: 'http' }])],
        }),
      ],
    },
    packets: [
      `${cli} > ${db} TCP 9090: allow`,
      `${cli} > ${db} TCP 8080: deny`,
      `${cli} > ${web} TCP 8080: ${peers.length === 0 ? 'allow' : 'deny'}`,
      `${cli} > ${web} TCP 9090: deny`,
      `${cli} > ${outside} TCP 9090: deny`,
      `${cli} > ${otherNode} TCP 9090: deny`,
    ],
  })),
  {
    name: 'NP-21 ICMP passes by a rule for all ports only',
    given: {
      policies: [
        policy('a/p', {
          ingress: [
            rule([], [{ protocol: 'TCP' }, { protocol: 'UDP' }, { protocol: 'SCTP' }]),
            fromPods({ app: 'cli' }),
          ],
        }),
      ],
    },
    packets: [
      `${outside} > ${web} TCP 80: allow`,
      `${outside} > ${web} ICMP 0: deny`,
      `${cli} > ${web} ICMP 0: allow`,
      `${cli6} > ${web6} ICMP 0: allow`,
      `${db6} > ${web6} ICMP 0: deny`,
    ],
  },
  {
    name: 'NP-23 other protocols pass by a rule for all ports only',
    given: {
      policies: [
        policy('a/p', { ingress: [rule([], [{ protocol: 'TCP' }]), fromPods({ app: 'cli' })] }),
      ],
    },
    packets: [`${outside} > ${web} 47 0: deny`, `${cli} > ${web} 50 0: allow`],
  },
];

describe('the reference of policies: NetworkPolicies', () => {
  testCases([...forms, ...addresses, ...ports]);

  it('NP-03 each direction by itself, of pods of any node', () => {
    const cluster = { ...world, policies: [policy('b/in', { ingress: [] })] };
    const [, cliPod, dbPod] = cluster.pods;
    assert.ok(cliPod && dbPod);
    const { packet } = parsePacket(`${cli} > ${db} TCP 80: deny`);
    assert.equal(verdict(cluster, packet), 'allow', 'another node says no');
    assert.equal(directionVerdict(cluster, dbPod, 'Ingress', packet), 'deny');
    assert.equal(directionVerdict(cluster, dbPod, 'Egress', packet), 'allow');
    assert.equal(directionVerdict(cluster, cliPod, 'Egress', packet), 'allow');
    const probe = { ...packet, from: ip(otherNode) };
    assert.equal(directionVerdict(cluster, dbPod, 'Ingress', probe), 'allow', "the pod's node");
  });

  it('NP-15 an address of the node opens nothing for what a pod sends', () => {
    const cluster = { ...world, policies: [policy('a/out', { egress: [] })] };
    const [webPod] = cluster.pods;
    assert.ok(webPod);
    const { packet } = parsePacket(`${ownNode} > ${db} TCP 80: deny`);
    assert.equal(directionVerdict(cluster, webPod, 'Egress', packet), 'deny');
  });

  for (const [rule, key] of [
    ['NP-16', 'b/host'],
    ['NP-18', 'b/job'],
  ] as const)
    it(`${rule} ${key} is no subject`, () => {
      const cluster = { ...world, policies: [policy('b/none', { ingress: [], egress: [] })] };
      const pod = cluster.pods.find((one) => one.key === key);
      assert.ok(pod);
      const { packet } = parsePacket(`${outside} > ${pod.ips[0]} TCP 80: allow`);
      assert.equal(directionVerdict(cluster, pod, 'Ingress', packet), 'allow');
      assert.equal(directionVerdict(cluster, pod, 'Egress', packet), 'allow');
    });
});
