import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lookEveryMs, watchPasswords } from '../../src/config/passwords.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { passwordDigest } from '../../src/core/password-digest.ts';
import type { Problem } from '../../src/core/problem.ts';
import { createStore } from '../../src/model/store.ts';

describe('passwords of sessions', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kvr-passwords-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  async function watched(of = directory) {
    const clock = createFakeClock();
    const store = createStore();
    let problems: readonly Problem[] = [];
    const passwords = await watchPasswords({
      directory: () => of,
      store,
      onProblems: (found) => {
        problems = found;
      },
      clock,
      signal: new AbortController().signal,
    });
    const look = async (done: () => boolean) => {
      await clock.advance(lookEveryMs);
      // Reading files takes real time.
      const limit = performance.now() + 10_000;
      while (!done() && performance.now() < limit)
        await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(done());
    };
    return { passwords, store, look, reasons: () => problems.map((one) => one.reason) };
  }

  it('are read from files, and facts hold digests only', async () => {
    writeFileSync(join(directory, 'tor'), 's3cret\n');
    const { passwords, store } = await watched();
    assert.equal(passwords.passwordOf('tor'), 's3cret');
    assert.deepEqual([...store.facts.passwords], [['tor', passwordDigest('s3cret')]]);
    await passwords[Symbol.asyncDispose]();
  });

  it('are read again when they change, come and go', async () => {
    writeFileSync(join(directory, 'tor'), 'one');
    const { passwords, store, look } = await watched();
    writeFileSync(join(directory, 'tor'), 'two');
    writeFileSync(join(directory, 'other'), 'three');
    await look(() => store.facts.passwords.get('tor') === passwordDigest('two'));
    assert.equal(passwords.passwordOf('other'), 'three');
    rmSync(join(directory, 'tor'));
    await look(() => !store.facts.passwords.has('tor'));
    await passwords[Symbol.asyncDispose]();
  });

  it('keeps the last good value of a file that is wrong, and says which', async () => {
    writeFileSync(join(directory, 'tor'), 'one');
    const { passwords, look, reasons } = await watched();
    writeFileSync(join(directory, 'tor'), 'x'.repeat(81));
    await look(() => reasons().length === 1);
    assert.match(reasons()[0] ?? '', /tor: is longer than 80 bytes.*the one of before is kept/);
    assert.equal(passwords.passwordOf('tor'), 'one');
    await passwords[Symbol.asyncDispose]();
  });

  it('says when the directory is not there', async () => {
    const { passwords, reasons } = await watched(join(directory, 'nowhere'));
    assert.match(reasons()[0] ?? '', /cannot read .*nowhere/);
    await passwords[Symbol.asyncDispose]();
  });
});
