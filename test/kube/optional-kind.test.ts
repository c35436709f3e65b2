import assert from 'node:assert/strict';
import { type ApiServer, createApiServer } from '../../src/apiserver/server.ts';
import { type Clock, createFakeClock, realClock } from '../../src/core/clock.ts';
import { createInterner } from '../../src/kube/intern.ts';
import { watchedKinds } from '../../src/kube/kinds.ts';
import { watchResource } from '../../src/kube/reflector.ts';
import { createKubeClient } from '../../src/kube/request.ts';
import { createFactSink } from '../../src/kube/sink.ts';
import { createStore } from '../../src/model/store.ts';
import { createFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { accessOf, createWriter, startRig, type Writer } from './rig.ts';

const { path, labelSelector } = watchedKinds.clusterPolicies;
const policy = (name: string) => ({
  metadata: { name },
  spec: { tier: 'Admin', priority: 5, subject: { namespaces: {} } },
});

/** As a server answers whose CRD is not installed. */
const hidden = (text: string) => text.replace('clusternetworkpolicies', 'nothings');

describe('a kind whose CRD need not be installed', () => {
  let server: ApiServer;
  let proxy: FaultProxy;
  let writer: Writer;

  beforeEach(async () => {
    server = await createApiServer({ endpointSlices: false });
    proxy = await createFaultProxy(server);
    writer = await createWriter(server.url);
  });
  afterEach(async () => {
    await writer[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it('CNP-01 is complete and has nobody where the server does not know it, without a word', async () => {
    proxy.rewrite = hidden;
    await using rig = await startRig(proxy.url, ['clusterPolicies']);
    await rig.source.synced;
    assert.equal(rig.store.facts.clusterPolicies.size, 0);
    assert.ok(rig.store.facts.complete.has('clusterPolicies'));
    assert.deepEqual(rig.warnings, []);
    const [state] = rig.source.state();
    assert.equal(state?.synced, true);
    assert.equal(state?.error, undefined);
    assert.ok((state?.lastEventMs ?? 0) > 0);
  });

  it('any other kind is not complete after 404', async () => {
    proxy.rewrite = (text) => text.replace('networkpolicies', 'nothings');
    await using rig = await startRig(proxy.url, ['policies']);
    assert.match(await rig.nextWarning(), /404/);
    assert.equal(rig.store.facts.complete.size, 0);
  });

  it('CNP-01 is looked for again after two minutes, and is followed when it is there', async () => {
    proxy.rewrite = hidden;
    await using rig = await startReflector(proxy.url);
    await rig.waiting(120_000);
    assert.ok(rig.store.facts.complete.has('clusterPolicies'));
    const { revision } = rig.store;
    await rig.clock.advance(120_000);
    await rig.waiting(120_000);
    assert.equal(rig.store.revision, revision, 'nothing new was committed');
    proxy.rewrite = (text) => text;
    await writer.create(path, policy('one'));
    await rig.clock.advance(120_000);
    await rig.until(() => rig.store.facts.clusterPolicies.has('one'));
    await writer.create(path, policy('two'));
    await rig.until(() => rig.store.facts.clusterPolicies.has('two'));
    await writer.remove(`${path}/one`);
    await rig.until(() => !rig.store.facts.clusterPolicies.has('one'));
    assert.deepEqual(rig.errors, []);
  });

  it('CNP-01 keeps what was seen through a 404 that passes', async () => {
    await writer.create(path, policy('one'));
    await using rig = await startReflector(proxy.url);
    await rig.until(() => rig.store.facts.clusterPolicies.has('one'));
    proxy.rewrite = hidden;
    await rig.failing(() => proxy.cut());
    const { revision } = rig.store;
    for (let i = 0; i < 5; i++) await rig.failing();
    assert.match(rig.errors.at(-1) ?? '', /404/);
    assert.equal(rig.store.revision, revision);
    assert.ok(rig.store.facts.clusterPolicies.has('one'));
    proxy.rewrite = (text) => text;
    await writer.create(path, policy('two'));
    await rig.clock.advance(30_000);
    await rig.until(() => rig.store.facts.clusterPolicies.has('two'));
    assert.ok(rig.store.facts.clusterPolicies.has('one'));
  });

  it('CNP-01 is gone when the server has said so for a minute', async () => {
    await writer.create(path, policy('one'));
    await using rig = await startReflector(proxy.url);
    await rig.until(() => rig.store.facts.clusterPolicies.has('one'));
    proxy.rewrite = hidden;
    await rig.failing(() => proxy.cut());
    await rig.failing();
    const sinceMs = rig.clock.monotonic();
    const kept = () => rig.store.facts.clusterPolicies.has('one');
    while (rig.clock.monotonic() - sinceMs < 40_000) {
      await rig.failing();
      assert.ok(kept());
    }
    const gone = rig.waiting(120_000);
    while (kept()) await Promise.race([rig.failing(), gone]);
    assert.ok(rig.clock.monotonic() - sinceMs >= 60_000);
    assert.ok(rig.clock.monotonic() - sinceMs < 120_000);
  });
});

/** A reflector with a clock of its own, which says on what it waits. */
async function startReflector(url: string) {
  const fake = createFakeClock();
  const waits = new Map<number, () => void>();
  const clock: Clock = {
    ...fake,
    after(ms, callback) {
      const timer = fake.after(ms, callback);
      waits.get(ms)?.();
      return timer;
    },
  };
  const store = createStore();
  const stop = new AbortController();
  const client = createKubeClient(await accessOf(url), realClock);
  const errors: string[] = [];
  let failed = (_retryMs: number) => {};
  let retryMs = 0;
  const sink = createFactSink(watchedKinds.clusterPolicies, {
    store,
    interner: createInterner(),
    onProblemsChanged: () => {},
  });
  const reflector = watchResource({
    client,
    path,
    labelSelector,
    sink,
    clock,
    signal: stop.signal,
    optional: true,
    random: () => 0,
    onError(error, ms) {
      errors.push(String(error));
      failed(ms);
    },
  });
  return {
    store,
    errors,
    clock: fake,
    /** Resolves when somebody begins to wait that long. */
    waiting: (ms: number) =>
      new Promise<void>((resolve) => {
        waits.set(ms, resolve);
      }),
    /** Lets the time pass until the next attempt, and that fail. */
    async failing(first: () => void = () => {}) {
      const next = new Promise<number>((resolve) => {
        failed = resolve;
      });
      first();
      await fake.advance(retryMs);
      retryMs = await next;
    },
    async until(condition: () => boolean) {
      while (!condition()) {
        await store.changed();
        store.takeSnapshot();
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await reflector.ended;
      await client[Symbol.asyncDispose]();
    },
  };
}
