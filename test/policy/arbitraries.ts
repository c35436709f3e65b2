import fc from 'fast-check';
import { familyOf, ip, prefix } from '../../src/core/ip.ts';
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPort,
  ClusterRule,
  ContainerPort,
  LabelSelector,
  Labels,
  NetworkPolicy,
  Pod,
  PodSelector,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from '../../src/model/facts.ts';
import { node, pod } from '../facts.ts';
import { pods as everyone, namespace, policy, rule } from './objects.ts';
import type { Cluster } from './reference.ts';

/**
 * Small clusters whose parts meet one another: two labels with two values for pods, namespaces and
 * nodes alike, three namespaces, a dozen addresses and the blocks around them, three names of
 * ports. Node n1 is the one that asks; its addresses are those of `uplink` in test/facts.ts.
 */
const namespaceNames = ['a', 'b', 'c'] as const;

/** What the pod of a number has when it has both families; some are outside of 2000::/3 (NP-08). */
export const podAddresses = [
  ['10.244.1.3', 'fd00:1::3'],
  ['10.244.1.4', 'fd00:1::4'],
  ['10.244.1.5', 'fd00:1::5'],
  ['10.244.1.7', '2001:db8:1::8'],
  ['10.244.1.8', '64:ff9b::3'],
  ['10.244.2.3', 'fd00:1::7'],
].map((both) => both.map(ip));
export const nodeAddresses = [
  [ip('192.0.2.1'), ip('2001:db8::1')],
  [ip('192.0.2.2'), ip('2001:db8::2')],
] as const;

/** Most of what has a namespace is in the first one. */
const namespaceName = fc.constantFrom('a', 'a', ...namespaceNames);

const labelSets: readonly Labels[] = [
  ...[{}, { app: 'x' }, { app: 'y' }, { role: 'x' }],
  { app: 'x', role: 'y' },
];
const labels = fc.constantFrom(...labelSets);

const expression = fc.record({
  key: fc.constantFrom('app', 'role', 'nobody-has-it'),
  operator: fc.constantFrom(
    'In' as const,
    'NotIn' as const,
    'Exists' as const,
    'DoesNotExist' as const,
  ),
  values: fc.subarray(['x', 'y']),
});

const labelSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  fc.constant({ matchLabels: {}, matchExpressions: [] }),
  fc.record({
    matchLabels: labels,
    matchExpressions: fc.oneof(fc.constant([]), fc.array(expression, { maxLength: 2 })),
  }),
);

const namespaceSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  labelSelector,
  fc.constantFrom(...namespaceNames).map((name) => ({
    matchLabels: { 'kubernetes.io/metadata.name': name },
    matchExpressions: [],
  })),
);

export const protocol = fc.constantFrom(
  'TCP' as const,
  'TCP' as const,
  'UDP' as const,
  'SCTP' as const,
);
const portNumber = fc.constantFrom(80, 82, 83, 1, 65535);
const portName = fc.constantFrom('web', 'web', 'dns', 'nobody-has-it');

const containerPort: fc.Arbitrary<ContainerPort> = fc.record({
  name: fc.constantFrom('', 'web', 'web', 'dns'),
  protocol,
  containerPort: portNumber,
  hostPort: fc.constant(0),
  hostIp: fc.constant(''),
});

/**
 * Alive, on its way, ended, or on the host's network. What leaves may have the address of the next
 * pod, which has it now (NP-18, NP-19).
 */
function podOf(number: number): fc.Arbitrary<Pod> {
  return fc
    .record({
      inside: namespaceName,
      labels,
      on: fc.constantFrom('n1', 'n1', 'n2'),
      life: fc.constantFrom(
        ...(['Running', 'Running', 'Running', 'Pending', 'Unknown'] as const),
        ...(['Succeeded', 'Failed', 'Left', 'host'] as const),
      ),
      isReused: fc.boolean(),
      families: fc.constantFrom<readonly (4 | 6)[]>([4, 6], [4, 6], [4], [6], []),
      terminating: fc.boolean(),
      ports: fc.array(containerPort, { minLength: 1, maxLength: 4 }),
    })
    .map(({ inside, on, life, isReused, families, ...rest }) => {
      const leaves = life === 'Succeeded' || life === 'Failed' || life === 'Left';
      const owner = leaves && isReused ? (number + 1) % podAddresses.length : number;
      const own = podAddresses[owner] ?? [];
      return pod(`${inside}/p${number}`, {
        ...rest,
        node: on,
        hostNetwork: life === 'host',
        phase: life === 'host' || life === 'Left' ? 'Running' : life,
        ips:
          life === 'host'
            ? [...nodeAddresses[on === 'n1' ? 0 : 1]]
            : own.filter((one) => families.includes(familyOf(one))),
      });
    });
}

