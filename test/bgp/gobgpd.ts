import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGobgpClient, type GobgpClient } from '../../src/bgp/client.ts';
import { realClock } from '../../src/core/clock.ts';

/**
 * Real gobgpd processes on loopback addresses, for tests and the bench.
 *
 * GOBGPD_BIN names a gobgpd of version 3, else `gobgpd` of the PATH is taken; GOBGPD4_BIN names
 * one of version 4.
 */
export interface Gobgpd extends AsyncDisposable {
  readonly socket: string;
  /** Address of its BGP speaker, and its own: other processes do not use it. */
  readonly address: string;
  readonly client: GobgpClient;
  /** Kills without a word to anybody, as a crash does, or asks to end with SIGTERM. */
  kill(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Stops the process from running, or lets it go on; resolves when all its threads have. */
  freeze(frozen: boolean): Promise<void>;
  /** Starts again on the same socket, knowing nothing. */
  restart(otherProgram?: string): Promise<void>;
}

/** Programs that can be tested here, by version. */
export function findGobgpd(): { readonly 3: string | undefined; readonly 4: string | undefined } {
  const path = process.env.GOBGPD_BIN ?? 'gobgpd';
  const runs = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return { 3: runs.status === 0 ? path : undefined, 4: process.env.GOBGPD4_BIN };
}

/** A TCP port that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** A network namespace with addresses of its own, that are no loopback addresses. */
export interface Site extends Disposable {
  readonly name: string;
  readonly address: (index: number) => string;
}

const siteSize = 9;

/**
 * Makes a site; undefined where that is not allowed. GoBGP 3 takes no routes with a next hop in
 * 127.0.0.0/8, which neighbours of another AS send there.
 */
export function createSite(): Site | undefined {
  const name = `kvr-bgp-${process.pid}`;
  const address = (index: number) => `10.77.0.${index}`;
  const run = (...args: string[]) => spawnSync('ip', args).status === 0;
  if (!run('netns', 'add', name)) return undefined;
  run('-n', name, 'link', 'set', 'lo', 'up');
  for (let i = 1; i <= siteSize; i++) run('-n', name, 'address', 'add', address(i), 'dev', 'lo');
  return { name, address, [Symbol.dispose]: () => void run('netns', 'delete', name) };
}

/**
 * Starts a gobgpd that was told nothing. Its BGP address is the site's, or
 * 127.<x>.<y>.<index>.
 */
export async function startGobgpd(program: string, index: number, site?: Site): Promise<Gobgpd> {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-gobgpd-'));
  const socket = join(directory, 'api.sock');
  // Every test process has its own part of 127.0.0.0/8, so that runs do not meet.
  const address =
    site?.address(index) ??
    `127.${1 + (process.pid % 250)}.${1 + ((process.pid >> 8) % 250)}.${index}`;
  const client = createGobgpClient({ socket, clock: realClock });
  let child: ChildProcess | undefined;

  async function kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()));
    running.kill(signal);
    await ended;
  }

  async function restart(otherProgram = program): Promise<void> {
    rmSync(socket, { force: true }); // a killed gobgpd leaves it, and the next could not bind
    const flags = ['--api-hosts', `unix://${socket}`, '--log-level', 'error', '--pprof-disable'];
    const enter = site === undefined ? [] : ['ip', 'netns', 'exec', site.name];
    const [command = program, ...args] = [...enter, otherProgram, ...flags];
    child = spawn(command, args, { stdio: 'ignore' });
    await answers(client);
  }

  await restart();
  return {
    socket,
    address,
    client,
    kill,
    async freeze(frozen) {
      const { pid } = child ?? {};
      assert.ok(pid !== undefined, 'gobgpd runs');
      child?.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
      await until('stopped', () => isStopped(pid) === frozen);
    },
    restart,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves when `condition` holds; fails after `timeoutMs` with `what`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether all threads of a process are stopped (proc(5), the state after the name). */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).every((task) =>
    /\) T /.test(readFileSync(join(tasks, task, 'stat'), 'utf8')),
  );
}

async function answers(client: GobgpClient): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  await until('gobgpd answers', async () => {
    try {
      await client.getBgp(signal);
      return true;
    } catch {
      return false; // not yet: the process has only just begun
    }
  });
}
