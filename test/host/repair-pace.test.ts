import assert from 'node:assert/strict';
import { createRepairPace } from '../../src/host/repair-pace.ts';

describe('the pace of repairs', () => {
  it('many different repairs are made as they come', () => {
    const pace = createRepairPace(30_000);
    for (let i = 0; i < 50; i++) {
      assert.equal(pace.repaired([`route ${i}`], i * 200), 'repair');
      assert.equal(pace.delayMs(i * 200), 200);
    }
  });

  it('a quarrel slows down to the longest delay and says so once', () => {
    const pace = createRepairPace(30_000);
    const kinds: string[] = [];
    const delays: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 14; i++) {
      kinds.push(pace.repaired([i % 2 === 0 ? 'route a' : 'route b'], nowMs));
      delays.push(pace.delayMs(nowMs));
      nowMs += pace.delayMs(nowMs);
    }
    assert.deepEqual(delays.slice(-3), [30_000, 30_000, 30_000]);
    assert.deepEqual(
      delays,
      delays.toSorted((a, b) => a - b),
    );
    assert.equal(kinds.filter((kind) => kind === 'undone').length, 1);
    assert.equal(kinds.at(-1), 'again');
    // It ends: after twice the delay without a repair all is as in the beginning.
    nowMs += 61_000;
    assert.equal(pace.delayMs(nowMs), 200);
    assert.equal(pace.repaired(['route a'], nowMs), 'repair');
    assert.equal(pace.delayMs(nowMs), 200);
  });
});
