import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFakeClock } from '../../src/core/clock.ts';
import { startRig } from '../kube/rig.ts';

const main = ['--import', 'tsx', 'src/apiserver/main.ts'];

describe('the API server as a process', function () {
  // A process without a compiler takes its time where others work, too.
  this.timeout(60_000);
  let folder: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvr-apiserver-'));
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts it on a socket and waits until it says that it listens. */
  async function start(...args: readonly string[]): Promise<string> {
    const socket = join(folder, 'api.sock');
    child = spawn(process.execPath, [...main, '--socket', socket, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.ok(child.stdout !== null);
    await once(child.stdout, 'data');
    return `unix:${socket}`;
  }

  it('loads files, gives addresses from its service CIDR, and ends on SIGTERM', async () => {
    const file = join(folder, 'objects.yaml');
    await writeFile(
      file,
      `kind: List
apiVersion: v1
items:
- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}
`,
    );
    const url = await start('--service-cidr', '10.99.0.0/24', '--load', file);
    await using rig = await startRig(url, ['services', 'namespaces']);
    await rig.source.synced;
    assert.deepEqual(rig.store.facts.services.get('shop/web')?.clusterIps, ['10.99.0.16']);
    assert.ok(rig.store.facts.namespaces.has('shop'));
    assert.ok(child !== undefined);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  });

  it('is noticed when it is stopped in the middle of a watch, and found again when it goes on', async () => {
    const clock = createFakeClock();
    const url = await start();
    await using rig = await startRig(url, ['namespaces'], { clock });
    await rig.source.synced;
    assert.ok(child !== undefined);
    child.kill('SIGSTOP');
    const silent = rig.nextWarning();
    await clock.advance(180_001);
    assert.match(await silent, /silent for 180\d{3} ms/);
    assert.match(rig.source.state()[0]?.error ?? '', /silent/);
    // The socket still accepts: a stopped process looks alive to the kernel.
    const unanswered = rig.nextWarning();
    await clock.advance(1000);
    await clock.advance(30_000);
    assert.match(await unanswered, /no answer within 30000 ms/);
    child.kill('SIGCONT');
    // It may take a try or two until the process is awake.
    while (rig.source.state()[0]?.error !== undefined) {
      await clock.advance(1_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.ok(rig.store.facts.namespaces.has('default'));
  });

  for (const args of [['--listen', 'nowhere'], ['--service-cidr', 'x'], ['--unknown']]) {
    it(`refuses ${args.join(' ')}`, () => {
      const { status, stderr } = spawnSync(process.execPath, [...main, ...args], {
        encoding: 'utf8',
      });
      assert.equal(status, 1);
      assert.ok(stderr.includes(args[0] ?? ''));
    });
  }
});
