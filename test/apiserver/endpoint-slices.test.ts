import assert from 'node:assert/strict';
import { findResource } from '../../src/apiserver/resources.ts';
import { type ApiServer, createApiServer } from '../../src/apiserver/server.ts';

/** The slices of all Services, one line an endpoint. */
function slicesOn(server: ApiServer): readonly string[] {
  server.flush();
  return rawSlices(server).flatMap((slice) => {
    const ports = (slice.ports as readonly { name: string; port: number }[])
      .map((port) => `${port.name}${port.port}`)
      .join(',');
    const endpoints = slice.endpoints as readonly {
      addresses: readonly string[];
      conditions: { ready: boolean; serving: boolean; terminating: boolean };
      nodeName?: string;
      zone?: string;
    }[];
    return endpoints.map(({ addresses, conditions, nodeName, zone }) => {
      const state = Object.entries(conditions).flatMap(([name, value]) => (value ? [name] : []));
      return `${addresses.join()}:${ports} ${state.join('+') || 'none'} ${nodeName ?? '-'} ${zone ?? '-'}`;
    });
  });
}

function rawSlices(server: ApiServer) {
  const resource = findResource('discovery.k8s.io', 'v1', 'endpointslices');
  assert.ok(resource !== undefined);
  return server.api.storage.list(resource);
}

const load = (server: ApiServer, object: object) => server.load(JSON.stringify(object));

function pod(
  name: string,
  ips: readonly string[],
  fields: { labels?: object; ready?: boolean; spec?: object; phase?: string } = {},
) {
  const { labels = { app: 'web' }, ready = true, phase = 'Running' } = fields;
  const ports = [{ name: 'http', containerPort: 8080 }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { nodeName: 'n1', containers: [{ name: 'c', ports }], ...fields.spec },
    status: {
      phase,
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

function service(spec: object = {}) {
  const ports = [{ name: 'http', port: 80, targetPort: 'http' }];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports, ...spec },
  };
}

describe('the EndpointSlices of a Service', () => {
  let server: ApiServer;
  beforeEach(async () => {
    server = await createApiServer();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('hold its ready Pods with their own numbers of a named port, node and zone', () => {
    const labels = { 'topology.kubernetes.io/zone': 'z1' };
    load(server, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', labels } });
    load(server, service());
    load(server, pod('a', ['10.0.0.1']));
    const ports = [{ name: 'http', containerPort: 9090 }];
    load(server, pod('b', ['10.0.0.2'], { spec: { nodeName: 'n2', containers: [{ ports }] } }));
    load(server, pod('c', ['10.0.0.3'], { labels: { app: 'other' } }));
    assert.deepEqual(slicesOn(server).toSorted(), [
      '10.0.0.1:http8080 ready+serving n1 z1',
      '10.0.0.2:http9090 ready+serving n2 -',
    ]);
  });

  it('follow readiness, labels, phase, termination and removal', () => {
    load(server, service());
    load(server, pod('a', ['10.0.0.1']));
    assert.deepEqual(slicesOn(server), ['10.0.0.1:http8080 ready+serving n1 -']);
    load(server, pod('a', ['10.0.0.1'], { ready: false }));
    assert.deepEqual(slicesOn(server), ['10.0.0.1:http8080 none n1 -']);
    load(server, pod('a', ['10.0.0.1'], { labels: { app: 'x' } }));
    assert.deepEqual(slicesOn(server), []);
    load(server, pod('a', ['10.0.0.1']));
    assert.deepEqual(slicesOn(server), ['10.0.0.1:http8080 ready+serving n1 -']);
    const pods = findResource('', 'v1', 'pods');
    assert.ok(pods !== undefined);
    server.api.remove(pods, 'default/a');
    assert.deepEqual(slicesOn(server), ['10.0.0.1:http8080 serving+terminating n1 -']);
    server.api.remove(pods, 'default/a', 0);
    assert.deepEqual(slicesOn(server), []);
    load(server, pod('b', ['10.0.0.2'], { phase: 'Succeeded' }));
    assert.deepEqual(slicesOn(server), []);
  });

  it('publish Pods that are not ready where the Service says so', () => {
    load(server, service({ publishNotReadyAddresses: true }));
    load(server, pod('a', ['10.0.0.1'], { ready: false }));
    assert.deepEqual(slicesOn(server), ['10.0.0.1:http8080 ready+serving n1 -']);
  });

  it('are one a family, for the families of the Service', () => {
    load(server, service({ ipFamilyPolicy: 'RequireDualStack' }));
    load(server, pod('a', ['10.0.0.1', 'fd00::1']));
    assert.deepEqual(slicesOn(server).toSorted(), [
      '10.0.0.1:http8080 ready+serving n1 -',
      'fd00::1:http8080 ready+serving n1 -',
    ]);
    assert.deepEqual(
      rawSlices(server)
        .map((slice) => slice.addressType)
        .toSorted(),
      ['IPv4', 'IPv6'],
    );
  });

  it('carry the labels that proxies read, and the time of the change', () => {
    load(server, service({ clusterIP: 'None' }));
    load(server, pod('a', ['10.0.0.1']));
    server.flush();
    const [slice] = rawSlices(server);
    assert.deepEqual(slice?.metadata.labels, {
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      'service.kubernetes.io/headless': '',
    });
    const trigger =
      slice?.metadata.annotations?.['endpoints.kubernetes.io/last-change-trigger-time'];
    assert.ok(Math.abs(Date.now() - Date.parse(trigger ?? '')) < 5000);
  });

  it('hold at most 100 endpoints each, and a change of one Pod writes one slice', () => {
    load(server, service());
    for (let i = 0; i < 250; i++) load(server, pod(`p${i}`, [`10.0.1.${i}`]));
    server.flush();
    const sizes = rawSlices(server).map((slice) => (slice.endpoints as readonly object[]).length);
    assert.deepEqual(
      sizes.toSorted((a, b) => a - b),
      [50, 100, 100],
    );
    const { revision } = server.api.storage;
    load(server, pod('p7', ['10.0.1.7'], { ready: false }));
    server.flush();
    // One for the Pod (main object, then status), one for its slice.
    assert.ok(server.api.storage.revision - revision <= 3);
    assert.equal(slicesOn(server).length, 250);
  });

  it('go with their Service, and slices of other origin stay', () => {
    load(server, service());
    load(server, pod('a', ['10.0.0.1']));
    load(server, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'own', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'], conditions: {} }],
      ports: [{ name: 'http', port: 1 }],
    });
    const services = findResource('', 'v1', 'services');
    assert.ok(services !== undefined);
    server.flush();
    assert.equal(rawSlices(server).length, 2);
    server.api.remove(services, 'default/web');
    server.flush();
    assert.deepEqual(
      rawSlices(server).map((slice) => slice.metadata.name),
      ['own'],
    );
  });
});
