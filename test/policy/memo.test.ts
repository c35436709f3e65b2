import assert from 'node:assert/strict';
import { createMemo } from '../../src/policy/memo.ts';

describe('what policies remember', () => {
  const keysMax = 3;

  it('NP-29 is made once for an object and a key', () => {
    const memo = createMemo<object>(keysMax);
    const [one, other] = [{}, {}];
    const made = memo(one, 'a', () => ({}));
    assert.equal(
      memo(one, 'a', () => ({})),
      made,
    );
    assert.notEqual(
      memo(other, 'a', () => ({})),
      made,
    );
    assert.notEqual(
      memo(one, 'b', () => ({})),
      made,
    );
  });

  it('NP-29 stays while it is asked for, whatever else is', () => {
    const memo = createMemo<object>(keysMax);
    const from = {};
    const made = memo(from, 'kept', () => ({}));
    for (let i = 0; i < 10 * keysMax; i++) {
      memo(from, `other ${i}`, () => ({}));
      assert.equal(
        memo(from, 'kept', () => ({})),
        made,
        `after ${i + 1} others`,
      );
    }
  });

  it('NP-29 is forgotten after twice as many others as are kept', () => {
    const memo = createMemo<object>(keysMax);
    const from = {};
    const made = memo(from, 'gone', () => ({}));
    for (let i = 0; i < 2 * keysMax; i++) memo(from, `other ${i}`, () => ({}));
    assert.notEqual(
      memo(from, 'gone', () => ({})),
      made,
    );
  });
});
