import assert from 'node:assert/strict';
import { createFaultProxy, type FaultProxy } from '../kube/fault-proxy.ts';
import { type TestServer, testServers } from '../kube/servers.ts';
import { type Answer, ask, watchLines } from './client.ts';

/**
 * What clients rely on, asked of the small API server and of a real one: the small one is only
 * worth testing with as far as both answer alike.
 */
const maps = '/api/v1/namespaces/default/configmaps';
const services = '/api/v1/namespaces/default/services';
const pods = '/api/v1/namespaces/default/pods';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const merge = 'application/merge-patch+json';

const configMap = (name: string, labels: object = {}) => ({ metadata: { name, labels } });
const metadataOf = ({ body }: Answer) => body.metadata as Readonly<Record<string, string>>;
const specOf = ({ body }: Answer) => body.spec as Readonly<Record<string, unknown>>;
const container = { name: 'c', image: 'x' };

for (const kind of testServers) {
  describe(`the API as ${kind.name} serves it`, function () {
    this.timeout(kind.timeoutMs);
    let server: TestServer;
    let proxy: FaultProxy;
    let url: string;
    let count = 0;
    const freshName = () => `parity-${++count}`;

    before(async () => {
      server = await kind.start();
      proxy = await createFaultProxy(server);
      url = proxy.url;
    });
    after(async () => {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    });

    it('refuses what exists, what is not there, and an old resourceVersion', async () => {
      const name = freshName();
      const first = await ask(url, 'POST', maps, configMap(name));
      const twice = await ask(url, 'POST', maps, configMap(name));
      const missing = await ask(url, 'GET', `${maps}/nowhere`);
      const space = maps.replace('default', 'nowhere');
      const homeless = await ask(url, 'POST', space, configMap(name));
      await ask(url, 'PUT', `${maps}/${name}`, { ...first.body, data: { a: '1' } });
      const stale = await ask(url, 'PUT', `${maps}/${name}`, { ...first.body, data: { a: '2' } });
      const answers = [twice, missing, homeless, stale];
      assert.deepEqual(
        answers.map(({ status, body }) => [status, body.kind, body.reason]),
        [
          [409, 'Status', 'AlreadyExists'],
          [404, 'Status', 'NotFound'],
          [404, 'Status', 'NotFound'],
          [409, 'Status', 'Conflict'],
        ],
      );
    });

    it('makes no revision for a write that changes nothing', async () => {
      const name = freshName();
      await ask(url, 'POST', maps, configMap(name, { a: '1' }));
      const before = await ask(url, 'GET', `${maps}/${name}`);
      const patch = { metadata: { labels: { a: '1' } } };
      const after = await ask(url, 'PATCH', `${maps}/${name}`, patch, merge);
      assert.equal(metadataOf(after).resourceVersion, metadataOf(before).resourceVersion);
    });

    it('tells a watcher with a selector that an object came, changed and went', async () => {
      const name = freshName();
      await ask(url, 'POST', maps, configMap(name));
      const { resourceVersion } = metadataOf(await ask(url, 'GET', maps));
      const label = (value: string | null) =>
        ask(url, 'PATCH', `${maps}/${name}`, { metadata: { labels: { on: value } } }, merge);
      await label('1');
      await label('2');
      await label(null);
      const query = `watch=1&labelSelector=on&resourceVersion=${resourceVersion}`;
      const lines = await watchLines(url, `${maps}?${query}`, 3);
      assert.deepEqual(
        lines.map((line) => line.type),
        ['ADDED', 'MODIFIED', 'DELETED'],
      );
      const revisions = lines.map((line) => Number(line.object.metadata.resourceVersion));
      assert.deepEqual(
        revisions,
        revisions.toSorted((a, b) => a - b),
      );
    });

    it('says 410 in the stream for a revision that it no longer knows', async () => {
      server.compact?.();
      await ask(url, 'POST', maps, configMap(freshName()));
      const [line] = await watchLines(url, `${maps}?watch=1&resourceVersion=1`, 1);
      assert.equal(line?.type, 'ERROR');
      const status = JSON.stringify(line?.object);
      for (const part of ['"kind":"Status"', '"code":410', '"reason":"Expired"']) {
        assert.ok(status.includes(part), status);
      }
    });

    it('lists in pages that show one picture', async () => {
      const space = freshName();
      await ask(url, 'POST', '/api/v1/namespaces', { metadata: { name: space } });
      const path = maps.replace('default', space);
      for (const name of ['a', 'b', 'c']) await ask(url, 'POST', path, configMap(name));
      const first = await ask(url, 'GET', `${path}?limit=2`);
      await ask(url, 'DELETE', `${path}/c`);
      const { continue: token = '' } = metadataOf(first);
      const second = await ask(url, 'GET', `${path}?limit=2&continue=${encodeURIComponent(token)}`);
      const [item] = second.body.items as readonly {
        readonly metadata: { readonly name: string };
      }[];
      assert.equal(item?.metadata.name, 'c');
      assert.equal(metadataOf(second).resourceVersion, metadataOf(first).resourceVersion);
      assert.equal((first.body.metadata as { remainingItemCount: number }).remainingItemCount, 1);
    });

    it('gives a Service its addresses, node port and defaults', async () => {
      const spec = {
        type: 'NodePort',
        ipFamilyPolicy: 'RequireDualStack',
        sessionAffinity: 'ClientIP',
        selector: { a: 'b' },
        ports: [{ port: 80 }],
      };
      const name = freshName();
      const created = specOf(await ask(url, 'POST', services, { metadata: { name }, spec }));
      const [port] = created.ports as readonly Readonly<Record<string, unknown>>[];
      const ips = created.clusterIPs as readonly string[];
      assert.equal(ips.length, 2);
      assert.equal(created.clusterIP, ips[0]);
      assert.ok(Number(port?.nodePort) >= 30_000 && Number(port?.nodePort) <= 32_767);
      const { clusterIP: _ip, clusterIPs: _ips, ports: _ports, ...rest } = created;
      assert.deepEqual(
        { ...rest, port: { ...port, nodePort: 0 } },
        {
          type: 'NodePort',
          selector: { a: 'b' },
          ipFamilies: ['IPv4', 'IPv6'],
          ipFamilyPolicy: 'RequireDualStack',
          sessionAffinity: 'ClientIP',
          sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
          internalTrafficPolicy: 'Cluster',
          externalTrafficPolicy: 'Cluster',
          port: { protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0 },
        },
      );
      const named = { spec: { type: 'ExternalName', externalName: 'example.net' } };
      const renamed = specOf(await ask(url, 'PATCH', `${services}/${name}`, named, merge));
      assert.equal(renamed.clusterIPs, undefined);
    });

    it('lets a pod on a node end gracefully', async () => {
      const name = freshName();
      const spec = { nodeName: 'n1', containers: [container] };
      await ask(url, 'POST', pods, { metadata: { name }, spec });
      const ending = await ask(url, 'DELETE', `${pods}/${name}`);
      assert.ok(metadataOf(ending).deletionTimestamp !== undefined);
      assert.equal((await ask(url, 'GET', `${pods}/${name}`)).status, 200);
      await ask(url, 'DELETE', `${pods}/${name}?gracePeriodSeconds=0`);
      assert.equal((await ask(url, 'GET', `${pods}/${name}`)).status, 404);
    });

    it('keeps status and spec apart, counts generations, and scales', async () => {
      const name = freshName();
      const labels = { a: 'b' };
      const template = { metadata: { labels }, spec: { containers: [container] } };
      const spec = { replicas: 1, selector: { matchLabels: labels }, template };
      await ask(url, 'POST', deployments, { metadata: { name }, spec });
      const path = `${deployments}/${name}`;
      const both = { spec: { replicas: 3 }, status: { replicas: 1 } };
      const status = await ask(url, 'PATCH', `${path}/status`, both, merge);
      assert.deepEqual([specOf(status).replicas, metadataOf(status).generation], [1, 1]);
      await ask(url, 'PATCH', `${path}/scale`, { spec: { replicas: 7 } }, merge);
      const scaled = await ask(url, 'GET', path);
      assert.deepEqual([specOf(scaled).replicas, metadataOf(scaled).generation], [7, 2]);
      assert.equal((scaled.body.status as { replicas: number }).replicas, 1);
    });

    it('refuses a JSON patch whose test fails', async () => {
      const name = freshName();
      await ask(url, 'POST', maps, configMap(name));
      const patch = [{ op: 'test', path: '/metadata/name', value: 'other' }];
      const type = 'application/json-patch+json';
      assert.equal((await ask(url, 'PATCH', `${maps}/${name}`, patch, type)).status, 422);
    });
  });
}
