import assert from 'node:assert/strict';
import { createInterner } from '../../src/kube/intern.ts';
import type { JsonObject } from '../../src/kube/json.ts';
import { type KubeKind, watchedKinds } from '../../src/kube/kinds.ts';
import { keyOfObject, projectObject } from '../../src/kube/projection.ts';
import type { FactTypes } from '../../src/model/store.ts';

/** The fact and the problems of one object, `field: reason` each. */
function project<K extends KubeKind>(kind: K, object: JsonObject) {
  const watched = watchedKinds[kind];
  const key = keyOfObject(object);
  const { objectKind, project: read } = watched;
  const found = projectObject(objectKind, key, object, createInterner(), read);
  const problems = found.problems.map(({ field, reason }) => `${field}: ${reason}`);
  return { fact: found.fact as FactTypes[K] | 'keep' | undefined, problems };
}

function factOf<K extends KubeKind>(kind: K, object: JsonObject): FactTypes[K] {
  const { fact } = project(kind, object);
  assert.ok(fact !== undefined && fact !== 'keep');
  return fact as FactTypes[K];
}

const metadata = { name: 'web', namespace: 'shop' };
const service = (spec: JsonObject, status: JsonObject = {}) => ({ metadata, spec, status });

const slice = (fields: JsonObject) => ({
  metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.0.0.1'] }],
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  ...fields,
});

