import assert from 'node:assert/strict';
import { createConvergence } from '../../src/daemon/convergence.ts';

function timed() {
  const seen: number[] = [];
  let nowMs = 0;
  const convergence = createConvergence(
    () => nowMs,
    (seconds) => seen.push(Math.round(seconds * 1000)),
  );
  return {
    seen,
    committed(sinceMs: number, atMs: number) {
      nowMs = atMs;
      convergence.onCommitted(sinceMs);
    },
    round(startMs: number, endMs: number, connected = true) {
      nowMs = endMs;
      convergence.onRound({ startMs, connected: new Set(connected ? ['vpp'] : ['gobgp']) });
    },
  };
}

describe('the time from news about routes to their being in force', () => {
  it('ends with the round that had the news in its snapshot', () => {
    const { seen, committed, round } = timed();
    committed(10, 12);
    round(13, 20);
    assert.deepEqual(seen, [10]);
    round(30, 40);
    assert.deepEqual(seen, [10]);
  });

  it('does not end with a round that began before', () => {
    const { seen, committed, round } = timed();
    committed(10, 12);
    committed(15, 16);
    round(13, 20);
    assert.deepEqual(seen, [10]);
    round(21, 25);
    assert.deepEqual(seen, [10, 10]);
  });

  it('goes on while VPP is away', () => {
    const { seen, committed, round } = timed();
    committed(10, 12);
    round(13, 20, false);
    assert.deepEqual(seen, []);
    round(1_000, 1_010);
    assert.deepEqual(seen, [1_000]);
  });

  it('keeps a bounded number of times, the oldest', () => {
    const { seen, committed, round } = timed();
    for (let i = 0; i < 5_000; i++) committed(i, i);
    round(10_000, 10_000);
    assert.equal(seen.length, 1_024);
    assert.equal(seen[0], 10_000);
  });
});
