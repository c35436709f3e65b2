import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes } from '../../src/cli/ask.ts';
import { runKvr } from '../../src/cli/run.ts';
import type { LintView } from '../../src/core/control-routing.ts';
import { serveControl } from '../../src/daemon/control.ts';
import { sampleView } from '../daemon/view.ts';

const good = 'uplink: { interface: eth0 }\n';
const leftOut = `${good}bgp:
  peers:
    - { name: a, address: 192.0.2.253, asn: 65001 }
    - { name: b, address: nowhere, asn: 65001 }
    - { name: a, address: 192.0.2.252, asn: 65001 }
`;

describe('kvr lint', () => {
  const abort = new AbortController();
  let directory = '';
  let answer: LintView | undefined;
  const asked: string[] = [];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kvr-lint-'));
    const lint = (text: string) => {
      asked.push(text);
      return answer ?? sampleView.lint(text);
    };
    const socketPath = join(directory, 'control.sock');
    await serveControl({ view: { ...sampleView, lint }, socketPath, signal: abort.signal });
  });
  beforeEach(() => {
    answer = undefined;
    asked.length = 0;
  });
  after(async () => {
    abort.abort();
    await rm(directory, { recursive: true });
  });

  async function lint(text: string | undefined, flags: readonly string[] = []) {
    const file = join(directory, 'config.yaml');
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
    const name = text === undefined ? join(directory, 'missing.yaml') : file;
    const code = await runKvr(['--socket', socket, 'lint', ...flags, name], streams, '1');
    return { code, out: out.replaceAll(directory, 'DIR'), err };
  }

  it('finds nothing in a good file, and asks no daemon', async () => {
    assert.deepEqual(await lint(good), {
      code: exitCodes.ok,
      out: 'DIR/config.yaml: good\n',
      err: '',
    });
    assert.deepEqual(asked, []);
  });

  it('ends with 1 and names every entry that would be left out', async () => {
    const { code, out } = await lint(leftOut);
    assert.equal(code, exitCodes.changes);
    assert.match(out, /^DIR\/config\.yaml: usable, but for 2 problems$/m);
    assert.match(out, /^config {2}bgp\.peers\[1\]\.address {2}.*nowhere/m);
    assert.match(out, /^config {2}bgp\.peers\[2\]\.name +"a" is the name of an earlier entry/m);
  });

  it('ends with 2 and names everything that is wrong with a bad file', async () => {
    for (const flags of [[], ['--diff']]) {
      const { code, out } = await lint('bgp: { asn: x, zap: 1 }\n', flags);
      assert.equal(code, exitCodes.usage);
      assert.match(out, /cannot be used/);
      for (const field of ['uplink.interface', 'bgp.asn', 'bgp.zap'])
        assert.match(out, new RegExp(`^config {2}${field.replaceAll('.', '\\.')}`, 'm'));
    }
    assert.deepEqual(asked, []);
  });

  it('ends with 2 when there is no file, and when it is too large', async () => {
    const missing = await lint(undefined);
    assert.equal(missing.code, exitCodes.usage);
    assert.match(missing.out, /cannot read .*ENOENT/);
    const large = await lint(`${good}${'#'.repeat(1 << 20)}`);
    assert.equal(large.code, exitCodes.usage);
    assert.match(large.out, /larger than 1048576 bytes/);
  });

  it('--diff sends the text and prints what would change', async () => {
    const { code, out } = await lint(good, ['--diff']);
    assert.equal(code, exitCodes.changes);
    assert.deepEqual(asked, [good]);
    assert.deepEqual(out.replaceAll(/ +$/gm, '').split('\n'), [
      'DIR/config.yaml: would bounce 1 session and change 1 announced prefix',
      '',
      'SESSION      NAME    WOULD BE  BECAUSE OF',
      '192.0.2.253  peer/a  BOUNCED   asn',
      '',
      'POLICY  NEW STATEMENTS',
      'export  a; b',
      '',
      'PREFIX         WOULD BE   THEN',
      '10.96.0.10/32  announced  10.96.0.10/32 via x',
      '',
      'TABLE     ADDED  REMOVED  CHANGED',
      'bgpPeers  0      0        1',
      '',
      'OBJECT  FIELD         REASON',
      'config  bgp.peers[1]  28 bytes',
      '',
    ]);
  });

  it('--diff ends with 0 when nothing would change, and says when all sessions end', async () => {
    const nothing = { sessions: [], policies: [], prefixes: [], tables: [], problems: [] };
    answer = { usable: true, server: undefined, ...nothing };
    assert.deepEqual(await lint(good, ['--diff']), {
      code: exitCodes.ok,
      out: 'DIR/config.yaml: would change nothing on this node\n',
      err: '',
    });
    const tables = [{ name: 'bgpServer', added: 0, removed: 0, changed: 1 }];
    answer = { ...answer, tables, server: { before: 'AS 1', after: 'AS 2' } };
    const { code, out } = await lint(good, ['--diff']);
    assert.equal(code, exitCodes.changes);
    assert.match(out, /would bounce all sessions and change no announced prefixes/);
    assert.match(out, /ALL SESSIONS END: AS 1 becomes AS 2/);
  });

  it('prints JSON with the exit code of the text', async () => {
    const { code, out } = await lint(good, ['--diff', '-o', 'json']);
    assert.equal(code, exitCodes.changes);
    assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(sampleView.lint(good))));
    const alone = await lint(leftOut, ['-o', 'json']);
    assert.equal(alone.code, exitCodes.changes);
    assert.equal(JSON.parse(alone.out).problems.length, 2);
  });
});
