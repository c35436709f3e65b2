import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  createAttachmentFile,
  formatAttachmentState,
  loadAttachmentState,
  parseAttachmentState,
} from '../../src/cni/attachment-file.ts';
import { attachmentState } from './attachment-writer.ts';
import { createFolder, serve } from './runtime.ts';

const writer = fileURLToPath(new URL('./attachment-writer.ts', import.meta.url));

/** Starts a process that saves states 1, 2, 3, … and kills it after it said that `after` is saved. */
async function killWriter(path: string, after: number, delayUs: number): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', writer, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let saved = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    saved = Number(line);
    if (saved !== after) continue;
    // A spin of some µs, so that the kill meets different system calls of a write.
    const end = performance.now() + delayUs / 1000;
    while (performance.now() < end);
    child.kill('SIGKILL');
  }
  return saved;
}

describe('the attachment file', function () {
  this.timeout(60_000);

  it('holds all that was acknowledged, and is whole, whenever its writer is killed', async () => {
    for (const [after, delayUs] of [
      [1, 0],
      [3, 100],
      [10, 250],
      [20, 500],
      [30, 900],
    ] as const) {
      using folder = createFolder();
      const path = join(folder.path, 'attachments.json');
      const saved = await killWriter(path, after, delayUs);
      const state = await loadAttachmentState(path);
      assert.ok(saved >= after);
      // The write after the last acknowledged one may have made it, or not.
      assert.ok(
        [saved, saved + 1].includes(state.attachments.size),
        `${saved} ${state.attachments.size}`,
      );
    }
  });

  it('shares writes between callers in parallel, and each finds its change on disk', async () => {
    using folder = createFolder();
    const path = join(folder.path, 'attachments.json');
    let count = 0;
    let writes = 0;
    const file = createAttachmentFile(path, () => {
      writes++;
      return attachmentState(count);
    });
    const found = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const mine = ++count;
        await file.save();
        const state = parseAttachmentState(readFileSync(path, 'utf8'));
        return state.ok && state.value.attachments.size >= mine;
      }),
    );
    assert.deepEqual(found, Array(50).fill(true));
    assert.ok(writes <= 2, `${writes} writes`);
  });

  it('is read back as it was written', () => {
    const state = attachmentState(7);
    assert.deepEqual(parseAttachmentState(formatAttachmentState(state)), {
      ok: true,
      value: state,
    });
  });

  const one = formatAttachmentState(attachmentState(1));
  const two = formatAttachmentState(attachmentState(2));
  const damaged = [
    { name: 'nothing', text: '', says: /not JSON/ },
    { name: 'half a file', text: one.slice(0, one.length / 2), says: /not JSON/ },
    { name: 'zeros', text: '\0'.repeat(100), says: /not JSON/ },
    {
      name: 'another version',
      text: one.replace('"version": 1', '"version": 9'),
      says: /version 9/,
    },
    {
      name: 'an address twice',
      text: two.replace('10.1.0.3', '10.1.0.2'),
      says: /10.1.0.2 belongs to/,
    },
    {
      name: 'a bad address',
      text: one.replace('10.1.0.2', '10.1.0.256'),
      says: /attachments\[0\]/,
    },
    {
      name: 'a key that is not its own',
      text: one.replace('"key": "c1', '"key": "c9'),
      says: /attachments\[0\]/,
    },
  ];
  for (const { name, text, says } of damaged) {
    it(`with ${name} inside is refused: no server, no address`, async () => {
      using folder = createFolder();
      writeFileSync(join(folder.path, 'attachments.json'), text);
      await assert.rejects(serve(folder.path, '/proc/self/ns/net'), (error: Error) => {
        assert.match(error.message, /attachments.json is damaged/);
        assert.match(error.message, says);
        return true;
      });
    });
  }
});
