import { ip } from '../src/core/ip.ts';
import type { Attachment, Labels } from '../src/model/facts.ts';
import { ownNode } from './objects.ts';

/**
 * A cluster with NetworkPolicies as people write them: 50 namespaces of ten applications with 20
 * pods each, spread over 50 nodes, both IP families; 20 policies a namespace.
 *
 * Of every namespace four pods are on this node (`podsHere`), so each policy that is meant for
 * more than one application concerns some of them.
 */
export const namespaceCount = 50;
export const podsEach = 200;
export const policiesEach = 20;
const apps = 10;
const nodeCount = 50;
const teams = 10;

export const podCount = namespaceCount * podsEach;
export const policyCount = namespaceCount * policiesEach;

/** Pods of this node have these applications, of every namespace. */
export const appsHere = [0, 2, 5, 7] as const;
/** Peers of their applications, of which no pod is on this node. */
export const peerApps = [9, 1, 4, 6] as const;

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Labels;
  };
  readonly spec?: object;
  readonly status?: object;
}

export function namespaceName(space: number): string {
  return `ns-${space}`;
}

/** The team moves: its old and its new team's policies mean other pods. */
export function namespaceObject(space: number, moved = 0): KubeObject {
  const labels = {
    team: `team-${(space + moved) % teams}`,
    env: space % 2 === 0 ? 'production' : 'staging',
  };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceName(space), labels } };
}

export function podName(number: number): string {
  return `pod-${number}`;
}

function nodeOf(number: number): number {
  return number % nodeCount;
}

/** Pods of one node have neighbouring addresses, whatever their namespaces. */
function addressesOf(space: number, number: number): [string, string] {
  const onNode = space * (podsEach / nodeCount) + Math.floor(number / nodeCount) + 2;
  const node = nodeOf(number);
  return [`10.64.${node}.${onNode}`, `fd00:64:0:${node.toString(16)}::${onNode.toString(16)}`];
}

const ports = [
  { name: 'http', containerPort: 8080, protocol: 'TCP' },
  { name: 'metrics', containerPort: 9100, protocol: 'TCP' },
] as const;

function appOf(number: number): number {
  return Math.floor(number / (podsEach / apps));
}

export interface PodLabels {
  readonly app: number;
  readonly tier: 'frontend' | 'backend';
}

function labelsOf(number: number): PodLabels {
  return { app: appOf(number), tier: number % 2 === 0 ? 'frontend' : 'backend' };
}

/** Without a status: an API server leaves that of a known pod as it is. */
export function podObject(space: number, number: number, is = labelsOf(number)): KubeObject {
  const labels = {
    app: `app-${is.app}`,
    tier: is.tier,
    'pod-template-hash': `${space}-${is.app}`,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: podName(number), namespace: namespaceName(space), labels },
    spec: {
      nodeName: `node-${nodeOf(number)}`,
      containers: [{ name: 'main', image: 'example.com/main', ports }],
    },
  };
}

export function runningPod(space: number, number: number, is?: PodLabels): KubeObject {
  const [ip4, ip6] = addressesOf(space, number);
  const status = {
    phase: 'Running',
    podIP: ip4,
    podIPs: [{ ip: ip4 }, { ip: ip6 }],
    conditions: [{ type: 'Ready', status: 'True' }],
  };
  return { ...podObject(space, number, is), status };
}

/** Numbers of a namespace's pods on this node. */
export const podsHere: readonly number[] = Array.from({ length: podsEach }, (_, i) => i).filter(
  (number) => `node-${nodeOf(number)}` === ownNode,
);

/** At most 15 bytes. */
export function hostInterfaceOf(space: number, number: number): string {
  return `bp-${space}-${number}`;
}

/** The pods of this node, as CNI ADD would have told of them. */
export function attachmentsHere(): Map<string, Attachment> {
  const found = Array.from({ length: namespaceCount }, (_, space) =>
    podsHere.map((number) => attachmentOf(space, number)),
  ).flat();
  return new Map(found.map((one) => [one.key, one]));
}

