import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { findVpp, startVpp } from '../scripts/vpp.mjs';
import { makeNamespace } from './links.ts';

/** The data plane that is measured. */
export interface Plane {
  readonly kind: 'vpp' | 'embedded';
  readonly apiSocket: string;
  /** Only VPP's. */
  readonly statsSocket?: string;
  stop(): Promise<void>;
}

/** A fresh one: VPP without poll-sleep where there is a VPP, otherwise the embedded one. */
export function startPlane(kind: Plane['kind'], namespace?: string): Promise<Plane> {
  return kind === 'vpp' ? startRealVpp(namespace) : startEmbedded(namespace);
}

/** One with the links of a node (`benchUplink`), and others. */
export async function startPlaneWithLinks(
  kind: Plane['kind'],
  links: readonly string[] = [],
): Promise<Plane> {
  const namespace = makeNamespace(links);
  try {
    const plane = await startPlane(kind, namespace.name);
    const stop = async () => {
      await plane.stop();
      namespace.remove();
    };
    return { ...plane, stop };
  } catch (error) {
    namespace.remove();
    throw error;
  }
}

export function defaultPlane(): Plane['kind'] {
  return findVpp() === undefined ? 'embedded' : 'vpp';
}

async function startRealVpp(namespace: string | undefined): Promise<Plane> {
  const path = findVpp();
  if (path === undefined) throw new Error('no VPP: set VPP_BIN, or use --dataplane embedded');
  const running = await startVpp(path, startupConf, namespace);
  return { kind: 'vpp', ...running };
}

/** The manifests' sizes, and no poll-sleep: the main thread answers as fast as it can. */
function startupConf(directory: string): string {
  return `unix { nodaemon nosyslog log ${directory}/vpp.log runtime-dir ${directory} cli-listen ${directory}/cli.sock }
api-segment { prefix ${basename(directory)} }
socksvr { socket-name ${directory}/api.sock }
statseg { socket-name ${directory}/stats.sock page-size 4K size 64M }
buffers { page-size 4K buffers-per-numa 8192 }
memory { main-heap-size 2G main-heap-page-size 4K }
plugins { plugin default { enable } plugin dpdk_plugin.so { disable } plugin ping_plugin.so { disable } }
cnat { session-max 262144 session-cleanup-timeout 0.05 translation-db-buckets 65536 translation-db-memory 64M }
acl-plugin { use tuple merge 0 }
`;
}

const embeddedStartMs = 10_000;

async function startEmbedded(namespace: string | undefined): Promise<Plane> {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-bench-'));
  const apiSocket = join(directory, 'api.sock');
  const command = [process.execPath, 'dist/emulator.js', '--api-socket', apiSocket];
  // `ip netns exec` becomes the program.
  if (namespace !== undefined) command.unshift('ip', 'netns', 'exec', namespace);
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const deadline = Date.now() + embeddedStartMs;
  while (!existsSync(apiSocket)) {
    if (Date.now() > deadline) throw new Error('the embedded data plane did not start');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    kind: 'embedded',
    apiSocket,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
