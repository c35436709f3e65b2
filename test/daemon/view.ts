import type { FlowExplanation, PodPolicyExplanation } from '../../src/core/control-policy.ts';
import type { RouteExplanation } from '../../src/core/control-routing.ts';
import { parsed, rejected } from '../../src/core/parsed.ts';
import type { DaemonView } from '../../src/daemon/view.ts';

const path = {
  prefix: '10.1.0.0/24',
  neighbor: '192.0.2.2',
  peer: 'node/n2',
  nextHop: '192.0.2.2',
  communities: ['64512:7'],
  localPreference: 100,
  med: undefined,
  asPath: ['65001'],
  origin: 'igp',
  ageSeconds: 3725,
  stale: false,
};

const sampleRoute: RouteExplanation = {
  asked: '10.1.0.9',
  verdict: '10.1.0.9: by 10.1.0.0/24 of 192.0.2.2 (n2), 192.0.2.2 by direct; in force',
  route: {
    prefix: '10.1.0.0/24',
    paths: ['via 192.0.2.2 dev uplink'],
    origin: 'learned',
    from: ['192.0.2.2 (n2)'],
    status: 'done',
    error: '',
  },
  overruled: ['Gate x'],
  nextHops: [
    {
      nextHop: '192.0.2.2',
      node: 'n2',
      way: 'direct',
      path: 'via 192.0.2.2 dev uplink',
      reason: 'it is in a subnet of this node',
    },
  ],
  candidates: [
    { ...path, verdict: 'best', reason: '' },
    { ...path, peer: 'peer/a', stale: true, verdict: 'rejected', reason: 'ours, IPv4' },
  ],
  services: [
    {
      service: 'shop/web',
      kind: 'ClusterIP',
      announced: true,
      reason: 'announced by bgp.advertise.clusterIps',
      prefix: '10.96.0.10/32',
      neighbours: [{ ...path, peer: 'peer/a', address: '192.0.2.253' }],
      withheld: [{ peer: 'node/n2', reason: 'no statement' }],
    },
  ],
  notes: ['GoBGP does not answer: it is away'],
};

const sampleFlow = (from: string, to: string, port: string): FlowExplanation => ({
  verdict: `${from} to ${to} ${port}: denied on the way into shop/db-1: no rule allows it`,
  service: 'shop/db 10.96.0.10:5432/tcp',
  flows: [
    {
      from: '10.244.1.2',
      to: '10.244.2.3',
      port: '5432/tcp',
      allowed: false,
      verdict: 'denied on the way into shop/db-1: no rule allows it',
      ends: [
        {
          direction: 'Egress',
          pod: 'shop/web-1',
          node: 'n1',
          allowed: true,
          rules: [{ policy: 'NetworkPolicy/shop/out', index: 2, name: 'db' }],
          audited: ['NetworkPolicy/shop/try'],
          why: 'NetworkPolicy/shop/out rule 2 (db)',
          rule: 4,
          ruleText: 'reflect tcp 0.0.0.0/0 > 10.244.2.3/32',
          status: 'done',
          error: '',
          hits: { filter: 'np-12', packets: 5, pods: 2 },
          denied: [{ filter: 'np-deny-out-1', packets: 9, pods: 1 }],
        },
        {
          direction: 'Ingress',
          pod: 'shop/db-1',
          node: 'n2',
          allowed: false,
          rules: [],
          audited: [],
          why: 'no rule of NetworkPolicy/shop/db allows it',
          rule: 0,
          ruleText: 'deny any 0.0.0.0/0 > 0.0.0.0/0',
          status: 'elsewhere',
          error: '',
          hits: { filter: 'np-deny-in-2', pods: 0 },
          denied: [{ filter: 'np-deny-in-2', pods: 0 }],
        },
      ],
    },
  ],
  notes: ['shop/db-1 on node n2: judged by what is known here'],
});

