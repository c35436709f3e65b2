import assert from 'node:assert/strict';

/** Closes an exhaustive `switch`: reaching it is a broken invariant of ours. */
export function unreachable(value: never): never {
  assert.fail(`unhandled case ${JSON.stringify(value)}`);
}
