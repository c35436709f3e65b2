import assert from 'node:assert/strict';
import { addToGroup, removeFromGroup } from '../../src/core/groups.ts';

describe('groups', () => {
  it('keep each value once, and no empty set', () => {
    const groups = new Map<string, Set<number>>();
    for (const value of [1, 2, 1]) addToGroup(groups, 'a', value);
    addToGroup(groups, 'b', 1);
    assert.deepEqual(
      [...groups].map(([key, values]) => [key, [...values]]),
      [
        ['a', [1, 2]],
        ['b', [1]],
      ],
    );
    removeFromGroup(groups, 'b', 1);
    removeFromGroup(groups, 'c', 1);
    removeFromGroup(groups, 'a', 2);
    assert.deepEqual([...groups.keys()], ['a']);
    assert.deepEqual([...(groups.get('a') ?? [])], [1]);
  });
});