/** As users write them: bits behind the length, capitals. The second ones lie in the first ones. */
const blocks = {
  4: [
    ...['0.0.0.0/0', '128.0.0.0/1', '10.244.0.0/16', '10.244.1.9/24', '10.244.1.0/29'],
    ...['10.244.1.4/30', '10.244.1.4/31', '10.244.1.5/32', '192.0.2.0/30', '198.51.100.7/32'],
  ],
  6: [
    ...['::/0', '2000::/3', '8000::/1', 'FD00:1:0::77/64', 'fd00:1::4/126', 'fd00:1::4/127'],
    ...['fd00:1::5/128', '2001:db8::/32', '64:ff9b::/96', 'fe80::/10'],
  ],
} as const;
const allBlocks: readonly string[] = [...blocks[4], ...blocks[6]];

const cidr = fc.oneof(
  fc.constantFrom(...allBlocks),
  fc.constantFrom(...allBlocks),
  fc
    .tuple(fc.constantFrom(...podAddresses.flat()), fc.nat(128))
    .map(([address, length]) => `${address}/${familyOf(address) === 4 ? length % 33 : length}`),
);

/** The API server wants exceptions strictly inside; what lies elsewhere excepts nothing. */
const ipBlock = fc
  .tuple(cidr, fc.array(cidr, { maxLength: 3 }), fc.boolean())
  .map(([outer, except, isMixed]) => ({
    cidr: outer,
    except: isMixed ? except : except.filter((one) => one.includes(':') === outer.includes(':')),
  }));

const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  labelSelector.map((podSelector) => ({ podSelector })),
  namespaceSelector.map((one) => ({ namespaceSelector: one })),
  fc.record({ podSelector: labelSelector, namespaceSelector }),
  ipBlock.map((one) => ({ ipBlock: one })),
  ipBlock.map((one) => ({ ipBlock: one })),
);

const numbers = fc.oneof(
  portNumber.map((port) => ({ port })),
  fc
    .tuple(portNumber, portNumber)
    .map(([one, other]) => ({ port: Math.min(one, other), endPort: Math.max(one, other) })),
);

const port: fc.Arbitrary<PolicyPort> = fc.oneof(
  protocol.map((one) => ({ protocol: one })),
  ...[1, 2].map(() => fc.tuple(protocol, numbers).map(([one, two]) => ({ protocol: one, ...two }))),
  ...[1, 2].map(() => fc.record({ protocol, port: portName })),
);

const few = { maxLength: 2 };

/** One to three, and sometimes none, which means all of them. */
function some<T>(one: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.array(one, { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.constant([]) },
  );
}

const rules: fc.Arbitrary<readonly PolicyRule[]> = fc.array(
  fc.record({ peers: some(peer), ports: fc.oneof(fc.constant([]), some(port)) }),
  few,
);

function policyOf(number: number): fc.Arbitrary<NetworkPolicy> {
  return fc
    .record({
      namespace: namespaceName,
      podSelector: labelSelector,
      policyTypes: fc.constantFrom<NetworkPolicy['policyTypes']>(
        ...([['Ingress'], ['Egress'], ['Ingress', 'Egress']] as const),
      ),
      ingress: rules,
      egress: rules,
      mode: fc.constantFrom(...(['enforce', 'enforce', 'enforce', 'audit'] as const)),
    })
    .map((one) => ({ key: `${one.namespace}/np${number}`, uid: `np${number}`, ...one }));
}

const podSelector: fc.Arbitrary<PodSelector> = fc.record({
  namespace: fc.oneof(fc.constantFrom(...namespaceNames), namespaceSelector, namespaceSelector),
  pods: labelSelector,
});

const clusterPort: fc.Arbitrary<ClusterPort> = fc.oneof(
  protocol.map((one) => ({ protocol: one })),
  fc.tuple(protocol, numbers).map(([one, two]) => ({ protocol: one, ...two })),
  portName.map((one) => ({ port: one })),
);

