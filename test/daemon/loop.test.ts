import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { realClock } from '../../src/core/clock.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { createStore } from '../../src/model/store.ts';
import type { Target } from '../../src/reconcile/driver.ts';

/** A promise that never settles, and how many reactions wait at it. */
function countReactions() {
  const counted = { reactions: 0 };
  const promise = new Proxy(new Promise<void>(() => undefined), {
    get(target, key) {
      if (key === 'then') counted.reactions++;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { counted, promise };
}

describe('the loop', () => {
  it('leaves one reaction at the promise of a session, however many rounds there are', async () => {
    const stop = new AbortController();
    const store = createStore();
    const { counted, promise } = countReactions();
    const target: Target = {
      name: 'vpp',
      session: undefined,
      drivers: [],
      sessionChanged: () => promise,
    };
    let rounds = 0;
    const loop = startLoop({
      store,
      targets: [target],
      clock: realClock,
      signal: stop.signal,
      onRound: () => rounds++,
    });
    for (let i = 0; i < 20; i++) {
      store.markSynced(i % 2 === 0 ? 'nodes' : 'pods');
      store.replace('nodes', new Map());
      await setImmediate();
    }
    stop.abort();
    await loop.finished;
    assert.ok(rounds >= 2, `${rounds} rounds`);
    assert.equal(counted.reactions, 1);
  });
});
