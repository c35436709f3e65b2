import assert from 'node:assert/strict';
import { findResource } from '../../src/apiserver/resources.ts';
import { createApiServer } from '../../src/apiserver/server.ts';
import { realClock } from '../../src/core/clock.ts';
import { prefix } from '../../src/core/ip.ts';
import { uidOfObject } from '../../src/daemon/events.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { createEventWriter } from '../../src/kube/event-writer.ts';
import { createKubeClient } from '../../src/kube/request.ts';
import { createAllocator } from '../../src/lb-pools/allocate.ts';
import { parsePool } from '../../src/lb-pools/pools.ts';
import type { Store } from '../../src/model/store.ts';
import { config, node, uplink } from '../facts.ts';
import { accessOf, createWriter, startRig } from '../kube/rig.ts';

/**
 * What users can get wrong about a Service or a policy, from the API server to the Event that
 * tells them and to the rows of everybody else.
 */
const services = '/api/v1/namespaces/default/services';
const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies';
const clusterPolicies = '/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies';

/** A Service that is right but for what `spec` says. */
function service(name: string, vip: string, spec: object = {}, annotations: object = {}) {
  return {
    metadata: { name, annotations },
    spec: { type: 'ClusterIP', clusterIPs: [vip], ports: [{ port: 80 }], ...spec },
  };
}

