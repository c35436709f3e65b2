import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatExplanation } from '../../src/cli/explain.ts';
import { realClock } from '../../src/core/clock.ts';
import { explainService, similarServices } from '../../src/daemon/explain-service.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { createStore } from '../../src/model/store.ts';
import { endpointsOfPort, placeOf } from '../../src/proxy/backends.ts';
import { chooseEndpoints } from '../../src/proxy/endpoints.ts';
import { explainEndpoints } from '../../src/proxy/explain.ts';
import { config, endpoint, node, port, service, slice, uplink } from '../facts.ts';

function cluster() {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.replace('nodes', new Map([['n1', node('n1', 1)]]));
  return store;
}

describe('the explanation of a Service', () => {
  it('says of each endpoint why it is used or not, and of each frontend what it answers', async () => {
    const store = cluster();
    const web = service('d/web', { ports: [port({ nodePort: 30080 })], affinitySeconds: 60 });
    const endpoints = [
      endpoint('10.244.1.5', 'ready', { node: 'n1' }),
      endpoint('10.244.2.5', 'unready'),
      endpoint('10.244.2.6', 'draining'),
      endpoint('10.244.2.7', 'gone'),
    ];
    store.commit('services', [['d/web', web]]);
    store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', endpoints)]]);
    const stop = new AbortController();
    const loop = startLoop({ store, targets: [], clock: realClock, signal: stop.signal });
    await new Promise((resolve) => setImmediate(resolve));
    const parts = {
      store,
      loop,
      vpp: { handles: undefined, connection: undefined },
      stats: { read: () => Promise.resolve(undefined), [Symbol.asyncDispose]: async () => {} },
      problems: () => [{ object: 'Service/d/web', field: 'spec', reason: 'is odd' }],
    };
    const found = await explainService(parts, 'd/web');
    stop.abort(new Error('the test is over'));
    await loop.finished;
    assert.ok(found !== undefined);
    assert.equal(found.verdict, '2 of 2 frontends are not in force');
    assert.deepEqual(
      found.ports[0]?.endpoints.map((one) => `${one.address} ${one.cluster}: ${one.reason}`),
      [
        '10.244.1.5:8080 true: ready',
        '10.244.2.5:8080 false: not ready',
        '10.244.2.6:8080 false: terminating: open connections go on, new ones go to ready endpoints',
        '10.244.2.7:8080 false: terminating, and no longer serving',
      ],
    );
    const text = formatExplanation(found);
    assert.match(text, /^d\/web: 2 of 2 frontends are not in force\n/);
    assert.match(text, /10\.96\.0\.10:80\/tcp +ClusterIP +1 endpoint +everybody +pending/);
    assert.match(text, /affinity ClientIP 60 s/);
    assert.match(text, /Service\/d\/web +spec +is odd/);
  });

  it('names Services like one that does not exist', () => {
    const store = cluster();
    store.commit('services', [
      ['shop/web', service('shop/web')],
      ['shop/db', service('shop/db')],
    ]);
    assert.deepEqual(similarServices(store, 'default/web'), ['shop/web']);
  });

  it('law: who is explained as used is who is chosen', () => {
    const one = fc.record({
      last: fc.integer({ min: 1, max: 6 }),
      state: fc.constantFrom(
        'ready' as const,
        'draining' as const,
        'gone' as const,
        'unready' as const,
      ),
      node: fc.constantFrom('n1', 'n2', ''),
      zoneHints: fc.constantFrom([], ['a'], ['b']),
      nodeHints: fc.constantFrom([], ['n1'], ['n2']),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.constantFrom('a', ''), (list, zone) => {
        const store = cluster();
        const labels = zone === '' ? {} : { 'topology.kubernetes.io/zone': zone };
        store.commit('nodes', [['n1', node('n1', 1, { labels })]]);
        const endpoints = list.map(({ last, state, ...given }) =>
          endpoint(`10.244.2.${last}`, state, given),
        );
        const web = service('d/web');
        store.commit('services', [['d/web', web]]);
        store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', endpoints)]]);
        const explained = explainEndpoints(store.facts, web, port(), 4);
        const candidates = endpointsOfPort(store.facts, web, port(), 4).endpoints;
        const sets = chooseEndpoints(candidates, placeOf(store.facts));
        const ips = (used: boolean[]) =>
          candidates.filter((_, i) => used[i] === true).map((endpoint) => endpoint.ip);
        assert.deepEqual(
          ips(explained.map((e) => e.cluster)),
          candidates.filter((e) => sets.cluster.includes(e)).map((e) => e.ip),
        );
        assert.deepEqual(
          ips(explained.map((e) => e.local)),
          candidates.filter((e) => sets.local.includes(e)).map((e) => e.ip),
        );
        assert.ok(explained.every((e) => e.reason !== ''));
        const extra = explained.slice(candidates.length);
        assert.ok(extra.every((e) => !e.cluster && !e.local));
      }),
    );
  });
});
