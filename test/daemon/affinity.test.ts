import assert from 'node:assert/strict';
import type { Stat } from '../../native/vpp-api/stats-layout.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { watchAffinity } from '../../src/daemon/affinity.ts';
import {
  drainingEndpoints,
  growthMax,
  scanSeconds,
  watchSessionPause,
} from '../../src/daemon/session-pause.ts';
import { createStore } from '../../src/model/store.ts';
import { config, endpoint, service, slice, uplink } from '../facts.ts';

/** VPP's counters as a test sets them. */
function startCounters() {
  const counters = { connections: 0, sessions: 0 };
  const read = (): Promise<Map<string, Stat>> =>
    Promise.resolve(
      new Map<string, Stat>([
        [
          '/net/cnat-translation',
          { kind: 'combined', packets: [[counters.connections]], bytes: [[0]] },
        ],
        ['/cnat/sessions/total', { kind: 'gauge', value: counters.sessions }],
      ]),
    );
  return { counters, stats: { read, [Symbol.asyncDispose]: async () => {} } };
}

function watch(open: Set<string>) {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.commit('services', [['d/web', service('d/web', { affinitySeconds: 30 })]]);
  const clock = createFakeClock();
  const { counters, stats } = startCounters();
  const { signal } = new AbortController();
  const watching = watchAffinity({
    store,
    stats,
    clock,
    signal,
    translationIds: () => new Map([['10.96.0.10 80 TCP', 0]]),
    openFrontends: () => Promise.resolve(open),
  });
  const epoch = () => store.facts.affinityEpochs.get('d/web /TCP') ?? 0;
  return { store, clock, counters, epoch, [Symbol.dispose]: () => watching[Symbol.dispose]() };
}

describe('ClientIP affinity', () => {
  it('KP-38 clients are forgotten when none has come for the timeout, and only once', async () => {
    using rig = watch(new Set());
    await rig.clock.advance(6_000);
    rig.counters.connections = 3;
    await rig.clock.advance(27_000);
    assert.equal(rig.epoch(), 0);
    for (let i = 0; i < 12 && rig.epoch() === 0; i++) await rig.clock.advance(1_000);
    assert.equal(rig.epoch(), 1);
    // VPP made the translation again, and counts from 0.
    rig.counters.connections = 0;
    await rig.clock.advance(120_000);
    assert.equal(rig.epoch(), 1, 'nobody came since');
    rig.counters.connections = 1;
    await rig.clock.advance(45_000);
    assert.equal(rig.epoch(), 2);
  });

  it('KP-38 each new connection starts the timeout again', async () => {
    using rig = watch(new Set());
    await rig.clock.advance(6_000);
    for (let i = 0; i < 10; i++) {
      rig.counters.connections++;
      await rig.clock.advance(21_000);
      assert.equal(rig.epoch(), 0);
    }
    await rig.clock.advance(21_000);
    assert.equal(rig.epoch(), 1);
  });

  it('KP-38 nobody is forgotten while a connection is open', async () => {
    const open = new Set(['10.96.0.10 80 TCP']);
    using rig = watch(open);
    await rig.clock.advance(6_000);
    rig.counters.connections = 1;
    await rig.clock.advance(120_000);
    assert.equal(rig.epoch(), 0);
    open.clear();
    await rig.clock.advance(6_000);
    assert.equal(rig.epoch(), 1);
  });
});

describe('epochs of affinity', () => {
  it('go with their Service, and when affinity is switched off', async () => {
    using rig = watch(new Set());
    const { store, clock } = rig;
    const [a, b] = [{ affinitySeconds: 30 }, { affinitySeconds: 0 }];
    store.commit('services', [['d/api', service('d/api', a)]]);
    store.commit('affinityEpochs', [
      ['d/web /TCP', 3],
      ['d/api /TCP', 4],
      ['d/old /TCP', 5],
    ]);
    await clock.advance(6_000);
    const kept = () => [...store.facts.affinityEpochs.keys()];
    assert.deepEqual(kept(), ['d/web /TCP', 'd/api /TCP']);
    store.commit('services', [
      ['d/web', undefined],
      ['d/api', service('d/api', b)],
    ]);
    await clock.advance(60_000);
    assert.deepEqual(kept(), []);
  });
});

describe('the pause of the session scan', () => {
  function pause(drainSeconds: number) {
    const clock = createFakeClock();
    const { counters, stats } = startCounters();
    const scans: boolean[] = [];
    const draining = new Set(['d/web 10.244.1.5']);
    const state: { session: object | undefined } = { session: {} };
    const { signal } = new AbortController();
    const watching = watchSessionPause({
      clock,
      signal,
      stats,
      paused: () => state.session,
      drainSeconds: () => drainSeconds,
      draining: () => draining,
      scan: (on) => {
        scans.push(on);
        return Promise.resolve();
      },
      log: () => {},
    });
    return {
      clock,
      counters,
      scans,
      draining,
      state,
      [Symbol.dispose]: () => watching[Symbol.dispose](),
    };
  }

  it('KP-46 ends after the configured time, and begins again after a scan', async () => {
    using rig = pause(30);
    await rig.clock.advance(29_000);
    assert.deepEqual(rig.scans, []);
    await rig.clock.advance(4_000);
    assert.deepEqual(rig.scans, [true]);
    await rig.clock.advance(scanSeconds * 1000 + 1_000);
    assert.deepEqual(rig.scans, [true, false]);
  });

  it('KP-46 an endpoint that begins to drain later has its whole time, too', async () => {
    using rig = pause(30);
    await rig.clock.advance(27_000);
    rig.draining.add('d/web 10.244.1.6');
    await rig.clock.advance(29_000);
    assert.deepEqual(rig.scans, []);
    await rig.clock.advance(4_000);
    assert.deepEqual(rig.scans, [true]);
  });

  it('KP-44 ends after twice the time, however many endpoints drain one after the other', async () => {
    using rig = pause(30);
    for (let i = 0; i < 6; i++) {
      assert.deepEqual(rig.scans, [], `after ${i * 10} s`);
      rig.draining.add(`d/web 10.244.2.${i}`);
      await rig.clock.advance(10_000);
    }
    await rig.clock.advance(3_000);
    assert.deepEqual(rig.scans, [true]);
    await rig.clock.advance(scanSeconds * 1000 + 1_000);
    assert.deepEqual(rig.scans, [true, false], 'they still drain');
  });

  it('KP-46 endpoints drain while they terminate and serve something else than UDP', () => {
    const store = createStore();
    const endpoints = [
      endpoint('10.244.1.5', 'draining'),
      endpoint('10.244.1.6', 'gone'),
      endpoint('10.244.1.7'),
    ];
    const udp = [{ name: '', protocol: 'UDP' as const, port: 53 }];
    store.commit('slices', [
      ['d/web-1', slice('d/web-1', 'd/web', endpoints)],
      ['d/dns-1', slice('d/dns-1', 'd/dns', endpoints, { ports: udp })],
    ]);
    assert.deepEqual([...drainingEndpoints(store.facts)], ['d/web 10.244.1.5']);
  });

  it('ends when sessions have grown too much', async () => {
    using rig = pause(3_600);
    await rig.clock.advance(2_000);
    rig.counters.sessions = growthMax;
    await rig.clock.advance(2_000);
    assert.deepEqual(rig.scans, [true]);
  });

  it('is left alone when nothing drains any more', async () => {
    using rig = pause(30);
    await rig.clock.advance(10_000);
    rig.state.session = undefined;
    await rig.clock.advance(60_000);
    assert.deepEqual(rig.scans, []);
  });
});
