import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createFakeClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { createServiceHealth, type ServiceHealth } from '../../src/daemon/service-health.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { config, endpoint, service, slice, uplink } from '../facts.ts';

/** Loopback stands for the node's address. */
const address = ip('127.0.0.77');
const port = 31_577;

function node(): Store {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  const own = { ...uplink, addresses: [{ ip: address, length: 8 }] };
  store.replace('uplink', new Map([['uplink', own]]));
  return store;
}

function balanced(key: string, number: number = port) {
  return service(key, {
    type: 'LoadBalancer',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: number,
  });
}

async function follow(store: Store, health: ServiceHealth): Promise<void> {
  health.onRound(store.takeSnapshot().changed);
  await health.settled();
}

function start(store: Store, healthy = () => true) {
  const clock = createFakeClock();
  const { signal } = new AbortController();
  return { clock, health: createServiceHealth({ facts: store.facts, healthy, clock, signal }) };
}

interface Body {
  readonly service: { readonly name: string };
  readonly serviceProxyHealthy: boolean;
}

async function bodyOf(answer: Response): Promise<Body> {
  return (await answer.json()) as Body;
}

async function ask(path = '/'): Promise<Response> {
  return fetch(`http://${address}:${port}${path}`);
}

describe('the health of a Service', () => {
  it('KP-50 says 200 on any path while this node has ready endpoints, with its headers and body', async () => {
    const store = node();
    store.commit('services', [['d/web', balanced('d/web')]]);
    const local = [
      endpoint('10.244.1.5', 'ready', { node: 'n1' }),
      endpoint('10.244.1.6', 'draining', { node: 'n1' }),
      endpoint('10.244.2.5', 'ready', { node: 'n2' }),
    ];
    store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', local)]]);
    const { health } = start(store);
    await using _health = health;
    await follow(store, health);
    const answer = await ask('/whatever?x=1');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/json');
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('x-load-balancing-endpoint-weight'), '1');
    assert.deepEqual(await answer.json(), {
      service: { namespace: 'd', name: 'web' },
      localEndpoints: 1,
      serviceProxyHealthy: true,
    });
  });

  it('KP-50 says 503 without ready endpoints here, and while the proxy is behind', async () => {
    const store = node();
    store.commit('services', [['d/web', balanced('d/web')]]);
    let healthy = true;
    const { health } = start(store, () => healthy);
    await using _health = health;
    await follow(store, health);
    assert.equal((await ask()).status, 503);
    const here = [endpoint('10.244.1.5', 'ready', { node: 'n1' })];
    store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', here)]]);
    assert.equal((await ask()).status, 200, 'endpoints are looked at when asked');
    healthy = false;
    const behind = await ask();
    assert.equal(behind.status, 503);
    assert.equal((await bodyOf(behind)).serviceProxyHealthy, false);
  });

  it('KP-50 listens while the Service is of type LoadBalancer with policy Local, and only then', async () => {
    const store = node();
    store.commit('services', [['d/web', balanced('d/web')]]);
    const { health } = start(store);
    await using _health = health;
    await follow(store, health);
    assert.equal((await ask()).status, 503);
    const changed = { ...balanced('d/web'), externalTrafficPolicy: 'Cluster' as const };
    store.commit('services', [['d/web', changed]]);
    await follow(store, health);
    await assert.rejects(ask());
    store.commit('services', [['d/web', balanced('d/web')]]);
    await follow(store, health);
    assert.equal((await ask()).status, 503);
    store.commit('services', [['d/web', undefined]]);
    await follow(store, health);
    await assert.rejects(ask());
  });

  it('KP-51 a port that is taken is an Event on the Service, and is tried again', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, address, resolve));
    const store = node();
    store.commit('services', [['d/web', balanced('d/web')]]);
    const { clock, health } = start(store);
    await using _health = health;
    await follow(store, health);
    const [problem] = health.problems();
    assert.equal(problem?.object, 'Service/d/web');
    assert.equal(problem?.event, 'FailedToStartServiceHealthcheck');
    assert.match(problem?.reason ?? '', /EADDRINUSE/);
    await new Promise((resolve) => taken.close(resolve));
    await clock.advance(5_000);
    await health.settled();
    assert.deepEqual(health.problems(), []);
    assert.equal((await ask()).status, 503);
  });

  it('KP-51 of two Services with one port the first has it, the other an Event', async () => {
    const store = node();
    store.commit('services', [
      ['d/b', balanced('d/b')],
      ['d/a', balanced('d/a')],
    ]);
    const { health } = start(store);
    await using _health = health;
    await follow(store, health);
    assert.equal((await bodyOf(await ask())).service.name, 'a');
    assert.deepEqual(
      health.problems().map((problem) => problem.object),
      ['Service/d/b'],
    );
    store.commit('services', [['d/a', undefined]]);
    await follow(store, health);
    assert.equal((await bodyOf(await ask())).service.name, 'b');
    assert.deepEqual(health.problems(), []);
  });
});
