import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, watchConfig } from '../../src/config/watch.ts';
import { createFakeClock, realClock } from '../../src/core/clock.ts';
import type { Problem } from '../../src/core/problem.ts';
import { createStore } from '../../src/model/store.ts';

const env = { NODE_NAME: 'worker-1' };
const text = (extra = '') => `uplink: { interface: eth0 }\n${extra}`;

describe('watchConfig', () => {
  let directory = '';
  const abort = new AbortController();
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kvr-config-'));
  });
  after(async () => {
    abort.abort();
    await rm(directory, { recursive: true });
  });

  async function start(name: string, content: string, clock = createFakeClock()) {
    const path = join(directory, name, 'config.yaml');
    await mkdir(join(directory, name), { recursive: true });
    await writeFile(path, content);
    const running = await loadConfig(path, env);
    assert.ok(running.ok);
    const store = createStore();
    const said: (readonly Problem[])[] = [];
    const levels: string[] = [];
    const source = watchConfig({
      path,
      running: running.value,
      store,
      signal: abort.signal,
      onProblems: (problems) => said.push(problems),
      onChange: (next) => levels.push(next.log.level),
      clock,
      env,
    });
    const config = () => store.facts.config.get('config');
    return { path, store, source, said, levels, config, clock };
  }

  it('commits the configuration at once and marks it synced', async () => {
    const t = await start('first', text());
    await using _source = t.source;
    assert.ok(t.store.synced.has('config'));
    assert.equal(t.config()?.uplink.interface, 'eth0');
  });

  it('commits a later version of the file', async () => {
    const t = await start('later', text());
    await using _source = t.source;
    await writeFile(t.path, text('bgp: { holdTimeSeconds: 30 }'));
    await t.source.reload();
    assert.equal(t.config()?.bgp.holdTimeSeconds, 30);
    assert.deepEqual(t.said, [[]]);
  });

  it('keeps the last good configuration while the file is bad, and says which field and why', async () => {
    const t = await start('bad', text());
    await using _source = t.source;
    await writeFile(t.path, text('bgp: { holdTimeSeconds: 1 }'));
    await t.source.reload();
    assert.equal(t.config()?.bgp.holdTimeSeconds, 90);
    assert.deepEqual(t.said, [
      [{ object: 'config', field: 'bgp.holdTimeSeconds', reason: 'must be at least 3' }],
    ]);
    await writeFile(t.path, text());
    await t.source.reload();
    assert.deepEqual(t.said.at(-1), []);
  });

  it('says that a socket changes only with a restart, and applies the rest', async () => {
    const t = await start('restart', text());
    await using _source = t.source;
    await writeFile(t.path, text('vpp: { apiSocket: /run/other.sock }\nlog: { level: debug }'));
    await t.source.reload();
    assert.equal(t.config()?.vpp.apiSocket, '/run/vpp/api.sock');
    assert.equal(t.config()?.log.level, 'debug');
    assert.deepEqual(t.levels, ['debug']);
    assert.equal(t.said.at(-1)?.[0]?.field, 'vpp.apiSocket');
    assert.match(t.said.at(-1)?.[0]?.reason ?? '', /after a restart/);
  });

  it('tells once that the file is gone, and takes the next one', async () => {
    const t = await start('gone', text());
    await using _source = t.source;
    await rm(t.path);
    await t.source.reload();
    await t.source.reload();
    assert.equal(t.said.length, 1);
    assert.match(t.said[0]?.[0]?.reason ?? '', /cannot read .*ENOENT/);
    await writeFile(t.path, text('log: { level: warn }'));
    await t.source.reload();
    assert.equal(t.config()?.log.level, 'warn');
    assert.deepEqual(t.said.at(-1), []);
  });

  it('does not commit text that did not change', async () => {
    const t = await start('same', text());
    await using _source = t.source;
    await t.source.reload();
    const before = t.store.revision;
    await t.source.reload();
    assert.equal(t.store.revision, before);
  });

  it('notices by polling when no file event comes', async () => {
    const t = await start('poll', text());
    await using _source = t.source;
    t.store.takeSnapshot();
    await writeFile(t.path, text('log: { level: error }'));
    const changed = t.store.changed();
    await t.clock.advance(10_000);
    await changed;
    assert.equal(t.config()?.log.level, 'error');
  });

  it("follows kubelet's swap of the ..data symlink", async () => {
    const root = join(directory, 'volume');
    await mkdir(join(root, 'v1'), { recursive: true });
    await mkdir(join(root, 'v2'));
    await writeFile(join(root, 'v1', 'config.yaml'), text());
    await writeFile(join(root, 'v2', 'config.yaml'), text('log: { level: trace }'));
    await symlink('v1', join(root, '..data'));
    await symlink(join('..data', 'config.yaml'), join(root, 'config.yaml'));
    const path = join(root, 'config.yaml');
    const running = await loadConfig(path, env);
    assert.ok(running.ok);
    const store = createStore();
    await using _source = watchConfig({
      path,
      running: running.value,
      store,
      signal: abort.signal,
      onProblems: () => {},
      clock: realClock,
      env,
    });
    store.takeSnapshot();
    await symlink('v2', join(root, '..data_tmp'));
    await rename(join(root, '..data_tmp'), join(root, '..data'));
    await store.changed();
    assert.equal(store.facts.config.get('config')?.log.level, 'trace');
  });
});

describe('loadConfig', () => {
  it('says which file cannot be read', async () => {
    const result = await loadConfig('/nonexistent/config.yaml', env);
    assert.match(
      result.ok ? '' : result.problem,
      /cannot read \/nonexistent\/config\.yaml: ENOENT/,
    );
  });
});
