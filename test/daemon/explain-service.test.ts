import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatExplanation } from '../../src/cli/explain.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import {
  countSessions,
  explainService,
  similarServices,
} from '../../src/daemon/explain-service.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { chooseEndpoints } from '../../src/model/endpoints.ts';
import { endpointsOfPort, placeOf } from '../../src/model/service-endpoints.ts';
import { createStore } from '../../src/model/store.ts';
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

  it('counts sessions by frontend and backend: a flow is two sessions with one index', () => {
    // 80, 8080 and 4000 as VPP writes them: swapped.
    const [p80, p8080, p4000] = [0x5000, 0x901f, 0xa00f];
    const session = (from: string, to: string, ports: [number, number], index: number) => ({
      tuple: { addr: [ip(from), ip(to)], port: ports, ip_proto: 6 },
      ts_index: index,
      flags: to === '10.96.0.10' ? 0 : 16,
    });
    const found = countSessions([
      session('192.0.2.9', '10.96.0.10', [p4000, p80], 1),
      session('10.244.1.5', '192.0.2.9', [p8080, p4000], 1),
      session('192.0.2.8', '10.96.0.10', [p4000, p80], 2),
      session('10.244.1.6', '192.0.2.8', [p8080, p4000], 2),
      session('192.0.2.7', '10.96.0.10', [p4000, p80], 3),
      session('10.244.1.5', '192.0.2.7', [p8080, p4000], 3),
    ]);
    assert.deepEqual([...found.keys()], ['10.96.0.10 80 TCP']);
    assert.deepEqual(
      [...(found.get('10.96.0.10 80 TCP') ?? [])],
      [
        ['10.244.1.5:8080', 2],
        ['10.244.1.6:8080', 1],
      ],
    );
  });

  it('says of endpoints that no choice saw which slice is to blame', () => {
    const store = cluster();
    const web = service('d/web');
    const same = [endpoint('10.244.2.5')];
    store.commit('services', [['d/web', web]]);
    store.commit('slices', [
      ['d/web-1', slice('d/web-1', 'd/web', same)],
      ['d/web-2', slice('d/web-2', 'd/web', [endpoint('10.244.2.5', 'unready')])],
      [
        'd/web-3',
        slice('d/web-3', 'd/web', [endpoint('10.244.2.6')], {
          ports: [{ name: 'admin', protocol: 'TCP', port: 9 }],
        }),
      ],
    ]);
    assert.deepEqual(
      explainEndpoints(store.facts, web, port(), 4).map((one) => `${one.ip}: ${one.reason}`),
      [
        '10.244.2.5: ready',
        '10.244.2.5: repeated: another slice than d/web-2 has the same address and port',
        '10.244.2.6: slice d/web-3 has no unnamed TCP port',
      ],
    );
  });

  it('70,000 endpoints: the 2,000 that are used are marked, and the others say so', () => {
    const store = cluster();
    const web = service('d/web');
    store.commit('services', [['d/web', web]]);
    store.commit(
      'slices',
      Array.from({ length: 70 }, (_, i) => {
        const endpoints = Array.from({ length: 1000 }, (__, j) =>
          endpoint(`10.${100 + i}.${j >> 8}.${j & 255}`),
        );
        return [`d/web-${i}`, slice(`d/web-${i}`, 'd/web', endpoints)] as const;
      }),
    );
    const explained = explainEndpoints(store.facts, web, port(), 4);
    assert.equal(explained.length, 70_000);
    assert.equal(explained.filter((one) => one.cluster).length, 2000);
    const other = explained.find((one) => !one.cluster);
    assert.equal(other?.reason, 'beyond the 2000 that this node uses');
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
