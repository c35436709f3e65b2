// Finds a real VPP and starts one for tests.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findProgram } from './setup.mjs';

/** VPP_BIN, then PATH, then /opt/vpp. Undefined when there is none. */
export function findVpp() {
  const named = process.env.VPP_BIN;
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined;
  const places = [findProgram('vpp'), '/opt/vpp/bin/vpp'];
  return places.find((path) => path !== undefined && existsSync(path));
}

/** The environment in which a VPP outside /usr finds its libraries. */
export function vppEnv(vpp) {
  const prefix = dirname(dirname(vpp));
  const folders = ['lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu', 'lib64', 'lib']
    .map((folder) => join(prefix, folder))
    .filter((folder) => existsSync(folder));
  if (prefix === '/usr') return process.env;
  return { ...process.env, LD_LIBRARY_PATH: folders.join(':') };
}

/** `vpp v26.06-… built by …`, or why it does not run. */
export function vppVersion(vpp) {
  const { stdout, stderr, error } = spawnSync(vpp, ['--version'], {
    env: vppEnv(vpp),
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (error !== undefined) return { ok: false, text: error.message };
  const text = `${stdout}${stderr}`.trim().split('\n')[0] ?? '';
  return { ok: /^vpp v/.test(text), text };
}

/** How long VPP may take until its API socket is there: seconds on a busy machine. */
const startMaxMs = 30_000;

/**
 * Starts a VPP with a folder of its own; no hugepages, no devices. `conf` may write another
 * start-up file for that folder; its sockets must be `api.sock`, `stats.sock` and `cli.sock`.
 * With `namespace` it runs in that network namespace.
 */
export async function startVpp(vpp, conf = startupConf, namespace = undefined) {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-vpp-'));
  const apiSocket = join(directory, 'api.sock');
  const statsSocket = join(directory, 'stats.sock');
  const configPath = join(directory, 'startup.conf');
  writeFileSync(configPath, conf(directory));
  const command = [vpp, '-c', configPath];
  // `ip netns exec` becomes the program: the child is VPP itself.
  if (namespace !== undefined) command.unshift('ip', 'netns', 'exec', namespace);
  const child = spawn(command[0], command.slice(1), {
    env: vppEnv(vpp),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-4000);
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
    rmSync(directory, { recursive: true, force: true });
  };
  const deadline = Date.now() + startMaxMs;
  while (!isSocket(apiSocket)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${vpp} did not start:\n${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { apiSocket, statsSocket, cliSocket: join(directory, 'cli.sock'), stop };
}

function isSocket(path) {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

/** Session table and scan as in manifests/base: removed backends are cut within seconds. */
function startupConf(directory) {
  return `unix {
  nodaemon
  nosyslog
  log ${directory}/vpp.log
  runtime-dir ${directory}
  cli-listen ${directory}/cli.sock
  poll-sleep-usec 100
}
api-segment { prefix ${basename(directory)} }
socksvr { socket-name ${directory}/api.sock }
statseg { socket-name ${directory}/stats.sock page-size 4K size 64M }
buffers { page-size 4K buffers-per-numa 16384 }
memory { main-heap-size 1G main-heap-page-size 4K }
plugins { plugin default { enable } plugin dpdk_plugin.so { disable } plugin ping_plugin.so { disable } }
cnat { session-max 262144 session-cleanup-timeout 0.05 }
acl-plugin { use tuple merge 0 reclassify sessions 1 }
`;
}
