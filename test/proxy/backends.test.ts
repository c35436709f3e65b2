import assert from 'node:assert/strict';
import type { Endpoint } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { backendsOfPort, maxBackends } from '../../src/proxy/backends.ts';
import { config, endpoint, port, service, slice } from '../facts.ts';

function endpoints(count: number): Endpoint[] {
  const byte = (i: number, shift: number) => (i >> shift) & 0xff;
  return Array.from({ length: count }, (_, i) =>
    endpoint(`10.${100 + byte(i, 16)}.${byte(i, 8)}.${byte(i, 0)}`),
  );
}

/** The endpoints that a node uses. */
function used(all: readonly Endpoint[], nodeName = 'worker-1'): Set<string> {
  const store = createStore();
  store.replace('config', new Map([['config', { ...config, nodeName }]]));
  store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', all)]]);
  const { cluster, surplus } = backendsOfPort(store.facts, service('d/web'), port(), 4);
  assert.equal(surplus, all.length > maxBackends);
  return new Set(cluster.map((backend) => backend.ip));
}

const lost = (before: Set<string>, after: Set<string>) =>
  [...before].filter((one) => !after.has(one)).length;

describe('more endpoints than fit a frontend', () => {
  for (const count of [maxBackends + 1, 5_000, 70_000])
    it(`of ${count}, one that comes or goes takes the place of one other at most`, () => {
      const all = endpoints(count + 5);
      const before = used(all.slice(0, count));
      assert.equal(before.size, maxBackends);
      for (let more = 1; more <= 5; more++) {
        const after = used(all.slice(0, count + more));
        assert.equal(after.size, maxBackends);
        assert.ok(lost(before, after) <= more, `${lost(before, after)} lost of ${more} more`);
      }
      const [gone = ''] = before;
      const without = used(all.slice(0, count).filter((one) => one.ip !== gone));
      assert.equal(lost(before, without), 1);
    });

  it('all nodes together use all endpoints about alike', () => {
    const all = endpoints(10_000);
    const uses = new Map<string, number>();
    for (let node = 0; node < 100; node++)
      for (const one of used(all, `ip-10-0-12-${node}`)) uses.set(one, (uses.get(one) ?? 0) + 1);
    // 100 nodes use 2,000 of 10,000: 20 each, with a deviation of 4.
    const counts = all.map((one) => uses.get(one.ip) ?? 0);
    assert.ok(Math.min(...counts) >= 2 && Math.max(...counts) <= 45, 'nobody is left out');
    const deviation = Math.sqrt(counts.reduce((sum, n) => sum + (n - 20) ** 2, 0) / counts.length);
    assert.ok(deviation > 3 && deviation < 5, `deviation ${deviation}`);
  });

  it('the same endpoint in one slice twice counts once', () => {
    const all = endpoints(maxBackends);
    const store = createStore();
    store.replace('config', new Map([['config', config]]));
    store.commit('slices', [['d/web-1', slice('d/web-1', 'd/web', [...all, ...all])]]);
    const { cluster, surplus } = backendsOfPort(store.facts, service('d/web'), port(), 4);
    assert.deepEqual([cluster.length, surplus], [maxBackends, false]);
  });
});