describe('the projection of a Service', () => {
  it('keeps what planners read, and no bulk', () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{…}', a: 'b' };
    const ports = [{ name: 'http', port: 80, protocol: 'TCP', nodePort: 30080, targetPort: 'x' }];
    const clusterIPs = ['10.96.0.10', 'FD00:0::1'];
    const fact = factOf('services', {
      metadata: { ...metadata, uid: 'u', annotations, managedFields: [{}], labels: { l: 'm' } },
      spec: { type: 'NodePort', clusterIP: '10.96.0.10', clusterIPs, ports },
    });
    assert.deepEqual(fact, {
      key: 'shop/web',
      uid: 'u',
      labels: { l: 'm' },
      annotations: { a: 'b' },
      type: 'NodePort',
      clusterIps: ['10.96.0.10', 'fd00::1'],
      headless: false,
      externalIps: [],
      ingress: [],
      ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
      sourceRanges: [],
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      healthCheckNodePort: 0,
      loadBalancerClass: '',
      requestedIp: '',
      affinitySeconds: 0,
      createdMs: 0,
      resourceVersion: '',
    });
  });

  const ingress = { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } };
  const frontless = [
    { name: 'ExternalName', spec: { type: 'ExternalName', externalIPs: ['192.0.2.1'] } },
    { name: 'clusterIP None', spec: { clusterIP: 'None', externalIPs: ['192.0.2.1'] } },
    { name: 'clusterIPs None', spec: { clusterIPs: ['None'], externalIPs: ['192.0.2.1'] } },
  ];
  for (const { name, spec } of frontless) {
    it(`KP-03 has no frontend at all with ${name}, external and ingress addresses included`, () => {
      const fact = factOf('services', service(spec, ingress));
      assert.deepEqual([fact.clusterIps, fact.externalIps, fact.ingress], [[], [], []]);
    });
  }

  it('KP-03 an empty clusterIP is no address', () => {
    assert.deepEqual(factOf('services', service({ clusterIP: '' })).clusterIps, []);
  });

  it('KP-04 keeps the same port number for TCP, UDP and SCTP apart', () => {
    const ports = ['TCP', 'UDP', 'SCTP'].map((protocol) => ({
      name: protocol,
      port: 53,
      protocol,
    }));
    const fact = factOf('services', service({ ports }));
    assert.deepEqual(
      fact.ports.map((port) => `${port.port}/${port.protocol}`),
      ['53/TCP', '53/UDP', '53/SCTP'],
    );
  });

  const bad = [
    {
      name: 'a cluster IP that is none',
      spec: { clusterIPs: ['10.96.0.300', 'fd00::1'] },
      problem: 'spec.clusterIPs[0]: "10.96.0.300" is not an IP address; ignored',
      left: { clusterIps: ['fd00::1'] },
    },
    {
      name: 'an external IP that is loopback',
      spec: { externalIPs: ['127.0.0.1', '192.0.2.1'] },
      problem: 'spec.externalIPs: 127.0.0.1 is a loopback address; ignored',
      left: { externalIps: ['192.0.2.1'] },
    },
    {
      name: 'a port of 70000',
      spec: { ports: [{ port: 70_000 }, { port: 80 }] },
      problem: 'spec.ports[0].port: 70000 is no port; port ignored',
      left: { ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }] },
    },
    {
      name: 'a port of text',
      spec: { ports: [{ port: 'http' }] },
      problem: 'spec.ports[0].port: "http" is no port; port ignored',
      left: { ports: [] },
    },
    {
      name: 'an unknown protocol',
      spec: { ports: [{ port: 80, protocol: 'ICMP' }] },
      problem: 'spec.ports[0].protocol: "ICMP" is unknown; port ignored',
      left: { ports: [] },
    },
    {
      name: 'a node port of -1',
      spec: { ports: [{ port: 80, nodePort: -1 }] },
      problem: 'spec.ports[0].nodePort: -1 is no port; there is no node port',
      left: { ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }] },
    },
    {
      name: 'a source range that is none',
      spec: { loadBalancerSourceRanges: [' 192.0.2.0/24 ', 'all'] },
      problem: 'spec.loadBalancerSourceRanges[1]: "all" is no prefix; it lets nobody in',
      left: { sourceRanges: ['192.0.2.0/24', 'all'] },
    },
    {
      name: 'an affinity of zero seconds',
      spec: {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } },
      },
      problem:
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is out of range; 10800 applies',
      left: { affinitySeconds: 10_800 },
    },
  ];
  for (const { name, spec, problem, left } of bad) {
    it(`reports ${name} and applies the rest`, () => {
      const { fact, problems } = project('services', service(spec));
      assert.deepEqual(problems, [problem]);
      assert.ok(typeof fact === 'object');
      for (const [field, value] of Object.entries(left)) {
        assert.deepEqual(fact[field as keyof typeof fact], value);
      }
    });
  }

  it('keeps the last good fact when the type makes no sense', () => {
    const { fact, problems } = project('services', service({ type: 'Magic' }));
    assert.equal(fact, 'keep');
    assert.match(problems[0] ?? '', /^spec.type: "Magic" is no Service type/);
  });

  const nonsense: readonly JsonObject[] = [
    { metadata },
    { metadata, spec: null, status: 7 },
    { metadata, spec: { ports: 'x', clusterIPs: {}, externalIPs: [null, {}] } },
    { metadata: { ...metadata, labels: [1], annotations: 'x' }, spec: { ports: [null, 3, []] } },
  ];
  for (const object of nonsense) {
    it(`never throws: ${JSON.stringify(object)}`, () => {
      for (const kind of Object.keys(watchedKinds) as KubeKind[]) project(kind, object);
    });
  }
});