function attachmentOf(space: number, number: number): Attachment {
  const hostInterface = hostInterfaceOf(space, number);
  const hex = [space, number].map((one) => one.toString(16).padStart(2, '0')).join(':');
  return {
    key: `${hostInterface}/eth0`,
    containerId: hostInterface,
    ifName: 'eth0',
    pod: `${namespaceName(space)}/${podName(number)}`,
    podUid: '',
    hostInterface,
    kind: 'veth',
    netns: `/run/netns/${hostInterface}`,
    ips: addressesOf(space, number).map(ip),
    mac: `02:01:00:00:${hex}`,
    gatewayMac: `02:02:00:00:${hex}`,
    mtu: 1480,
  };
}

const tcp = (port: number | string, endPort?: number) => ({
  protocol: 'TCP',
  port,
  ...(endPort === undefined ? {} : { endPort }),
});
const app = (number: number) => ({ matchLabels: { app: `app-${(number + apps) % apps}` } });

/**
 * `change` makes it say something else: another port, so every rule of it is another.
 *
 * 0 isolates everybody; 1 lets everybody ask DNS; 2 to 11 say who may call each application; 12 to
 * 15 let backends of the same team and who watches all in; 16 to 19 say what goes out.
 */
export function policyObject(space: number, index: number, change = 0): KubeObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `policy-${index}`, namespace: namespaceName(space) },
    spec: policySpec(space, index, change),
  };
}

function policySpec(space: number, index: number, change: number): object {
  if (index === 0) return { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
  if (index === 1) return dnsSpec;
  if (index < 12) return appSpec(space, index - 2, change);
  if (index < 16) return teamSpec(space, index - 12, change);
  return egressSpec(index - 16, change);
}

/** Where DNS and who watches everybody are. */
const system = { matchLabels: { 'kubernetes.io/metadata.name': namespaceName(0) } };

const dnsSpec = {
  podSelector: {},
  policyTypes: ['Egress'],
  egress: [
    {
      to: [
        {
          namespaceSelector: system,
          podSelector: app(0),
        },
      ],
      ports: [{ protocol: 'UDP', port: 53 }, tcp(53)],
    },
  ],
};

/** Callers in the namespace by a port's name; one application of the next team by number. */
function appSpec(space: number, number: number, change: number): object {
  return {
    podSelector: app(number),
    policyTypes: ['Ingress'],
    ingress: [
      {
        from: [{ podSelector: app(number - 1) }, { podSelector: app(number + 4) }],
        ports: [tcp('http')],
      },
      {
        from: [
          {
            namespaceSelector: { matchLabels: { team: `team-${(space + 1) % teams}` } },
            podSelector: app(number + 4),
          },
        ],
        ports: [tcp(8443 + change)],
      },
    ],
  };
}

function teamSpec(space: number, number: number, change: number): object {
  const everyOther = [`app-${number}`, `app-${number + 2}`, `app-${number + 5}`];
  return {
    podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: everyOther }] },
    policyTypes: ['Ingress'],
    ingress: [
      {
        from: [
          {
            namespaceSelector: { matchLabels: { team: `team-${space % teams}` } },
            podSelector: { matchLabels: { tier: 'backend' } },
          },
        ],
        ports: [tcp(9000 + 100 * number, 9050 + 100 * number + change)],
      },
      {
        from: [{ namespaceSelector: system, podSelector: app(9) }],
        ports: [tcp('metrics')],
      },
    ],
  };
}

function egressSpec(number: number, change: number): object {
  const outside = { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'] };
  return {
    podSelector: {
      matchExpressions: [
        { key: 'app', operator: 'In', values: [`app-${number}`, `app-${number + 5}`] },
      ],
    },
    policyTypes: ['Egress'],
    egress: [
      {
        to: [{ podSelector: app(number + 1) }, { podSelector: app(number + 4) }],
        ports: [tcp('http')],
      },
      { to: [{ ipBlock: outside }], ports: [tcp(443), tcp(5432 + change)] },
    ],
  };
}
