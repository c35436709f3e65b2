import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { createServiceChanges } from '../../src/daemon/service-changes.ts';
import { type Pool, parsePool } from '../../src/lb-pools/pools.ts';
import { allocateAddresses, type WriteStatus } from '../../src/lb-pools/writer.ts';
import type { Service } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { config, service } from '../facts.ts';

const parsed = parsePool({
  name: 'p',
  addresses: ['203.0.113.0/24', '198.51.100.0/24'],
  namespaces: [],
  namespaceLabels: {},
  serviceLabels: {},
  autoAssign: true,
  bgp: { communities: [], localPreference: undefined, med: undefined, peers: [] },
});
assert.ok(parsed.ok);
const pool = parsed.value;

function balancer(key: string, given: Partial<Service> = {}): Service {
  return service(key, { type: 'LoadBalancer', resourceVersion: '1', ...given });
}

/** A leader over facts that a test sets, and what it writes. */
function startLeader(services: readonly Service[], write?: WriteStatus) {
  const store = createStore();
  store.replace('config', new Map([['config', config]]));
  store.replace('services', new Map(services.map((one) => [one.key, one])));
  store.takeSnapshot();
  const clock = createFakeClock();
  const stop = new AbortController();
  const written: string[] = [];
  const state = { class: '', pools: [pool] as readonly Pool[] };
  const changes = createServiceChanges(() => true);
  const ended = allocateAddresses(
    {
      facts: store.facts,
      pools: () => state.pools,
      loadBalancerClass: () => state.class,
      async write(key, status, signal) {
        written.push(`${key} ${status.ips.join()} of version ${status.resourceVersion}`);
        await write?.(key, status, signal);
      },
      changes,
      clock,
      onProblems: () => undefined,
      onAllocated: () => undefined,
      onError: () => undefined,
    },
    stop.signal,
  );
  return {
    store,
    clock,
    written,
    state,
    /** What the loop does: tells what changed, and time passes. */
    async pass(ms = 10) {
      changes.add(store.takeSnapshot().changed);
      await clock.advance(ms);
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await ended;
    },
  };
}

describe('the leader that gives addresses', () => {
  it('leaves the event loop to others between Services', async () => {
    const many = Array.from({ length: 2_000 }, (_, i) => balancer(`d/s${i}`));
    await using leader = startLeader(many);
    let turns = 0;
    while (leader.written.length === 0 && turns < 1_000) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    assert.ok(turns >= 5 && turns < 1_000, `${turns} turns`);
  });

  it('writes to the version that it decided about, and decides again when it is another', async () => {
    const current = { version: '2' };
    await using leader = startLeader([balancer('d/a')], async (_, status) => {
      if (status.resourceVersion !== current.version) throw new Error('409');
    });
    await leader.pass();
    assert.deepEqual(leader.written, ['d/a 203.0.113.1 of version 1']);
    // What it did not know of: the Service asks for another address.
    const next = balancer('d/a', { resourceVersion: '2', requestedIp: '203.0.113.9' });
    leader.store.commit('services', [['d/a', next]]);
    await leader.pass();
    assert.deepEqual(leader.written.slice(1), ['d/a 203.0.113.9 of version 2']);
  });

  it('writes once, however late the news of it come', async () => {
    await using leader = startLeader([balancer('d/a')]);
    await leader.pass();
    leader.store.commit('namespaces', [['d', { key: 'd', labels: {} }]]);
    await leader.pass();
    await leader.pass(5_000);
    assert.equal(leader.written.length, 1);
    const ingress = [{ ip: ip('203.0.113.1'), mode: 'VIP' as const }];
    const next = balancer('d/a', { resourceVersion: '2', ingress });
    leader.store.commit('services', [['d/a', next]]);
    await leader.pass();
    assert.equal(leader.written.length, 1);
    // Somebody removes it.
    leader.store.commit('services', [['d/a', balancer('d/a', { resourceVersion: '3' })]]);
    await leader.pass();
    assert.deepEqual(leader.written.slice(1), ['d/a 203.0.113.1 of version 3']);
  });

  it('takes nothing away when the pools are emptied', async () => {
    const ingress = [{ ip: ip('203.0.113.1'), mode: 'VIP' as const }];
    await using leader = startLeader([balancer('d/a', { ingress })]);
    await leader.pass();
    leader.state.pools = [];
    leader.store.commit('config', [['config', { ...config }]]);
    await leader.pass();
    assert.deepEqual(leader.written, []);
  });

  it('serves another class from the moment on at which it is configured', async () => {
    await using leader = startLeader([balancer('d/a', { loadBalancerClass: 'example.org/vpp' })]);
    await leader.pass();
    assert.deepEqual(leader.written, []);
    leader.state.class = 'example.org/vpp';
    leader.store.commit('config', [['config', { ...config }]]);
    await leader.pass();
    assert.deepEqual(leader.written, ['d/a 203.0.113.1 of version 1']);
  });
});

describe('changes of Services', () => {
  it('are not kept while nobody takes them', () => {
    let taken = false;
    const changes = createServiceChanges(() => taken);
    const services = new Set(['d/a']);
    changes.add({ services });
    assert.deepEqual(changes.take(), new Set());
    taken = true;
    changes.add({ services });
    assert.deepEqual(changes.take(), services);
  });
});
