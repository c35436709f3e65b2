import assert from 'node:assert/strict';
import { createFakeClock } from '../../src/core/clock.ts';
import { type Lease, type LeaseStore, runElection } from '../../src/lb-pools/election.ts';

/** One Lease, and for each candidate a way to it that can fall silent. */
function startLease() {
  let lease: Lease | undefined;
  let version = 0;
  const put = (next: Omit<Lease, 'resourceVersion'>) => {
    lease = { ...next, resourceVersion: String(++version) };
  };
  return (): LeaseStore & { silent: boolean } => ({
    silent: false,
    async read() {
      // It does not even look at its signal.
      if (this.silent) await new Promise(() => undefined);
      return lease;
    },
    async create(next) {
      if (lease !== undefined) throw new Error('exists');
      put(next);
    },
    async update(next) {
      if (next.resourceVersion !== lease?.resourceVersion) throw new Error('conflict');
      put(next);
    },
  });
}

describe('the election', () => {
  it('never has two leaders, also when requests of the first are not answered', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const leading = new Set<string>();
    const openStore = startLease();
    const stores = { a: openStore(), b: openStore() };
    const stand = (identity: 'a' | 'b') =>
      runElection({
        store: stores[identity],
        identity,
        clock,
        signal: stop.signal,
        onError: () => undefined,
        async lead(signal) {
          leading.add(identity);
          await new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
          leading.delete(identity);
        },
      });
    const ended = [stand('a')];
    await clock.advance(3_000);
    ended.push(stand('b'));
    await clock.advance(10_000);
    assert.deepEqual([...leading], ['a']);
    stores.a.silent = true;
    const states = new Set<string>();
    for (let i = 0; i < 60; i++) {
      await clock.advance(1_000);
      states.add([...leading].join());
    }
    assert.deepEqual([...states], ['a', '', 'b']);
    stores.a.silent = false;
    await clock.advance(20_000);
    assert.deepEqual([...leading], ['b'], 'the first has come back and waits');
    stop.abort(new Error('the test is over'));
    await clock.advance(20_000);
    await Promise.all(ended);
  });
});
