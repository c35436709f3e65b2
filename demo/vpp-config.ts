import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Parsed, parsed, rejected } from '../src/core/parsed.ts';

/** A VPP installation. */
export interface VppInstall {
  readonly program: string;
  /** Where its own libraries are, when not in the system's places. */
  readonly libraries: string | undefined;
  readonly plugins: string | undefined;
}

/** Looks for VPP in VPP_BIN, in PATH, and in /opt/vpp. */
export function findVpp(env: NodeJS.ProcessEnv = process.env): Parsed<VppInstall> {
  const named = env.VPP_BIN;
  const candidates =
    named === undefined
      ? [...(env.PATH ?? '').split(':').map((folder) => join(folder, 'vpp')), '/opt/vpp/bin/vpp']
      : [named];
  const program = candidates.find(isExecutable);
  if (program === undefined) {
    return rejected(
      named === undefined
        ? 'VPP was not found: install VPP 26.06 or later, or name its program in VPP_BIN (looked in PATH and /opt/vpp)'
        : `VPP_BIN names ${named}, which is not an executable file`,
    );
  }
  const prefix = dirname(dirname(program));
  const libraries = ['lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu', 'lib64', 'lib']
    .map((folder) => join(prefix, folder))
    .find((folder) => existsSync(join(folder, 'vpp_plugins')));
  return parsed({
    program,
    libraries,
    plugins: libraries === undefined ? undefined : join(libraries, 'vpp_plugins'),
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there or not executable: the next candidate
  }
}

/** Only what the router uses: a plugin less is a graph, an API and a memory less. */
const plugins = [
  'abf',
  'af_packet',
  'cnat',
  'acl',
  'gre',
  'mss_clamp',
  'tap',
  'tracedump',
  'vxlan',
];

/**
 * The start-up file of one node's VPP. No hugepages are needed. `poll-sleep-usec` lets several
 * VPPs share a small machine, at the price of some 0.1 ms of latency. `session-max` and the
 * cleanup interval decide how soon a removed backend's sessions end (measured: 1.3 s with these).
 */
export function formatVppConfig(install: VppInstall, directory: string, id: string): string {
  const path = install.plugins === undefined ? '' : `  path ${install.plugins}\n`;
  const enabled = plugins.map((name) => `  plugin ${name}_plugin.so { enable }`).join('\n');
  return `unix {
  nodaemon
  nosyslog
  runtime-dir ${directory}
  cli-listen ${join(directory, 'cli.sock')}
  log ${join(directory, 'vpp.log')}
  poll-sleep-usec 100
}
api-segment { prefix ${id} }
socksvr { socket-name ${join(directory, 'api.sock')} }
statseg { socket-name ${join(directory, 'stats.sock')} page-size 4K size 32M }
memory { main-heap-size 512M main-heap-page-size 4K }
buffers { page-size 4K buffers-per-numa 16384 }
logging { default-log-level info }
cnat { session-max 262144 session-cleanup-timeout 0.05 }
plugins {
${path}  plugin default { disable }
${enabled}
}
`;
}
