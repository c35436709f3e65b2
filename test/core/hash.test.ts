import assert from 'node:assert/strict';
import { fnv1a } from '../../src/core/hash.ts';

describe('fnv1a', () => {
  // draft-eastlake-fnv, test vectors of 32 bits. Marks of paths outlive the daemon.
  const cases = [
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
  ] as const;
  for (const [text, hash] of cases)
    it(`of ${JSON.stringify(text)}`, () => assert.equal(fnv1a(text), hash));

  it('goes on where it ended', () => {
    assert.equal(fnv1a('bar', fnv1a('foo')), fnv1a('foobar'));
  });
});
