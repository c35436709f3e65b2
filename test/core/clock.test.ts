import assert from 'node:assert/strict';
import { createBackoff } from '../../src/core/backoff.ts';
import { createFakeClock, sleep } from '../../src/core/clock.ts';

describe('clock', () => {
  it('fires what is due, in order, when time is moved', async () => {
    const clock = createFakeClock();
    const fired: string[] = [];
    clock.after(20, () => fired.push('b'));
    clock.after(10, () => fired.push('a'));
    clock.after(30, () => fired.push('c')).cancel();
    await clock.advance(19);
    assert.deepEqual(fired, ['a']);
    await clock.advance(100);
    assert.deepEqual(fired, ['a', 'b']);
    assert.equal(clock.monotonic(), 119);
  });

  it('sleep ends with the abort of its signal', async () => {
    const clock = createFakeClock();
    const stop = new AbortController();
    const sleeping = sleep(clock, 1000, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(sleeping, /enough/);
  });
});

describe('createBackoff', () => {
  it('doubles up to its maximum, spread over the upper half, and starts again', () => {
    const low = createBackoff({ firstMs: 100, maxMs: 400, random: () => 0 });
    assert.deepEqual([low.next(), low.next(), low.next(), low.next()], [50, 100, 200, 200]);
    low.reset();
    assert.equal(low.next(), 50);
    const high = createBackoff({ firstMs: 100, maxMs: 400, random: () => 1 });
    assert.deepEqual([high.next(), high.next(), high.next(), high.next()], [100, 200, 400, 400]);
  });
});