const podPeer: fc.Arbitrary<ClusterPeer> = podSelector.map((pods) => ({ pods }));
const anyPeer: fc.Arbitrary<ClusterPeer> = fc.oneof(
  podPeer,
  fc.array(cidr, { minLength: 1, maxLength: 2 }).map((all) => ({ networks: all.map(prefix) })),
  labelSelector.map((nodes) => ({ nodes })),
);

/**
 * More than the API allows: also rules without peers, which is what becomes of those that cannot be
 * read, and names of ports where peers are addresses.
 */
function clusterRules(peers: fc.Arbitrary<ClusterPeer>): fc.Arbitrary<readonly ClusterRule[]> {
  const one = fc.record({
    name: fc.constant(''),
    action: fc.constantFrom('Accept' as const, 'Deny' as const, 'Pass' as const),
    peers: some(peers),
    ports: fc.oneof(fc.constant([]), some(clusterPort)),
  });
  return fc.array(one, { maxLength: 3 });
}

function clusterPolicyOf(number: number): fc.Arbitrary<ClusterNetworkPolicy> {
  return fc.record({
    key: fc.constant(`cnp${number}`),
    uid: fc.constant(`cnp${number}`),
    tier: fc.constantFrom('Admin' as const, 'Baseline' as const),
    priority: fc.constantFrom(0, 5, 5, 1000),
    subject: fc.oneof(fc.constant(everyone()), podSelector),
    ingress: clusterRules(podPeer),
    egress: clusterRules(anyPeer),
  });
}

/** None or one of each number, so that clusters name the same objects. */
function numbered<T>(count: number, make: (number: number) => fc.Arbitrary<T>) {
  return fc
    .tuple(...Array.from({ length: count }, (_, number) => fc.option(make(number))))
    .map((all) => all.flatMap((one) => (one === null ? [] : [one])));
}

export const cluster: fc.Arbitrary<Cluster> = fc
  .record({
    pods: numbered(podAddresses.length, podOf),
    policies: numbered(3, policyOf),
    clusterPolicies: numbered(4, clusterPolicyOf),
    namespaceLabels: fc.tuple(labels, labels, labels),
    nodeLabels: fc.tuple(labels, labels),
    isAlone: fc.boolean(),
    isDual: fc.boolean(),
  })
  .map(({ namespaceLabels, nodeLabels, isAlone, isDual, ...rest }) => ({
    ...rest,
    namespaces: namespaceNames.map((name, i) => namespace(name, namespaceLabels[i])),
    nodes: [
      node('n1', 1, { labels: nodeLabels[0], internalIps: [...nodeAddresses[0]] }),
      node('n2', 2, {
        labels: nodeLabels[1],
        internalIps: isDual ? [...nodeAddresses[1]] : [nodeAddresses[1][0]],
      }),
    ].slice(0, isAlone ? 1 : 2),
    nodeName: 'n1',
  }));

/**
 * A cluster with hundreds of pods on the other node, of all labels and with ports of all names, and
 * with a block full of holes.
 */
export const crowd: fc.Arbitrary<Cluster> = fc
  .record({
    one: cluster,
    count: fc.integer({ min: 50, max: 600 }),
    step: fc.integer({ min: 1, max: 40 }),
  })
  .map(({ one, count, step }) => {
    const pods = Array.from({ length: count }, (_, i) =>
      pod(`${cycle(namespaceNames, i)}/q${i}`, {
        labels: cycle(labelSets, Math.floor(i / step)),
        node: 'n2',
        ips: [ip(`10.245.${i >> 8}.${i & 255}`), ip(`fd00:3::${i.toString(16)}`)],
        ports: [
          {
            name: cycle(['web', 'dns', ''], i),
            protocol: 'TCP',
            containerPort: 8000 + (i % 5),
            hostPort: 0,
            hostIp: '',
          },
        ],
      }),
    );
    const except = pods.flatMap(({ ips: [first] }, i) => (i % 9 === 0 ? [`${first}/32`] : []));
    const holes = policy('a/holes', {
      ingress: [rule([{ ipBlock: { cidr: '0.0.0.0/0', except } }])],
    });
    return { ...one, pods: [...one.pods, ...pods], policies: [...one.policies, holes] };
  });

function cycle<T>(all: readonly T[], number: number): T {
  return all[number % all.length] as T;
}
