import assert from 'node:assert/strict';
import { findResource } from '../../src/apiserver/resources.ts';
import { createApiServer } from '../../src/apiserver/server.ts';
import { createFakeClock, realClock } from '../../src/core/clock.ts';
import { createEventWriter, formatEvent } from '../../src/kube/event-writer.ts';
import { createKubeClient, type KubeCall } from '../../src/kube/request.ts';
import { accessOf } from './rig.ts';

const log = { info: () => {}, warn: () => {} };
const { signal } = new AbortController();
const problem = (object: string, reason = 'is wrong') => ({ object, field: 'spec', reason });

/** A client that keeps what it should send. */
function startRecorder() {
  const bodies: unknown[] = [];
  return {
    bodies,
    open: () => Promise.reject(new Error('not used')),
    request: (call: KubeCall) => {
      bodies.push(call.body);
      return Promise.resolve(undefined);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

describe('the Event writer', () => {
  it('writes an Event that the API server stores with the object', async () => {
    await using server = await createApiServer();
    await using client = createKubeClient(await accessOf(server.url), realClock);
    const events = findResource('', 'v1', 'events');
    assert.ok(events !== undefined);
    const written = new Promise<void>((resolve) => {
      server.api.storage.subscribe(events, () => resolve());
    });
    const fixed = { client, clock: realClock, signal, log, nodeName: 'n1' };
    await using writer = createEventWriter({ ...fixed, uidOf: () => 'u' });
    writer.report([problem('Service/default/web')]);
    await written;
    const [event] = server.api.storage.list(events);
    assert.deepEqual(event?.involvedObject, {
      apiVersion: 'v1',
      kind: 'Service',
      name: 'web',
      namespace: 'default',
      uid: 'u',
    });
    assert.equal(event?.message, 'spec: is wrong');
  });

  it('tells a problem once, and again when it is still there after an hour', async () => {
    const clock = createFakeClock();
    const client = startRecorder();
    await using writer = createEventWriter({ client, clock, signal, log, nodeName: 'n1' });
    const all = [problem('Service/default/web'), problem('Node/n2')];
    for (let i = 0; i < 5; i++) writer.report(all);
    await clock.advance(1000);
    assert.equal(client.bodies.length, 2);
    await clock.advance(3_600_000);
    writer.report(all);
    await clock.advance(1000);
    assert.equal(client.bodies.length, 4);
  });

  it('writes 25 at once, then one a second, and drops what the queue cannot hold', async () => {
    const clock = createFakeClock();
    const client = startRecorder();
    await using writer = createEventWriter({ client, clock, signal, log, nodeName: 'n1' });
    writer.report(Array.from({ length: 1000 }, (_, i) => problem(`Service/default/s${i}`)));
    await clock.advance(0);
    for (let i = 0; i < 100; i++) await clock.advance(0);
    assert.ok(client.bodies.length <= 26, `${client.bodies.length}`);
    await clock.advance(10_000);
    assert.ok(client.bodies.length >= 30 && client.bodies.length <= 40, `${client.bodies.length}`);
    assert.equal(writer.dropped, 1000 - 256);
  });

  it('tells each of very many problems at most once an hour', async () => {
    const clock = createFakeClock();
    const client = startRecorder();
    await using writer = createEventWriter({ client, clock, signal, log, nodeName: 'n1' });
    const all = Array.from({ length: 4_200 }, (_, i) => problem(`Service/default/s${i}`));
    for (let i = 0; i < 900; i++) {
      // In another order each time: problems come from maps.
      writer.report(i % 2 === 0 ? all : all.toReversed());
      await clock.advance(4_000);
    }
    const names = client.bodies.map((body) =>
      JSON.stringify((body as { involvedObject: unknown }).involvedObject),
    );
    assert.ok(names.length >= 256, `${names.length}`);
    assert.equal(new Set(names).size, names.length, 'none twice');
    assert.equal(writer.dropped, 4_200 - names.length, 'each counts once');
    // They are gone, and there is room for another.
    writer.report([problem('Service/default/new')]);
    await clock.advance(2_000);
    assert.equal(client.bodies.length, names.length + 1);
  });

  it('does not tell a problem again that comes and goes', async () => {
    const clock = createFakeClock();
    const client = startRecorder();
    await using writer = createEventWriter({ client, clock, signal, log, nodeName: 'n1' });
    for (let i = 0; i < 100; i++) {
      writer.report(i % 2 === 0 ? [problem('Service/default/web')] : []);
      await clock.advance(2_000);
    }
    assert.equal(client.bodies.length, 1);
  });

  const cases = [
    { object: 'Service/shop/web', involved: ['v1', 'Service', 'shop', 'web'], namespace: 'shop' },
    {
      object: 'EndpointSlice/shop/web-1',
      involved: ['discovery.k8s.io/v1', 'EndpointSlice', 'shop', 'web-1'],
      namespace: 'shop',
    },
    { object: 'Node/n2', involved: ['v1', 'Node', undefined, 'n2'], namespace: 'default' },
    { object: 'config', involved: ['v1', 'Node', undefined, 'n1'], namespace: 'default' },
  ];
  for (const { object, involved, namespace } of cases) {
    it(`puts an Event about ${object} on ${involved[1]} ${involved[3]}`, () => {
      const event = formatEvent(problem(object, 'x'.repeat(2000)), { nodeName: 'n1' }, 0);
      const { apiVersion, kind, name, namespace: space } = event.involvedObject;
      assert.deepEqual([apiVersion, kind, space, name], involved);
      assert.equal(event.metadata.namespace, namespace);
      assert.equal(event.message.length, 1024);
    });
  }
});