function slice(name: string, owner: string, addresses: readonly string[]) {
  return {
    metadata: { name, labels: { 'kubernetes.io/service-name': owner } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  };
}

const balancer = { type: 'LoadBalancer' };
const objects: readonly (readonly [string, object])[] = [
  [services, service('port', '10.96.1.1', { ports: [{ port: 99_999 }, { name: 'b', port: 81 }] })],
  [services, service('ranges', '10.96.1.3', { ...balancer, loadBalancerSourceRanges: ['10/99'] })],
  [services, service('external', '10.96.1.4', { externalIPs: ['198.51.100.7'] })],
  [
    services,
    service('asks', '10.96.1.5', balancer, { 'kube-vpp-router.io/load-balancer-ips': '?' }),
  ],
  [services, service('family', '10.96.1.6')],
  [slices, slice('family-1', 'family', ['2001:db8::5', '10.244.2.5'])],
  [services, service('crowd', '10.96.1.7')],
  ...Array.from({ length: 70 }, (_, i): readonly [string, object] => {
    const addresses = Array.from(
      { length: 1000 },
      (_, j) => `10.${128 + (i >> 5)}.${((i & 31) << 3) | (j >> 7)}.${(j & 127) + 1}`,
    );
    return [slices, slice(`crowd-${i}`, 'crowd', addresses)];
  }),
  [services, service('fine', '10.96.1.8')],
  [slices, slice('fine-1', 'fine', ['10.244.2.9'])],
  [
    policies,
    {
      metadata: { name: 'mode', annotations: { 'kube-vpp-router.io/policy-mode': 'off' } },
      spec: { podSelector: {} },
    },
  ],
  [
    clusterPolicies,
    {
      metadata: { name: 'domains' },
      spec: {
        tier: 'Admin',
        priority: 1,
        subject: { namespaces: {} },
        egress: [{ action: 'Accept', to: [{ domainNames: ['example.org'] }] }],
      },
    },
  ],
];

const told = [
  'Service port spec.ports[0].port: 99999 is no port; port ignored',
  'Service ranges spec.loadBalancerSourceRanges[0]: "10/99" is no prefix; it lets nobody in',
  'Service external spec.externalIPs[0]: 198.51.100.7 is not served: it is outside of services.externalIpRanges, or belongs to the cluster',
  'Service asks metadata.annotations[kube-vpp-router.io/load-balancer-ips]: "?" is no address; it is not asked for',
  'EndpointSlice family-1 endpoints[0].addresses[0]: "2001:db8::5" is not an IPv4 address; ignored',
  'NetworkPolicy mode metadata.annotations[kube-vpp-router.io/policy-mode]: "off" is neither enforce nor audit; the policy is enforced',
  'ClusterNetworkPolicy domains spec.egress[0].to[0].domainNames: is no peer that is known here; the rule accepts nothing',
  'Service crowd spec.ports[0]: has more than 2000 endpoints; this node uses 2000 of them',
];

describe('bad input', function () {
  this.timeout(30_000);

  it('NP-28 becomes one Event each, with object, field and reason, and everything else goes on', async () => {
    await using server = await createApiServer({ endpointSlices: false });
    await using writer = await createWriter(server.url);
    for (const [path, object] of objects) await writer.create(path, object);
    await using rig = await startRig(server.url, [
      'services',
      'slices',
      'policies',
      'clusterPolicies',
    ]);
    await rig.source.synced;
    const { store } = rig;
    store.replace('config', new Map([['config', config]]));
    store.replace('uplink', new Map([['uplink', uplink]]));
    store.replace('nodes', new Map([['n1', node('n1', 1)]]));
    const stop = new AbortController();
    const { signal } = stop;
    const loop = startLoop({ store, targets: [], clock: realClock, signal });
    await until(() => loop.desired.row('translations', '10.96.1.8 80 TCP') !== undefined);
    const row = (key: string) =>
      loop.desired.row('translations', key) as { readonly backends: readonly { ip: string }[] };
    assert.deepEqual(row('10.96.1.8 80 TCP').backends, [{ ip: '10.244.2.9', port: 8080 }]);
    assert.deepEqual(row('10.96.1.6 80 TCP').backends, [{ ip: '10.244.2.5', port: 8080 }]);
    assert.equal(row('10.96.1.7 80 TCP').backends.length, 2000);
    assert.ok(row('10.96.1.1 81 TCP') !== undefined);

    const problems = () => [...rig.problems(), ...loop.desired.problems(), ...poolProblems(store)];
    await using client = createKubeClient(await accessOf(server.url), realClock);
    const log = { info: () => {}, warn: () => {} };
    const uidOf = (object: string) => uidOfObject(store.facts, object);
    const options = { client, clock: realClock, signal, log, nodeName: 'n1', uidOf };
    const events = findResource('', 'v1', 'events');
    assert.ok(events !== undefined);
    let count = 0;
    let wake = () => {};
    server.api.storage.subscribe(events, () => {
      count++;
      wake();
    });
    await using reporter = createEventWriter(options);
    for (let round = 0; round < 5; round++) reporter.report(problems());
    // The last of the queue: when it is there, all are.
    reporter.report([{ object: 'Service/default/fine', field: 'end', reason: 'of the test' }]);
    while (count < told.length + 1)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    const written = server.api.storage.list(events).map((event) => {
      const about = event.involvedObject as { kind: string; name: string; uid?: string };
      if (about.kind !== 'EndpointSlice') assert.match(about.uid ?? '', /^[0-9a-f-]{36}$/);
      return `${about.kind} ${about.name} ${String(event.message)}`;
    });
    const expected = [...told, 'Service fine end: of the test'];
    assert.deepEqual(written.sort(), expected.sort());
    stop.abort(new Error('the test is over'));
    await loop.finished;
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** What the pools say, as the elected daemon says it. */
function poolProblems(store: Store) {
  const pool = parsePool({
    name: 'small',
    addresses: [prefix('203.0.113.0/29')],
    namespaces: [],
    namespaceLabels: {},
    serviceLabels: {},
    autoAssign: true,
    bgp: { communities: [], localPreference: undefined, med: undefined, peers: [] },
  });
  assert.ok(pool.ok);
  const pools = [pool.value];
  const allocator = createAllocator(
    store.facts,
    () => pools,
    () => '',
  );
  for (const decision of allocator.decide('all')) assert.equal(decision.ips.length <= 2, true);
  return [...allocator.waiting.values()].flat();
}
