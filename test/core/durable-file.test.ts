import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readIfPresent, writeDurably } from '../../src/core/durable-file.ts';

describe('a durable file', () => {
  it('is replaced as a whole, over what a crash left, readable by its owner only', async () => {
    const root = mkdtempSync(join(tmpdir(), 'kvr-durable-'));
    const folder = join(root, 'a', 'b');
    const path = join(folder, 'state.json');
    try {
      assert.equal(await readIfPresent(path), undefined);
      await writeDurably(path, 'one');
      writeFileSync(`${path}.new`, 'half of a longer text that was never fini');
      assert.equal(await readIfPresent(path), 'one');
      await writeDurably(path, 'two');
      assert.equal(await readIfPresent(path), 'two');
      assert.deepEqual(readdirSync(folder), ['state.json']);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('that cannot be read or written is an error, not an absent file', async () => {
    const root = mkdtempSync(join(tmpdir(), 'kvr-durable-'));
    try {
      mkdirSync(join(root, 'folder'));
      await assert.rejects(readIfPresent(join(root, 'folder')), { code: 'EISDIR' });
      await assert.rejects(writeDurably(join(root, 'folder'), 'x'), { code: 'EISDIR' });
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
