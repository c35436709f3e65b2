import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { watchDeparture } from '../../src/daemon/departure.ts';
import { watchHoldDown } from '../../src/daemon/hold-down.ts';
import type { Node } from '../../src/model/facts.ts';
import { departurePhase } from '../../src/routing/departure.ts';
import { config, endpoint, node, service, slice } from '../facts.ts';
import { bgpConfig, nodesOf } from '../routing/rig.ts';

const taint = 'example.com/goes-down';

function leaving(self: Partial<Node> = {}) {
  const clock = createFakeClock();
  const given = bgpConfig({ drain: { gracefulSeconds: 30, taints: [taint], onCordon: true } });
  const store = nodesOf(given, self);
  const watch = watchDeparture({ store, clock, log: () => undefined });
  const look = () => watch.onRound(store.takeSnapshot());
  const become = (next: Partial<Node>) => {
    store.commit('nodes', [['n1', node('n1', 1, next)]]);
    look();
  };
  const phase = () => {
    const one = store.facts.nodes.get('n1');
    assert.ok(one);
    return departurePhase(store.facts, given, one);
  };
  look();
  return { clock, become, phase };
}

describe('a node that leaves', () => {
  for (const [what, self] of [
    ['has a taint', { taints: [taint] }],
    ['is deleted', { terminating: true }],
    ['shuts down', { shuttingDown: true }],
    ['has no network', { networkUnavailable: true }],
    [
      'has the label',
      { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } },
    ],
  ] as const)
    it(`${what}: is avoided at once, gone after a while, and back when it stays`, async () => {
      const { clock, become, phase } = leaving();
      assert.equal(phase(), 'staying');
      become(self);
      assert.equal(phase(), 'graceful');
      await clock.advance(29_000);
      assert.equal(phase(), 'graceful');
      await clock.advance(2_000);
      assert.equal(phase(), 'gone');
      become({});
      assert.equal(phase(), 'staying');
    });

  it('stays when it changes its mind in time', async () => {
    const { clock, become, phase } = leaving();
    become({ terminating: true });
    become({});
    await clock.advance(60_000);
    assert.equal(phase(), 'staying');
    become({ terminating: true });
    assert.equal(phase(), 'graceful');
  });

  it('is gone when it was leaving before the daemon started', () => {
    assert.equal(leaving({ taints: [taint] }).phase(), 'gone');
  });

  it('that is only cordoned is avoided, and never withdrawn', async () => {
    const { clock, become, phase } = leaving();
    become({ unschedulable: true });
    await clock.advance(600_000);
    assert.equal(phase(), 'graceful');
  });
});

describe('a Service whose endpoints flap', () => {
  function flapping() {
    const clock = createFakeClock();
    const advertise = { ...config.bgp.advertise, clusterIps: true };
    const holdDown = { flaps: 3, windowSeconds: 60, seconds: 20 };
    const store = nodesOf(bgpConfig({ advertise, holdDown }));
    const watch = watchHoldDown({ store, clock, log: () => undefined });
    store.commit('services', [['d/s', service('d/s')]]);
    const become = (up: boolean) => {
      const endpoints = up ? [endpoint('10.244.2.5')] : [];
      store.commit('slices', [['d/s-1', slice('d/s-1', 'd/s', endpoints)]]);
      watch.onRound(store.takeSnapshot());
    };
    const held = () => store.facts.heldDown.has('d/s');
    return { clock, store, watch, become, held };
  }

  it('is held down after some withdrawals in a short time, and comes back', async () => {
    const { clock, become, held } = flapping();
    for (let i = 0; i < 3; i++) {
      assert.equal(held(), false);
      become(true);
      await clock.advance(1_000);
      become(false);
    }
    assert.equal(held(), true);
    become(true);
    await clock.advance(19_000);
    assert.equal(held(), true);
    await clock.advance(2_000);
    assert.equal(held(), false);
  });

  it('is not held down when it is withdrawn now and then', async () => {
    const { clock, become, held } = flapping();
    for (let i = 0; i < 10; i++) {
      become(true);
      become(false);
      await clock.advance(40_000);
    }
    assert.equal(held(), false);
  });

  it('is forgotten with the Service', async () => {
    const { store, watch, become, held } = flapping();
    for (let i = 0; i < 3; i++) {
      become(true);
      become(false);
    }
    assert.equal(held(), true);
    store.commit('services', [['d/s', undefined]]);
    watch.onRound(store.takeSnapshot());
    assert.equal(held(), false);
  });
});
