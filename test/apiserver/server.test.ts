import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../src/apiserver/server.ts';
import { realClock } from '../../src/core/clock.ts';
import { prefix } from '../../src/core/ip.ts';
import { createKubeClient } from '../../src/kube/request.ts';
import { accessOf } from '../kube/rig.ts';
import { ask, watchLines } from './client.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const services = '/api/v1/namespaces/default/services';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const pods = '/api/v1/namespaces/default/pods';

const configMap = (name: string, labels: object = {}) => ({ metadata: { name, labels } });
const namesOf = (lines: readonly { type: string; object: { metadata: { name?: string } } }[]) =>
  lines.map((line) => `${line.type} ${line.object.metadata.name ?? ''}`);

type Metadata = { readonly [field: string]: string } & { readonly labels: object };
const metadataOf = (body: object) => (body as { metadata: Metadata }).metadata;
type Spec = Readonly<Record<string, unknown>>;
const specOf = (body: object) => (body as { spec: Spec }).spec;

describe('the small API server', () => {
  let server: ApiServer;
  let url: string;
  beforeEach(async () => {
    server = await createApiServer();
    url = server.url;
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('creates, reads, replaces and deletes', async () => {
    const created = await ask(url, 'POST', maps, { ...configMap('a'), data: { x: '1' } });
    assert.equal(created.status, 201);
    const { uid, resourceVersion, creationTimestamp, namespace } = metadataOf(created.body);
    assert.match(uid ?? '', /^[0-9a-f-]{36}$/);
    assert.match(creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(namespace, 'default');
    assert.deepEqual((await ask(url, 'GET', `${maps}/a`)).body, created.body);
    const replaced = await ask(url, 'PUT', `${maps}/a`, { ...created.body, data: { x: '2' } });
    assert.equal(replaced.status, 200);
    assert.ok(Number(metadataOf(replaced.body).resourceVersion) > Number(resourceVersion));
    assert.equal((await ask(url, 'DELETE', `${maps}/a`)).status, 200);
    assert.equal((await ask(url, 'GET', `${maps}/a`)).status, 404);
  });

  it('refuses a write with an old resourceVersion, and one that changes nothing makes no revision', async () => {
    const { body } = await ask(url, 'POST', maps, configMap('a'));
    const changed = await ask(url, 'PUT', `${maps}/a`, { ...body, data: { x: '2' } });
    const conflict = await ask(url, 'PUT', `${maps}/a`, { ...body, data: { x: '3' } });
    assert.deepEqual([conflict.status, conflict.body.reason], [409, 'Conflict']);
    const again = await ask(url, 'PUT', `${maps}/a`, changed.body);
    assert.deepEqual(again.body, changed.body);
  });

  const refusals = [
    {
      name: 'a name that exists',
      method: 'POST',
      path: maps,
      body: configMap('taken'),
      status: 409,
    },
    { name: 'a name with capitals', method: 'POST', path: maps, body: configMap('A'), status: 422 },
    { name: 'no name', method: 'POST', path: maps, body: { metadata: {} }, status: 422 },
    {
      name: 'another kind',
      method: 'POST',
      path: maps,
      body: { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'x' } },
      status: 400,
    },
    { name: 'text that is no JSON', method: 'POST', path: maps, body: '{', status: 400 },
    {
      name: 'a namespace that is not there',
      method: 'POST',
      path: maps.replace('default', 'nowhere'),
      body: configMap('x'),
      status: 404,
    },
    { name: 'an unknown resource', method: 'GET', path: '/api/v1/widgets', status: 404 },
    { name: 'an unknown verb', method: 'PUT', path: maps, body: {}, status: 405 },
    {
      name: 'a dry run',
      method: 'POST',
      path: `${maps}?dryRun=All`,
      body: configMap('x'),
      status: 400,
    },
    {
      name: 'a body over 3 MiB',
      method: 'POST',
      path: maps,
      body: { ...configMap('x'), data: { x: 'x'.repeat(3 * 1024 * 1024) } },
      status: 413,
    },
    {
      name: 'a selector that is none',
      method: 'GET',
      path: `${maps}?labelSelector=a%20b`,
      status: 400,
    },
    {
      name: 'an unknown field',
      method: 'GET',
      path: `${maps}?fieldSelector=spec.x=1`,
      status: 400,
    },
  ];
  for (const { name, method, path, body, status } of refusals) {
    it(`refuses ${name} with ${status} and a Status object`, async () => {
      await ask(url, 'POST', maps, configMap('taken'));
      const answer = await ask(url, method, path, body);
      assert.deepEqual(
        [answer.status, answer.body.kind, answer.body.code],
        [status, 'Status', status],
      );
    });
  }

  const patches = [
    {
      name: 'a merge patch',
      type: 'application/merge-patch+json',
      patch: { metadata: { labels: { a: null, b: '2' } } },
      labels: { b: '2' },
    },
    {
      name: 'a strategic merge patch',
      type: 'application/strategic-merge-patch+json',
      patch: { metadata: { labels: { a: null, c: '3' } } },
      labels: { c: '3' },
    },
    {
      name: 'a JSON patch',
      type: 'application/json-patch+json',
      patch: [
        { op: 'test', path: '/metadata/labels/a', value: '1' },
        { op: 'add', path: '/metadata/labels/x~1y', value: '4' },
        { op: 'remove', path: '/metadata/labels/a' },
      ],
      labels: { 'x/y': '4' },
    },
    {
      name: 'a server-side apply',
      type: 'application/apply-patch+yaml',
      patch: 'metadata:\n  labels: {d: "5"}\n',
      labels: { a: '1', d: '5' },
    },
  ];
  for (const { name, type, patch, labels } of patches) {
    it(`applies ${name}`, async () => {
      await ask(url, 'POST', maps, configMap('a', { a: '1' }));
      const { status, body } = await ask(url, 'PATCH', `${maps}/a`, patch, type);
      assert.deepEqual([status, metadataOf(body).labels], [200, labels]);
    });
  }

  it('refuses a JSON patch whose test fails, and changes nothing', async () => {
    await ask(url, 'POST', maps, configMap('a', { a: '1' }));
    const patch = [
      { op: 'remove', path: '/metadata/labels/a' },
      { op: 'test', path: '/metadata/name', value: 'b' },
    ];
    const type = 'application/json-patch+json';
    assert.equal((await ask(url, 'PATCH', `${maps}/a`, patch, type)).status, 422);
    assert.deepEqual(metadataOf((await ask(url, 'GET', `${maps}/a`)).body).labels, { a: '1' });
  });

  it('creates by server-side apply what is not there', async () => {
    const type = 'application/apply-patch+yaml';
    const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n';
    assert.equal((await ask(url, 'PATCH', `${maps}/new`, text, type)).status, 200);
  });

  const selections = [
    { query: 'labelSelector=tier=web', names: ['a', 'b'] },
    { query: 'labelSelector=tier!=web', names: ['c', 'd'] },
    { query: 'labelSelector=tier', names: ['a', 'b', 'c'] },
    { query: 'labelSelector=!tier', names: ['d'] },
    { query: 'labelSelector=tier in (web,db),env=x', names: ['a', 'c'] },
    { query: 'labelSelector=tier notin (web)', names: ['c', 'd'] },
    { query: 'fieldSelector=metadata.name=b', names: ['b'] },
    { query: 'fieldSelector=metadata.name!=b,metadata.namespace=default', names: ['a', 'c', 'd'] },
  ];
  for (const { query, names } of selections) {
    it(`selects by ${query}`, async () => {
      await ask(url, 'POST', maps, configMap('a', { tier: 'web', env: 'x' }));
      await ask(url, 'POST', maps, configMap('b', { tier: 'web' }));
      await ask(url, 'POST', maps, configMap('c', { tier: 'db', env: 'x' }));
      await ask(url, 'POST', maps, configMap('d'));
      const [field, ...rest] = query.split('=');
      const encoded = `${field}=${encodeURIComponent(rest.join('='))}`;
      const { body } = await ask(url, 'GET', `${maps}?${encoded}`);
      const items = body.items as readonly object[];
      assert.deepEqual(
        items.map((item) => metadataOf(item).name),
        names,
      );
    });
  }

  it('shows one picture in all pages of a list, and says 410 when it is forgotten', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await ask(url, 'POST', maps, configMap(name));
    const first = await ask(url, 'GET', `${maps}?limit=2`);
    await ask(url, 'DELETE', `${maps}/c`);
    await ask(url, 'POST', maps, configMap('c2'));
    const { continue: token, resourceVersion } = metadataOf(first.body);
    const second = await ask(url, 'GET', `${maps}?limit=2&continue=${token}`);
    const names = (second.body.items as readonly object[]).map((item) => metadataOf(item).name);
    assert.deepEqual(names, ['c', 'd']);
    assert.equal(metadataOf(second.body).resourceVersion, resourceVersion);
    server.compact();
    const gone = await ask(url, 'GET', `${maps}?limit=2&continue=${token}`);
    assert.deepEqual([gone.status, gone.body.reason], [410, 'Expired']);
  });

  it('watches from a revision without loss, and from none with the state first', async () => {
    await ask(url, 'POST', maps, configMap('a'));
    const list = await ask(url, 'GET', maps);
    const { resourceVersion } = metadataOf(list.body);
    await ask(url, 'POST', maps, configMap('b'));
    await ask(url, 'DELETE', `${maps}/a`);
    const query = `watch=1&resourceVersion=${resourceVersion}`;
    const lines = await watchLines(url, `${maps}?${query}`, 2);
    assert.deepEqual(namesOf(lines), ['ADDED b', 'DELETED a']);
    assert.deepEqual(namesOf(await watchLines(url, `${maps}?watch=1`, 1)), ['ADDED b']);
  });

  it('answers a watch from a forgotten revision with an ERROR of 410', async () => {
    server.compact();
    await ask(url, 'POST', maps, configMap('a'));
    const [line] = await watchLines(url, `${maps}?watch=1&resourceVersion=1`, 1);
    assert.equal(line?.type, 'ERROR');
    assert.match(JSON.stringify(line), /"code":410/);
  });

  it('forgets the oldest changes of a resource beyond its history limit', async () => {
    await using small = await createApiServer({ historyLimit: 10 });
    for (let i = 0; i < 30; i++)
      small.load(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', ...configMap(`m${i}`) }));
    const [line] = await watchLines(small.url, `${maps}?watch=1&resourceVersion=2`, 1);
    assert.equal(line?.type, 'ERROR');
    const recent = small.api.storage.revision - 3;
    const lines = await watchLines(small.url, `${maps}?watch=1&resourceVersion=${recent}`, 3);
    assert.deepEqual(namesOf(lines), ['ADDED m27', 'ADDED m28', 'ADDED m29']);
  });

  it('tells a watcher with a selector that an object came or went when its labels change', async () => {
    await ask(url, 'POST', maps, configMap('a'));
    const watching = watchLines(url, `${maps}?watch=1&labelSelector=on`, 3);
    const merge = 'application/merge-patch+json';
    const label = (value: string | null) =>
      ask(url, 'PATCH', `${maps}/a`, { metadata: { labels: { on: value } } }, merge);
    await label('1');
    await label('2');
    await label(null);
    assert.deepEqual(namesOf(await watching), ['ADDED a', 'MODIFIED a', 'DELETED a']);
  });

  it('ends the initial events of WatchList with a marked bookmark', async () => {
    await ask(url, 'POST', maps, configMap('a'));
    const query =
      'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const [added, bookmark] = await watchLines(url, `${maps}?${query}`, 2);
    assert.equal(added?.type, 'ADDED');
    assert.equal(bookmark?.type, 'BOOKMARK');
    assert.match(JSON.stringify(bookmark), /"k8s.io\/initial-events-end":"true"/);
  });

  it('ends a watch after the time that it asked for', async () => {
    const lines = await watchLines(url, `${maps}?watch=1&timeoutSeconds=1`, 99);
    assert.deepEqual(lines, []);
  });

  it('keeps status and spec apart, and counts generations of the spec only', async () => {
    const spec = { replicas: 1, selector: { matchLabels: { a: 'b' } } };
    const { body } = await ask(url, 'POST', deployments, { metadata: { name: 'd' }, spec });
    const status = { readyReplicas: 1 };
    const first = await ask(url, 'PUT', `${deployments}/d/status`, { ...body, spec: {}, status });
    assert.deepEqual([first.body.spec, first.body.status], [spec, status]);
    const second = await ask(url, 'PUT', `${deployments}/d`, {
      ...first.body,
      spec: { ...spec, replicas: 2 },
      status: {},
    });
    assert.deepEqual(second.body.status, status);
    assert.equal(metadataOf(second.body).generation, 2);
  });

  it('scales through the scale subresource', async () => {
    const spec = { replicas: 1, selector: { matchLabels: { a: 'b' } } };
    await ask(url, 'POST', deployments, { metadata: { name: 'd' }, spec });
    const scale = await ask(url, 'GET', `${deployments}/d/scale`);
    assert.deepEqual([scale.body.kind, specOf(scale.body)], ['Scale', { replicas: 1 }]);
    const merge = 'application/merge-patch+json';
    await ask(url, 'PATCH', `${deployments}/d/scale`, { spec: { replicas: 7 } }, merge);
    assert.equal(specOf((await ask(url, 'GET', `${deployments}/d`)).body).replicas, 7);
  });

  it('lets a pod on a node end gracefully, and removes it with a grace period of zero', async () => {
    const metadata = { name: 'p' };
    await ask(url, 'POST', pods, { metadata, spec: { nodeName: 'n1', containers: [] } });
    const ending = await ask(url, 'DELETE', `${pods}/p`);
    assert.match(metadataOf(ending.body).deletionTimestamp ?? '', /Z$/);
    assert.equal((await ask(url, 'GET', `${pods}/p`)).status, 200);
    await ask(url, 'DELETE', `${pods}/p?gracePeriodSeconds=0`);
    assert.equal((await ask(url, 'GET', `${pods}/p`)).status, 404);
  });

  it('keeps an object with finalizers until the last one is gone', async () => {
    await ask(url, 'POST', maps, { metadata: { name: 'a', finalizers: ['x/y'] } });
    await ask(url, 'DELETE', `${maps}/a`);
    assert.equal((await ask(url, 'GET', `${maps}/a`)).status, 200);
    const merge = 'application/merge-patch+json';
    await ask(url, 'PATCH', `${maps}/a`, { metadata: { finalizers: null } }, merge);
    assert.equal((await ask(url, 'GET', `${maps}/a`)).status, 404);
  });

  it('deletes everything in a namespace with it', async () => {
    server.load('{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}');
    await ask(url, 'DELETE', '/api/v1/namespaces/shop');
    const { body } = await ask(url, 'GET', '/api/v1/configmaps');
    assert.deepEqual(body.items, []);
  });

  it('serves the same on a unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kvr-api-'));
    try {
      await using local = await createApiServer({ socketPath: join(folder, 'api.sock') });
      assert.equal(local.url, `unix:${join(folder, 'api.sock')}`);
      await using client = createKubeClient(await accessOf(local.url), realClock);
      const call = { method: 'GET', path: '/api/v1/namespaces/default' } as const;
      const answer = await client.request(call, new AbortController().signal);
      assert.equal(metadataOf(answer as object).name, 'default');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('Services on the small API server', () => {
  const dual = [prefix('10.96.0.0/24'), prefix('fd00:10:96::/120')];
  const cases = [
    { name: 'the default', spec: {}, ips: ['10.96.0.16'], families: ['IPv4'] },
    {
      name: 'IPv6 only',
      spec: { ipFamilies: ['IPv6'] },
      ips: ['fd00:10:96::10'],
      families: ['IPv6'],
    },
    {
      name: 'dual stack',
      spec: { ipFamilyPolicy: 'RequireDualStack' },
      ips: ['10.96.0.16', 'fd00:10:96::10'],
      families: ['IPv4', 'IPv6'],
    },
    {
      name: 'dual stack, IPv6 first',
      spec: { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] },
      ips: ['fd00:10:96::10', '10.96.0.16'],
      families: ['IPv6', 'IPv4'],
    },
    {
      name: 'an address of its choice',
      spec: { clusterIP: '10.96.0.5' },
      ips: ['10.96.0.5'],
      families: ['IPv4'],
    },
    { name: 'none', spec: { clusterIP: 'None' }, ips: ['None'], families: ['IPv4'] },
  ];
  for (const { name, spec, ips, families } of cases) {
    it(`get cluster IPs: ${name}`, async () => {
      await using server = await createApiServer({ serviceCidrs: dual });
      const object = { metadata: { name: 's' }, spec: { ports: [{ port: 80 }], ...spec } };
      const { body } = await ask(server.url, 'POST', services, object);
      const got = specOf(body);
      assert.deepEqual([got.clusterIPs, got.clusterIP, got.ipFamilies], [ips, ips[0], families]);
    });
  }

  it('get node ports, defaults of ports and of affinity, and give everything back', async () => {
    await using server = await createApiServer({ serviceCidrs: dual });
    const spec = { type: 'NodePort', sessionAffinity: 'ClientIP', ports: [{ port: 80 }] };
    const create = () => ask(server.url, 'POST', services, { metadata: { name: 's' }, spec });
    const first = specOf((await create()).body);
    assert.deepEqual(first.ports, [
      { protocol: 'TCP', port: 80, targetPort: 80, nodePort: 30_000 },
    ]);
    assert.deepEqual(first.sessionAffinityConfig, { clientIP: { timeoutSeconds: 10_800 } });
    const taken = await ask(server.url, 'POST', services, {
      metadata: { name: 'other' },
      spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30_000 }] },
    });
    assert.equal(taken.status, 422);
    await ask(server.url, 'DELETE', `${services}/s`);
    const again = await ask(server.url, 'POST', services, {
      metadata: { name: 'other' },
      spec: { type: 'NodePort', clusterIP: '10.96.0.16', ports: [{ port: 80, nodePort: 30_000 }] },
    });
    assert.equal(again.status, 201);
  });

  it('keep their addresses and node ports over an update that does not name them', async () => {
    await using server = await createApiServer({ serviceCidrs: dual });
    const spec = { type: 'NodePort', ports: [{ port: 80 }] };
    const { body } = await ask(server.url, 'POST', services, { metadata: { name: 's' }, spec });
    const update = { metadata: { name: 's' }, spec: { ...spec, externalIPs: ['192.0.2.1'] } };
    const updated = await ask(server.url, 'PUT', `${services}/s`, update);
    assert.deepEqual(specOf(updated.body), { ...specOf(body), externalIPs: ['192.0.2.1'] });
  });

  it('lose and get addresses when their type changes to ExternalName and back', async () => {
    await using server = await createApiServer({ serviceCidrs: dual });
    const object = (spec: object) => ({ metadata: { name: 's' }, spec });
    await ask(server.url, 'POST', services, object({ ports: [{ port: 80 }] }));
    const named = object({ type: 'ExternalName', externalName: 'example.net' });
    const { body } = await ask(server.url, 'PUT', `${services}/s`, named);
    assert.equal(specOf(body).clusterIP, undefined);
    const back = await ask(server.url, 'PUT', `${services}/s`, object({ ports: [{ port: 80 }] }));
    assert.match(String(specOf(back.body).clusterIP), /^10\.96\.0\./);
  });

  it('are refused when the CIDR is full, and the next one fits after a deletion', async () => {
    await using server = await createApiServer({ serviceCidrs: [prefix('10.96.0.0/29')] });
    const create = (i: number) =>
      ask(server.url, 'POST', services, {
        metadata: { name: `s${i}` },
        spec: { ports: [{ port: 1 }] },
      });
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await create(i)).status);
    assert.deepEqual(statuses, [201, 201, 201, 201, 201, 201, 500]);
    await ask(server.url, 'DELETE', `${services}/s3`);
    assert.equal((await create(8)).status, 201);
  });
});
