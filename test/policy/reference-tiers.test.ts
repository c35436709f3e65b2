import { ip, prefix } from '../../src/core/ip.ts';
import { pod } from '../facts.ts';
import { clusterPolicy, clusterRule, pods, policy, rule, selector } from './objects.ts';
import {
  type Case,
  cli,
  cli6,
  db,
  db6,
  named,
  otherNode,
  outside,
  ownNode,
  testCases,
  web,
  web6,
  world,
} from './reference-world.ts';

const webOnly = selector({ app: 'web' });
const fromY = { pods: pods(selector({ team: 'y' })) };
const fromX = { pods: pods(selector({ team: 'x' })) };
const allowX = policy('a/x', { ingress: [rule([{ namespaceSelector: selector({ team: 'x' }) }])] });
const tiers: readonly Case[] = [
  {
    name: 'NP-19 CNP-05 an interface says whose an address is, then a status',
    given: {
      pods: world.pods.map((pod) => (pod.key === 'a/cli' ? { ...pod, ips: [ip(web)] } : pod)),
      attachments: [
        { pod: 'a/web', podUid: 'uid-a/web', ips: [ip(web)] },
        { pod: 'a/cli', podUid: 'uid-a/cli', ips: [ip(cli)] },
        { pod: 'b/db', podUid: 'another', ips: [ip(db)] },
      ],
      clusterPolicies: [
        clusterPolicy('a', {
          subject: pods('a', webOnly),
          ingress: [clusterRule('Deny', [{ pods: pods('a', selector({ app: 'cli' })) }, fromY])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: deny`,
      `${web} > ${web} TCP 80: allow`,
      `${web} > ${cli} TCP 80: allow`,
      `${db} > ${web} TCP 80: allow`,
      `${cli6} > ${web6} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-04 the first rule that matches decides',
    given: {
      clusterPolicies: [
        clusterPolicy('one', {
          ingress: [clusterRule('Accept', [fromX]), clusterRule('Deny', [fromX, fromY])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: allow`,
      `${db} > ${web} TCP 80: deny`,
      `${outside} > ${web} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-04 a lower priority goes first, whatever the name',
    given: {
      clusterPolicies: [
        clusterPolicy('a', { priority: 1000, ingress: [clusterRule('Accept', [fromX])] }),
        clusterPolicy('b', { priority: 9, ingress: [clusterRule('Deny', [fromX])] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: deny`],
  },
  {
    name: 'CNP-04 of one priority, by name',
    given: {
      clusterPolicies: [
        clusterPolicy('b', { ingress: [clusterRule('Deny', [fromX])] }),
        clusterPolicy('a', { ingress: [clusterRule('Accept', [fromX])] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: allow`],
  },
  {
    name: 'CNP-04 tier Admin goes before tier Baseline, whatever the priority',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          tier: 'Baseline',
          priority: 0,
          ingress: [clusterRule('Deny', [fromX])],
        }),
        clusterPolicy('b', { priority: 1000, ingress: [clusterRule('Accept', [fromX])] }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: allow`],
  },
  {
    name: 'CNP-04 Admin decides over NetworkPolicies, in both ways',
    given: {
      policies: [allowX],
      clusterPolicies: [
        clusterPolicy('a', {
          ingress: [clusterRule('Deny', [fromX]), clusterRule('Accept', [fromY])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: deny`,
      `${db} > ${web} TCP 80: allow`,
      `${outside} > ${web} TCP 80: deny`,
    ],
  },
  {
    name: 'CNP-04 NetworkPolicies decide over Baseline, in both ways, where they select',
    given: {
      policies: [{ ...allowX, podSelector: webOnly }],
      clusterPolicies: [
        clusterPolicy('base', {
          tier: 'Baseline',
          ingress: [clusterRule('Accept', [fromY]), clusterRule('Deny', [fromX])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: allow`,
      `${db} > ${web} TCP 80: deny`,
      `${web} > ${cli} TCP 80: deny`,
      `${db} > ${cli} TCP 80: allow`,
      `${outside} > ${cli} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-04 where NetworkPolicies isolate for egress only, Baseline decides of ingress',
    given: {
      policies: [policy('a/out', { egress: [] })],
      clusterPolicies: [
        clusterPolicy('base', { tier: 'Baseline', ingress: [clusterRule('Deny', [fromY])] }),
      ],
    },
    packets: [`${db} > ${web} TCP 80: deny`, `${outside} > ${web} TCP 80: allow`],
  },
  {
    name: 'CNP-03 leaves the tier: later rules and policies of it say nothing',
    given: {
      policies: [{ ...allowX, podSelector: webOnly }],
      clusterPolicies: [
        clusterPolicy('a', {
          priority: 1,
          ingress: [clusterRule('Pass', [fromX, fromY]), clusterRule('Deny', [fromX])],
        }),
        clusterPolicy('b', { priority: 2, ingress: [clusterRule('Accept', [fromY])] }),
        clusterPolicy('c', { tier: 'Baseline', ingress: [clusterRule('Deny', [fromX])] }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: allow`,
      `${db} > ${web} TCP 80: deny`,
      `${web} > ${cli} TCP 80: deny`,
      `${db} > ${cli} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-03 of Baseline is the default: allowed',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          tier: 'Baseline',
          ingress: [clusterRule('Pass', [fromX]), clusterRule('Deny', [fromX, fromY])],
        }),
      ],
    },
    packets: [`${cli} > ${web} TCP 80: allow`, `${db} > ${web} TCP 80: deny`],
  },
  {
    name: 'CNP-02 by namespace and by pod; others are not concerned',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          subject: pods(selector({ team: 'x' }), webOnly),
          ingress: [clusterRule('Deny', [fromY])],
        }),
        clusterPolicy('b', {
          subject: pods('b'),
          ingress: [clusterRule('Deny', [fromX])],
        }),
      ],
    },
    packets: [
      `${db} > ${web} TCP 80: deny`,
      `${db} > ${cli} TCP 80: allow`,
      `${cli} > ${web} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-07 a rule for everybody is for everybody and everything',
    given: {
      policies: [allowX],
      clusterPolicies: [clusterPolicy('a', { ingress: [clusterRule('Deny')] })],
    },
    packets: [
      `${cli} > ${web} TCP 80: deny`,
      `${outside} > ${web} ICMP 0: deny`,
      `${db6} > ${web6} 47 0: deny`,
      `${web} > ${db} TCP 80: allow`,
    ],
  },
  {
    name: 'CNP-05 of egress; pods are in them, too',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          egress: [
            clusterRule('Accept', [{ networks: [prefix('10.244.2.0/25')] }]),
            clusterRule('Deny', [{ networks: [prefix('10.244.0.0/16'), prefix('::/0')] }]),
          ],
        }),
      ],
    },
    packets: [
      `${cli} > ${db} ICMP 0: allow`,
      `${cli} > 10.244.2.128 TCP 80: deny`,
      `${cli} > ${outside} TCP 80: allow`,
      `${cli6} > 4000::1 TCP 80: deny`,
      `${cli6} > ${db6} ICMP 0: deny`,
    ],
  },
  {
    name: 'CNP-05 are the internal addresses of nodes with the labels',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          egress: [clusterRule('Deny', [{ nodes: selector({ zone: 'y' }) }])],
        }),
      ],
    },
    packets: [
      `${cli} > ${otherNode} TCP 22: deny`,
      `${cli} > ${ownNode} TCP 22: allow`,
      `${cli} > ${db} TCP 22: allow`,
    ],
  },
  {
    name: 'CNP-05 a pod of the host is its node, and no pod',
    given: {
      clusterPolicies: [clusterPolicy('a', { egress: [clusterRule('Deny', [{ pods: pods() }])] })],
    },
    packets: [`${cli} > ${otherNode} TCP 22: allow`, `${cli} > ${db} TCP 22: deny`],
  },
  {
    name: 'CNP-06 numbers, ranges and whole protocols',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          ingress: [
            clusterRule(
              'Deny',
              [fromX],
              [
                { protocol: 'TCP', port: 80 },
                { protocol: 'UDP', port: 100, endPort: 200 },
                { protocol: 'SCTP' },
              ],
            ),
          ],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 80: deny`,
      `${cli} > ${web} TCP 81: allow`,
      `${cli} > ${web} UDP 200: deny`,
      `${cli} > ${web} UDP 201: allow`,
      `${cli} > ${web} SCTP 0: deny`,
      `${cli} > ${web} ICMP 0: allow`,
    ],
  },
  {
    name: 'CNP-06 a name is of every protocol that has it, of the destination',
    given: {
      clusterPolicies: [
        clusterPolicy('a', {
          ingress: [clusterRule('Deny', [fromX], [{ port: 'dns' }])],
          egress: [clusterRule('Deny', [fromY], [{ port: 'http' }])],
        }),
      ],
    },
    packets: [
      `${cli} > ${web} TCP 53: deny`,
      `${cli} > ${web} UDP 5353: deny`,
      `${cli} > ${web} UDP 53: allow`,
      `${cli} > ${web} SCTP 53: allow`,
      `${cli} > ${db} TCP 9090: deny`,
      `${cli} > ${db} TCP 8080: allow`,
      `${cli} > ${db} UDP 9090: allow`,
    ],
  },
  {
    name: 'NP-11 NP-18 of two pods with one address, a name is that of the one that is meant',
    given: {
      pods: [
        ...world.pods,
        pod('a/old', { node: 'n2', ips: [ip(db)], ports: [named('http', 'TCP', 7070)] }),
      ],
      clusterPolicies: [
        clusterPolicy('a', { egress: [clusterRule('Deny', [fromY], [{ port: 'http' }])] }),
      ],
    },
    packets: [`${cli} > ${db} TCP 9090: deny`, `${cli} > ${db} TCP 7070: allow`],
  },
  {
    name: 'CNP-09 a pod that reaches itself is subject; NetworkPolicies do not mind',
    given: {
      policies: [policy('a/none', { ingress: [], egress: [] })],
      clusterPolicies: [
        clusterPolicy('a', {
          ingress: [clusterRule('Deny', [fromX], [{ protocol: 'TCP', port: 80 }])],
        }),
        clusterPolicy('b', { tier: 'Baseline', ingress: [clusterRule('Deny')] }),
      ],
    },
    packets: [`${web} > ${web} TCP 80: deny`, `${web} > ${web} TCP 81: allow`],
  },
  {
    name: 'CNP-09 of a pod that no NetworkPolicy isolates, Baseline decides',
    given: {
      clusterPolicies: [
        clusterPolicy('b', { tier: 'Baseline', ingress: [clusterRule('Deny', [fromX])] }),
      ],
    },
    packets: [`${web} > ${web} TCP 81: deny`],
  },
];

describe('the reference of policies: ClusterNetworkPolicies', () => {
  testCases(tiers);
});
