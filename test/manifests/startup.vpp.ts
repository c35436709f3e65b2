import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { findVpp, type RunningVpp, startVpp, vppEnv } from '../../scripts/vpp.mjs';
import { requiredMessages } from '../../src/vpp/target.ts';
import { base, readText } from './manifests.ts';

describe("the DaemonSet's VPP", () => {
  const vpp = findVpp() ?? '';
  let running: RunningVpp | undefined;
  before(async function () {
    this.timeout(40_000);
    running = await startVpp(vpp, (directory) =>
      readText(base, 'config/startup.conf').replaceAll('/run/vpp', directory),
    );
  });
  after(() => running?.stop());

  function ask(...words: string[]): string {
    const vppctl = join(dirname(vpp), 'vppctl');
    const args = ['-s', running?.cliSocket ?? '', ...words];
    return execFileSync(vppctl, args, { env: vppEnv(vpp), encoding: 'utf8' });
  }

  it('starts with exactly the plugins of startup.conf', () => {
    const wanted = [
      ...readText(base, 'config/startup.conf').matchAll(/plugin (\w+\.so) \{ enable \}/g),
    ].map((match) => match[1]);
    const loaded = [...ask('show', 'plugins').matchAll(/^\s*\d+\. (\S+\.so)/gm)].map(
      (match) => match[1],
    );
    assert.ok(wanted.length > 0);
    assert.deepEqual(loaded.toSorted(), wanted.toSorted());
  });

  it('has every message that the router needs', async () => {
    const path = running?.apiSocket ?? '';
    await using connection = await connectVpp({ name: 'test', path, required: requiredMessages });
    const { version } = await connection.request('show_version', {});
    assert.match(version, /^\d\d\.\d\d/);
  });

  it('applies changed policies to connections that exist', () => {
    assert.match(ask('show', 'acl-plugin', 'sessions'), /Reclassify sessions: 1/);
  });
});
