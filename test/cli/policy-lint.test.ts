import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes } from '../../src/cli/ask.ts';
import { runKvr } from '../../src/cli/run.ts';
import { serveControl } from '../../src/daemon/control.ts';
import { sampleView } from '../daemon/view.ts';

describe('kvr policy lint', () => {
  const abort = new AbortController();
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kvr-policy-'));
    const socketPath = join(directory, 'control.sock');
    await serveControl({ view: sampleView, socketPath, signal: abort.signal });
  });
  after(async () => {
    abort.abort();
    await rm(directory, { recursive: true });
  });

  async function lint(args: readonly string[], text?: string) {
    const file = join(directory, 'policies.yaml');
    if (text !== undefined) await writeFile(file, text);
    let out = '';
    let err = '';
    const streams = {
      out: (some: string) => {
        out += some;
      },
      err: (some: string) => {
        err += some;
      },
    };
    const socket = join(directory, 'control.sock');
    const named = text === undefined ? args : [...args, file];
    const code = await runKvr(['--socket', socket, 'policy', 'lint', ...named], streams, '1');
    return { code, out: out.replaceAll(directory, 'DIR'), err: err.replaceAll(directory, 'DIR') };
  }

  it('NP-11 tells the mistakes of the policies in force, and ends with 1 for errors', async () => {
    assert.deepEqual(await lint([]), {
      code: exitCodes.changes,
      out: [
        'policies in force: 2 policies: 1 error',
        'SEVERITY  OBJECT                  FIELD                          WRITTEN        PROBABLY MEANT',
        'error     NetworkPolicy/shop/web  spec.ingress[0].ports[0].port  no pod has it  a number',
        '',
      ].join('\n'),
      err: '',
    });
  });

  it('NP-11 asks about a file; objects without a namespace are in the given one', async () => {
    const { code, out } = await lint(['-n', 'test'], 'so so');
    assert.equal(code, exitCodes.ok);
    assert.match(out, /^DIR\/policies\.yaml: 2 policies: 1 warning\n/);
    assert.match(out, /NetworkPolicy\/test\/web/);
    assert.match((await lint([], 'so so')).out, /NetworkPolicy\/default\/web/);
  });

  it('NP-11 says so when nothing is found', async () => {
    const out = 'DIR/policies.yaml: 2 policies: nothing found\n';
    assert.deepEqual(await lint([], 'good'), { code: exitCodes.ok, out, err: '' });
  });

  it('ends with 2 when the file is missing or cannot be read', async () => {
    const missing = await lint([join(directory, 'none.yaml')]);
    assert.equal(missing.code, exitCodes.usage);
    assert.match(missing.err, /^kvr: cannot read DIR\/none\.yaml: /);
    const bad = await lint([], 'bad');
    assert.equal(bad.code, exitCodes.usage);
    assert.match(bad.out, /^DIR\/policies\.yaml: cannot be read\n/);
  });

  it('NP-11 prints the answer as JSON, and the word for the mistake with -o wide', async () => {
    const { code, out } = await lint(['-o', 'json']);
    assert.equal(code, exitCodes.changes);
    assert.deepEqual(JSON.parse(out), sampleView.lintPolicies());
    assert.match((await lint(['-o', 'wide'])).out, /FINDING .*\n.* named-port /);
  });

  it('ends with 3 when there is no daemon', async () => {
    const { code } = await lint(['--socket', join(directory, 'nobody.sock')]);
    assert.equal(code, exitCodes.unreachable);
  });
});
