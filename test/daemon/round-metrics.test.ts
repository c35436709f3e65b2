import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import type { Round } from '../../src/daemon/loop.ts';
import { createMetrics } from '../../src/daemon/metrics.ts';
import { roundObserver } from '../../src/daemon/round-metrics.ts';
import { serviceFigures } from '../../src/daemon/service-figures.ts';
import { createStore } from '../../src/model/store.ts';
import { config, endpoint, service, slice } from '../facts.ts';

const v6 = { clusterIps: [ip('fd00:96::10')] };

function rig() {
  const store = createStore();
  const metrics = createMetrics(() => undefined);
  const observer = roundObserver(metrics, 0);
  const round = (withheld: readonly string[] = []) =>
    observer.onRound({
      snapshot: store.takeSnapshot(),
      durationMs: 4,
      connected: new Set(['vpp']),
      withheld: new Set(withheld),
    } as unknown as Round);
  const counts = async (name: string) => {
    const text = await metrics.registry.metrics();
    const lines = text.matchAll(new RegExp(`^${name}_count\\{ip_family="(IPv.)"\\} (\\d+)$`, 'gm'));
    return Object.fromEntries([...lines].map(([, family, count]) => [family, Number(count)]));
  };
  return { store, round, counts };
}

const sync = 'kubeproxy_sync_proxy_rules_duration_seconds';
const partial = 'kubeproxy_sync_partial_proxy_rules_duration_seconds';
const full = 'kubeproxy_sync_full_proxy_rules_duration_seconds';

describe('metrics of rounds', () => {
  it('KP-56 a round counts once for each family that it touched', async () => {
    const { store, round, counts } = rig();
    store.commit('services', [['d/a', service('d/a')]]);
    store.commit('slices', [
      ['d/a-1', slice('d/a-1', 'd/a', [endpoint('10.244.1.2')])],
      ['d/a-2', slice('d/a-2', 'd/a', [endpoint('10.244.1.3')])],
    ]);
    round();
    assert.deepEqual(await counts(sync), { IPv4: 1 });
    store.commit('services', [['d/b', service('d/b', v6)]]);
    round();
    assert.deepEqual(await counts(partial), { IPv4: 1, IPv6: 1 });
    store.commit('config', [['config', config]]);
    round();
    assert.deepEqual(await counts(full), { IPv4: 1, IPv6: 1 });
    store.commit('namespaces', [['d', { key: 'd', labels: {} }]]);
    round();
    assert.deepEqual(await counts(sync), { IPv4: 2, IPv6: 2 });
  });

  it('KP-56 a slice is not in force while rows of VPP wait for a source', async () => {
    const { store, round, counts } = rig();
    const programming = 'kubeproxy_network_programming_duration_seconds';
    const one = slice('d/a-1', 'd/a', [endpoint('10.244.1.2')], { triggerMs: Date.now() });
    store.commit('slices', [[one.key, one]]);
    round(['vpp']);
    assert.deepEqual(await counts(programming), {});
    store.commit('slices', [[one.key, { ...one }]]);
    round();
    assert.deepEqual(await counts(programming), { IPv4: 1 });
  });

  it('KP-56 ports without local endpoints are counted by family', () => {
    const { store } = rig();
    store.commit('config', [['config', config]]);
    const local = { internalTrafficPolicy: 'Local' as const, ...v6 };
    store.commit('services', [['d/b', service('d/b', local)]]);
    const far = slice('d/b-1', 'd/b', [endpoint('fd00:244::2')], { family: 6 });
    store.commit('slices', [['d/b-1', far]]);
    assert.deepEqual(serviceFigures(store).noLocalEndpoints, [
      { family: 4, internal: 0, external: 0 },
      { family: 6, internal: 1, external: 0 },
    ]);
  });
});