const samplePodPolicies: PodPolicyExplanation = {
  pod: 'shop/web-1',
  verdict: 'isolated: Ingress',
  addresses: ['10.244.1.2'],
  interface: 'kvr3f2a',
  status: 'done',
  error: '',
  lists: [
    {
      direction: 'Egress',
      isolated: false,
      filters: [
        {
          filter: 'np-open',
          rules: 2,
          packets: 40,
          pods: 3,
          status: 'done',
          error: '',
          why: ['no policy says anything'],
        },
      ],
    },
    {
      direction: 'Ingress',
      isolated: true,
      filters: [
        {
          filter: 'np-deny-in-1',
          rules: 2,
          pods: 1,
          status: 'failed',
          error: 'VPP says no',
          why: ['no rule of NetworkPolicy/shop/web allows it'],
        },
      ],
    },
  ],
  problems: [{ object: 'Pod/shop/web-1', field: 'policies', reason: 'too many rules' }],
};

/** A daemon with one of everything, as the periphery sees it. */
export const sampleView: DaemonView = {
  nodeName: 'worker-1',
  version: '0.1.0',
  checks: () => [
    { name: 'loop', gate: 'live', ok: true, reason: 'last round 1 s ago' },
    { name: 'vpp', gate: 'ready', ok: false, reason: 'not connected to /run/vpp/api.sock' },
  ],
  freshness: () => ({
    lastUpdatedMs: 1_700_000_000_500,
    oldestPendingMs: undefined,
    nodeEligible: true,
  }),
  serviceFigures: () => ({
    pendingServices: 1,
    pendingSlices: 2,
    noLocalEndpoints: [{ family: 4, internal: 0, external: 3 }],
  }),
  explainService: () => Promise.resolve({ found: undefined, similar: ['d/web'] }),
  connections: () =>
    Promise.resolve([{ service: 'd/web', frontend: '10.96.0.10:80/tcp', connections: 7 }]),
  tables: () => [{ name: 'routes', desired: 3, applied: 2, failed: 1 }],
  rows: (table) =>
    table === 'routes'
      ? [
          { key: '10.1.0.0/24', line: '10.1.0.0/24 via 192.0.2.2', status: 'done', error: '' },
          {
            key: '10.2.0.0/24',
            line: '10.2.0.0/24 drop',
            status: 'failed',
            error: 'no such table',
          },
        ]
      : [],
  services: () => [
    {
      service: 'default/web:http',
      kind: 'ClusterIP',
      frontend: '10.96.0.10:80/tcp',
      backends: ['10.244.1.2:8080', '10.244.2.2:8080', '10.244.2.3:8080', '10.244.2.4:8080'],
      status: 'done',
      error: '',
    },
    {
      service: 'default/empty',
      kind: 'NodePort',
      frontend: '192.0.2.1:30080/udp',
      backends: [],
      status: 'pending',
      error: '',
    },
  ],
  pods: () => [
    {
      pod: 'default/web-1',
      ips: ['10.244.1.2', 'fd00:10:244:1::2'],
      interface: 'kvr3f2a',
      kind: 'veth',
      containerId: 'c0ffee',
      policies: 'ingress',
      status: 'done',
      error: '',
    },
  ],
  problems: () => [
    { object: 'Service/default/web', field: 'spec.externalIPs[0]', reason: 'not an IP address' },
  ],
  sources: () => [{ name: 'services', synced: true, lastEventMs: 1_700_000_000_000 }],
  targets: () => [{ name: 'vpp', connected: false }],
  routes: () => [
    {
      prefix: '10.1.0.0/24',
      paths: ['via 192.0.2.2 dev uplink'],
      origin: 'learned',
      from: ['192.0.2.2 (n2)'],
      status: 'done',
      error: '',
    },
    {
      prefix: '10.2.0.0/24',
      paths: ['drop'],
      origin: 'own',
      from: ['this node'],
      status: 'failed',
      error: 'no such table',
    },
  ],
  advertisements: (withNeighbours) => [
    {
      prefix: '10.96.0.10/32',
      nextHop: '192.0.2.1',
      communities: ['64512:7'],
      localPreference: 100,
      med: 70,
      kind: 'service',
      for: ['shop/web'],
      status: 'done',
      error: '',
      ...(withNeighbours
        ? {
            neighbours: [
              {
                peer: 'peer/tor-a',
                address: '192.0.2.253',
                nextHop: '192.0.2.1',
                communities: ['64512:7'],
                localPreference: 100,
                med: 70,
                asPath: [],
              },
            ],
          }
        : {}),
    },
  ],
  peers: async () => [
    {
      address: '192.0.2.2',
      kind: 'node',
      accepted: 2,
      flaps: 3,
      passwordKey: 'mesh',
      asn: 64512,
      state: 'established',
      uptimeSeconds: 3725,
      received: 2,
      advertised: 1,
      description: 'node/worker-2',
      lastError: '',
    },
  ],
  explainRoute: async (to) => (to === 'nowhere' ? undefined : { ...sampleRoute, asked: to }),
  lint: (text) => ({
    usable: true,
    problems: [{ object: 'config', field: 'bgp.peers[1]', reason: `${text.length} bytes` }],
    server: undefined,
    sessions: [
      { address: '192.0.2.253', description: 'peer/a', change: 'bounced', fields: ['asn'] },
    ],
    policies: [
      { direction: 'export', added: ['a', 'b'], removed: [], changed: [], reordered: false },
    ],
    prefixes: [
      { prefix: '10.96.0.10/32', change: 'announced', before: '', after: '10.96.0.10/32 via x' },
    ],
    tables: [{ name: 'bgpPeers', added: 0, removed: 0, changed: 1 }],
  }),
  lintPolicies: (manifests) => ({
    usable: manifests?.text !== 'bad',
    policies: 2,
    findings:
      manifests?.text === 'good'
        ? []
        : [
            {
              severity: manifests?.text === 'so so' ? 'warning' : 'error',
              finding: 'named-port',
              object: `NetworkPolicy/${manifests?.namespace ?? 'shop'}/web`,
              field: 'spec.ingress[0].ports[0].port',
              written: 'no pod has it',
              meant: 'a number',
            },
          ],
  }),
  policies: async () => [
    {
      policy: 'NetworkPolicy/shop/web',
      mode: 'audit',
      directions: ['Ingress'],
      pods: ['shop/web-1', 'shop/web-2', 'shop/web-3', 'shop/web-4'],
      filters: 3,
      rules: 12,
      allowed: 7,
      denied: 0,
      audited: 2,
      status: 'done',
      problems: [],
    },
    {
      policy: 'ClusterNetworkPolicy/tenants',
      mode: 'Admin 10',
      directions: ['Ingress', 'Egress'],
      pods: [],
      filters: 0,
      rules: 0,
      allowed: 0,
      denied: 0,
      audited: 0,
      status: 'done',
      problems: ['spec.egress[0]: matches nothing'],
    },
  ],
  policyCounts: async () =>
    new Map([['NetworkPolicy/shop/web', { allowed: 7, denied: 0, audited: 2 }]]),
  policyFigures: () => ({
    pods: { closed: 1, open: 4, isolatedIngress: 3, isolatedEgress: 2 },
    filters: 9,
    rules: 120,
  }),
  policySessions: async () => 17,
  explainFlow: async ({ from, to, port }) =>
    from === 'nobody/x' ? rejected('from: no pod nobody/x') : parsed(sampleFlow(from, to, port)),
  explainPod: async (pod) =>
    pod === 'nobody/x' ? rejected('no pod nobody/x') : parsed(samplePodPolicies),
  bfdSessions: () => new Map([['192.0.2.254', 'up']]),
  trace: async (request) => ({
    steps: [{ at: 'translations', what: `${request.destination} to 10.244.1.2` }],
    verdict: `delivered to 10.244.1.2:${request.port}`,
  }),
};