describe('the projection of an EndpointSlice', () => {
  it('KP-05 takes the port number from the slice and its name as it is', () => {
    const fact = factOf('slices', slice({ ports: [{ name: '', port: 9090 }] }));
    assert.deepEqual(fact.ports, [{ name: '', protocol: 'TCP', port: 9090 }]);
    assert.equal(fact.service, 'shop/web');
  });

  const ignoredPorts = [
    { name: 'no number', port: { name: 'a', protocol: 'TCP' } },
    { name: 'number 0', port: { name: 'a', port: 0 } },
    { name: 'no name', port: { port: 80 } },
    { name: 'an unknown protocol', port: { name: 'a', port: 80, protocol: 'X' } },
  ];
  for (const { name, port } of ignoredPorts) {
    it(`KP-06 ignores a port with ${name} and says so`, () => {
      const { fact, problems } = project('slices', slice({ ports: [port] }));
      assert.deepEqual(typeof fact === 'object' && fact.ports, []);
      assert.equal(problems.length, 1);
    });
  }

  it('KP-08 ignores FQDN slices, and slices of no Service', () => {
    assert.deepEqual(project('slices', slice({ addressType: 'FQDN' })), {
      fact: undefined,
      problems: [],
    });
    assert.equal(project('slices', slice({ metadata })).fact, undefined);
  });

  const addresses = [
    { text: 'fd00::1', reason: 'is not an IPv4 address' },
    { text: 'pod-1', reason: 'is not an IP address' },
    { text: '0.0.0.0', reason: 'is the unspecified address' },
    { text: '127.0.0.1', reason: 'is a loopback address' },
    { text: '169.254.1.1', reason: 'is a link-local address' },
    { text: '224.0.0.1', reason: 'is a multicast address' },
    { text: '239.255.255.255', reason: 'is a multicast address' },
  ];
  for (const { text, reason } of addresses) {
    it(`KP-09 leaves out ${text}, which ${reason}, and keeps the others`, () => {
      const endpoints = [{ addresses: [text] }, { addresses: ['10.0.0.2'] }];
      const { fact, problems } = project('slices', slice({ endpoints }));
      const ips = typeof fact === 'object' ? fact.endpoints.map((endpoint) => endpoint.ip) : [];
      assert.deepEqual(ips, ['10.0.0.2']);
      assert.deepEqual(problems, [`endpoints[0].addresses[0]: "${text}" ${reason}; ignored`]);
    });
  }

  for (const text of ['::', '::1', 'fe80::1', 'febf::1', 'ff02::1']) {
    it(`KP-09 leaves out ${text}`, () => {
      const endpoints = [
        { addresses: [text] },
        { addresses: ['ff::1'] },
        { addresses: ['fe8::1'] },
      ];
      const { fact } = project('slices', slice({ addressType: 'IPv6', endpoints }));
      const ips = typeof fact === 'object' ? fact.endpoints.map((endpoint) => endpoint.ip) : [];
      assert.deepEqual(ips, ['ff::1', 'fe8::1']);
    });
  }

  it('KP-10 takes hand-written slices with addresses outside of the cluster', () => {
    const endpoints = [{ addresses: ['203.0.113.7'] }];
    const [endpoint] = factOf('slices', slice({ endpoints })).endpoints;
    assert.deepEqual(endpoint, {
      ip: '203.0.113.7',
      ready: true,
      serving: true,
      terminating: false,
      node: '', // KP-11: of no node, hence remote
      zone: '',
      zoneHints: [],
      nodeHints: [],
    });
  });

  it('KP-11 takes the node name as it is, and none as none', () => {
    const endpoints = [
      { addresses: ['10.0.0.1'], nodeName: 'n1' },
      { addresses: ['10.0.0.2'], nodeName: null },
    ];
    const nodes = factOf('slices', slice({ endpoints })).endpoints.map((e) => e.node);
    assert.deepEqual(nodes, ['n1', '']);
  });

  const conditions = [
    { in: {}, out: [true, true, false] },
    { in: { ready: null, serving: null, terminating: null }, out: [true, true, false] },
    { in: { ready: false }, out: [false, false, false] },
    { in: { ready: false, serving: true, terminating: true }, out: [false, true, true] },
    { in: { ready: true, serving: true, terminating: false }, out: [true, true, false] },
  ];
  for (const { in: given, out } of conditions) {
    it(`KP-12 reads conditions ${JSON.stringify(given)}`, () => {
      const endpoints = [{ addresses: ['10.0.0.1'], conditions: given }];
      const [endpoint] = factOf('slices', slice({ endpoints })).endpoints;
      assert.deepEqual([endpoint?.ready, endpoint?.serving, endpoint?.terminating], out);
    });
  }

  it('keeps the last good slice when one claims 70,000 endpoints', () => {
    const endpoints = Array.from({ length: 70_000 }, () => ({ addresses: ['10.0.0.1'] }));
    const { fact, problems } = project('slices', slice({ endpoints }));
    assert.equal(fact, 'keep');
    assert.deepEqual(problems, [
      'endpoints: 70000 endpoints, over 1000; the slice stays as it was',
    ]);
  });

  it('reports at most eight problems of one object', () => {
    const endpoints = Array.from({ length: 900 }, () => ({ addresses: ['x'] }));
    assert.equal(project('slices', slice({ endpoints })).problems.length, 8);
  });

  it('reads the trigger time, and none as 0', () => {
    const annotation = 'endpoints.kubernetes.io/last-change-trigger-time';
    const labels = { 'kubernetes.io/service-name': 'web' };
    const at = (text: string) =>
      factOf(
        'slices',
        slice({ metadata: { ...metadata, labels, annotations: { [annotation]: text } } }),
      ).triggerMs;
    assert.equal(at('2026-01-02T03:04:05.678Z'), Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    assert.equal(at('yesterday'), 0);
    assert.equal(factOf('slices', slice({})).triggerMs, 0);
  });
});

describe('the projection of Pods, Nodes and Namespaces', () => {
  it('NP-11 NP-20 reads all addresses, and the ports of sidecars but not of init containers', () => {
    const port = (name: string) => ({ ports: [{ name, containerPort: 80 }] });
    const fact = factOf('pods', {
      metadata: { ...metadata, uid: 'u', deletionTimestamp: '2026-01-01T00:00:00Z' },
      spec: {
        nodeName: 'n1',
        containers: [port('main')],
        initContainers: [port('init'), { ...port('sidecar'), restartPolicy: 'Always' }],
      },
      status: {
        phase: 'Running',
        podIP: '10.0.0.1',
        podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    });
    assert.deepEqual(fact.ips, ['10.0.0.1', 'fd00::1']);
    assert.deepEqual(
      fact.ports.map((p) => p.name),
      ['main', 'sidecar'],
    );
    assert.deepEqual([fact.ready, fact.terminating, fact.phase], [true, true, 'Running']);
  });

  it('reads a Node, and reports a pod CIDR that is none', () => {
    const object = {
      metadata: { name: 'n1' },
      spec: { podCIDRs: ['10.244.1.5/24', 'x'], unschedulable: true, taints: [{ key: 'k' }] },
      status: {
        addresses: [
          { type: 'Hostname', address: 'n1' },
          { type: 'InternalIP', address: '192.0.2.11' },
        ],
        conditions: [
          { type: 'NetworkUnavailable', status: 'True' },
          { type: 'Ready', status: 'False', message: 'node is shutting down' },
        ],
      },
    };
    const { fact, problems } = project('nodes', object);
    assert.deepEqual(fact, {
      key: 'n1',
      labels: {},
      annotations: {},
      internalIps: ['192.0.2.11'],
      podCidrs: ['10.244.1.0/24'],
      unschedulable: true,
      taints: ['k'],
      terminating: false,
      networkUnavailable: true,
      shuttingDown: true,
    });
    assert.deepEqual(problems, ['spec.podCIDRs[1]: "x" is no prefix; ignored']);
  });

  it('NP-06 a Namespace always has the label of its name', () => {
    const fact = factOf('namespaces', { metadata: { name: 'shop', labels: { team: 'a' } } });
    assert.deepEqual(fact.labels, { team: 'a', 'kubernetes.io/metadata.name': 'shop' });
  });
});

describe('the projection of a NetworkPolicy', () => {
  const policy = (spec: JsonObject) => ({ metadata, spec });

  it('NP-01 a null podSelector selects everything', () => {
    const fact = factOf('policies', policy({ podSelector: null }));
    assert.deepEqual(fact.podSelector, { matchLabels: {}, matchExpressions: [] });
  });

  const types = [
    { spec: {}, out: ['Ingress'] },
    { spec: { egress: [] }, out: ['Ingress'] },
    { spec: { egress: [{}] }, out: ['Ingress', 'Egress'] },
    { spec: { policyTypes: ['Egress'] }, out: ['Egress'] },
  ];
  for (const { spec, out } of types) {
    it(`NP-02 reads ${JSON.stringify(spec)} as ${out.join(' and ')}`, () => {
      assert.deepEqual(factOf('policies', policy(spec)).policyTypes, out);
    });
  }

  it('NP-04 an empty rule is everything, and stays a rule', () => {
    const fact = factOf('policies', policy({ ingress: [{}] }));
    assert.deepEqual(fact.ingress, [{ peers: [], ports: [] }]);
  });

  const closed = [
    { name: 'its only peer is unreadable', rule: { from: [{ ipBlock: { cidr: 'x' } }] } },
    { name: 'its only peer is empty', rule: { from: [{}] } },
    { name: 'its only port is unreadable', rule: { ports: [{ port: 70_000 }] } },
    { name: 'its only range runs backwards', rule: { ports: [{ port: 90, endPort: 80 }] } },
    {
      name: 'its only selector has an unknown operator',
      rule: { from: [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }] },
    },
  ];
  for (const { name, rule } of closed) {
    it(`a rule goes when ${name}: it must not become a rule for everything`, () => {
      const { fact, problems } = project('policies', policy({ ingress: [rule] }));
      assert.deepEqual(typeof fact === 'object' && fact.ingress, []);
      assert.equal(problems.length, 1);
    });
  }

  const annotation = 'kube-vpp-router.io/policy-mode';
  const modes = [
    { given: undefined, mode: 'enforce', told: [] },
    { given: 'enforce', mode: 'enforce', told: [] },
    { given: 'audit', mode: 'audit', told: [] },
    {
      given: 'Audit',
      mode: 'enforce',
      told: [
        `metadata.annotations[${annotation}]: "Audit" is neither enforce nor audit; the policy is enforced`,
      ],
    },
  ];
  for (const { given, mode, told } of modes) {
    it(`the annotation policy-mode ${JSON.stringify(given)} means ${mode}`, () => {
      const annotations = given === undefined ? {} : { [annotation]: given };
      const object = { metadata: { ...metadata, uid: 'u', annotations }, spec: {} };
      const { fact, problems } = project('policies', object);
      assert.ok(typeof fact === 'object');
      assert.equal(fact.mode, mode);
      assert.equal(fact.uid, 'u');
      assert.deepEqual(problems, told);
    });
  }

  it('NP-05 NP-07 NP-09 NP-10 reads peers and ports of every form', () => {
    const podSelector = { matchLabels: { a: 'b' } };
    const namespaceSelector = {};
    const ipBlock = { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] };
    const from = [{ podSelector, namespaceSelector }, { ipBlock }];
    const ports = [{ port: 'http' }, { protocol: 'UDP' }, { port: 80, endPort: 90 }];
    const fact = factOf('policies', policy({ ingress: [{ from, ports }] }));
    const none = { matchLabels: {}, matchExpressions: [] };
    const pods = { matchLabels: { a: 'b' }, matchExpressions: [] };
    assert.deepEqual(fact.ingress, [
      {
        peers: [{ podSelector: pods, namespaceSelector: none }, { ipBlock }],
        ports: [
          { protocol: 'TCP', port: 'http' },
          { protocol: 'UDP' },
          { protocol: 'TCP', port: 80, endPort: 90 },
        ],
      },
    ]);
  });
});
