import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { createFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { createWriter, startRig, type Writer } from './rig.ts';
import { type TestServer, testServers } from './servers.ts';

const services = '/api/v1/namespaces/default/services';
const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies';

function service(name: string, labels: Record<string, string> = {}) {
  return { metadata: { name, labels }, spec: { ports: [{ port: 80 }] } };
}

function policy(name: string) {
  return { metadata: { name }, spec: { podSelector: {} } };
}

for (const kind of testServers) {
  describe(`the Kubernetes source on ${kind.name}`, function () {
    this.timeout(kind.timeoutMs);
    let server: TestServer;
    let proxy: FaultProxy;
    let direct: FaultProxy;
    let writer: Writer;
    let count = 0;
    const freshName = () => `test-${++count}`;

    before(async () => {
      server = await kind.start();
      proxy = await createFaultProxy(server);
      // Writes go another way, past the faults.
      direct = await createFaultProxy(server);
      writer = await createWriter(direct.url);
    });

    after(async () => {
      await writer[Symbol.asyncDispose]();
      await direct[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    });

    for (const watchList of [true, false]) {
      const how = watchList ? 'a WatchList stream' : 'pages';
      it(`takes what exists from ${how} and follows create, change and delete`, async () => {
        const name = freshName();
        await writer.create(services, service(name));
        await using rig = await startRig(proxy.url, ['services'], { watchList });
        await rig.source.synced;
        const { services: facts } = rig.store.facts;
        assert.equal(facts.get(`default/${name}`)?.ports[0]?.port, 80);
        const other = freshName();
        await writer.create(services, service(other));
        await rig.until(() => facts.has(`default/${other}`));
        await writer.patch(`${services}/${name}`, { spec: { externalIPs: ['192.0.2.1'] } });
        await rig.until(() => facts.get(`default/${name}`)?.externalIps.length === 1);
        await writer.remove(`${services}/${name}`);
        await rig.until(() => !facts.has(`default/${name}`));
        assert.deepEqual(rig.warnings, []);
        const [state] = rig.source.state();
        assert.equal(state?.synced, true);
        assert.equal(state?.error, undefined);
      });
    }

    it('uses WatchList where the server has it, and pages where it has not', async () => {
      const from = proxy.requests.length;
      await using rig = await startRig(proxy.url, ['nodes']);
      await rig.source.synced;
      const paths = proxy.requests.slice(from);
      assert.match(paths[0] ?? '', /sendInitialEvents=true/);
      assert.equal(paths.length, server.watchList ? 1 : 2);
      assert.deepEqual(rig.warnings, []);
    });

    it('KP-01 a Service that gets the label service-proxy-name leaves, and comes back without it', async () => {
      const label = 'service.kubernetes.io/service-proxy-name';
      const name = freshName();
      await using rig = await startRig(proxy.url, ['services']);
      await rig.source.synced;
      const { services: facts } = rig.store.facts;
      await writer.create(services, service(name));
      await rig.until(() => facts.has(`default/${name}`));
      await writer.patch(`${services}/${name}`, { metadata: { labels: { [label]: 'other' } } });
      await rig.until(() => !facts.has(`default/${name}`));
      await writer.patch(`${services}/${name}`, { metadata: { labels: { [label]: null } } });
      await rig.until(() => facts.has(`default/${name}`));
    });

    it('KP-02 Services and slices with the label headless never arrive', async () => {
      const labels = { 'service.kubernetes.io/headless': '' };
      const [hidden, shown] = [freshName(), freshName()];
      await using rig = await startRig(proxy.url, ['services', 'slices']);
      await rig.source.synced;
      const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
      for (const [name, own] of [
        [hidden, labels],
        [shown, {}],
      ] as const) {
        await writer.create(services, service(name, own));
        const sliceLabels = { ...own, 'kubernetes.io/service-name': name };
        const metadata = { name, labels: sliceLabels };
        const endpoints = [{ addresses: ['192.0.2.7'] }];
        const ports = [{ name: '', port: 80, protocol: 'TCP' }];
        await writer.create(slices, { metadata, addressType: 'IPv4', endpoints, ports });
      }
      const { facts } = rig.store;
      await rig.until(() => facts.services.has(`default/${shown}`));
      await rig.until(() => facts.slices.has(`default/${shown}`));
      assert.equal(facts.services.has(`default/${hidden}`), false);
      assert.equal(facts.slices.has(`default/${hidden}`), false);
    });

    it('reads a list of more than one page as one picture', async () => {
      const names = Array.from({ length: 510 }, () => freshName());
      for (let i = 0; i < names.length; i += 30) {
        const batch = names.slice(i, i + 30);
        await Promise.all(batch.map((name) => writer.create(policies, policy(name))));
      }
      const from = proxy.requests.length;
      await using rig = await startRig(proxy.url, ['policies'], { watchList: false });
      await rig.source.synced;
      for (const name of names) assert.ok(rig.store.facts.policies.has(`default/${name}`));
      const lists = proxy.requests.slice(from).filter((path) => path.includes('limit=500'));
      assert.equal(lists.length, 2);
      assert.match(lists[1] ?? '', /continue=/);
    });

    it('resumes a cut watch from the last revision, and lists nothing again', async () => {
      const name = freshName();
      await using rig = await startRig(proxy.url, ['services']);
      await rig.source.synced;
      await writer.create(services, service(name));
      await rig.until(() => rig.store.facts.services.has(`default/${name}`));
      const resumed = proxy.nextRequest(/watch=1/);
      proxy.cut();
      const missed = freshName();
      await writer.create(services, service(missed));
      assert.match(await resumed, /[?&]resourceVersion=\d+/);
      await rig.until(() => rig.store.facts.services.has(`default/${missed}`));
      assert.equal(rig.warnings.length, 1);
    });

    it('makes a new picture after 410 and notices what went meanwhile', async () => {
      const [gone, kept] = [freshName(), freshName()];
      await writer.create(services, service(gone));
      await writer.create(services, service(kept));
      await using rig = await startRig(proxy.url, ['services']);
      await rig.source.synced;
      const before = rig.store.facts.services.get(`default/${kept}`);
      // The server itself says 410: revision 1 is older than everything that it remembers.
      proxy.rewrite = (path) => path.replace(/([?&]resourceVersion=)\d+/, '$11');
      const relisted = proxy.nextRequest(/sendInitialEvents=true|limit=500/);
      const warned = rig.nextWarning();
      server.compact?.();
      proxy.cut();
      await writer.remove(`${services}/${gone}`);
      await warned;
      await relisted;
      proxy.rewrite = (path) => path;
      await rig.until(() => !rig.store.facts.services.has(`default/${gone}`));
      // What did not change is the same value, so no planner does anything for it.
      assert.equal(rig.store.facts.services.get(`default/${kept}`), before);
      assert.ok(rig.warnings.some((text) => /too old resource version|410/i.test(text)));
    });

    it('notices a server that went silent, at the latest when the watch outlives its time', async () => {
      const clock = createFakeClock();
      const name = freshName();
      await using rig = await startRig(proxy.url, ['services'], { clock });
      await rig.source.synced;
      proxy.freeze();
      await writer.create(services, service(name));
      const resumed = proxy.nextRequest(/watch=1/);
      // In steps: one long leap would also pass the deadlines of the requests that follow.
      for (let ms = 0; rig.warnings.length === 0 && ms <= 610_000; ms += 10_000) {
        await clock.advance(10_000);
      }
      const warned = rig.warnings[0] ?? (await rig.nextWarning());
      assert.match(warned, /silent for \d+ ms/);
      await clock.advance(1000);
      await resumed;
      await rig.until(() => rig.store.facts.services.has(`default/${name}`));
    });
  });
}
