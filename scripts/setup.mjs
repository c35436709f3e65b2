// What a fresh clone needs before anything can run: npm packages, and a few of Debian's.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const root = fileURLToPath(new URL('..', import.meta.url));

const nodeMin = [20, 19];

/** Runs `npm ci` when node_modules is missing or not what package-lock.json says. */
export function ensureModules() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < nodeMin[0] || (major === nodeMin[0] && minor < nodeMin[1])) {
    fail(`Node ${nodeMin.join('.')} or later is needed; this is ${process.versions.node}.`);
  }
  const why = missingModules();
  if (why === undefined) return;
  console.log(`setup: ${why}: npm ci`);
  const { status } = spawnSync('npm', ['ci'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) fail('npm ci failed; the npm registry must be reachable once.');
}

/** Why the packages must be installed; undefined when they are as the lockfile says. */
function missingModules() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'node_modules is missing';
  const locked = readJson(join(root, 'package-lock.json')).packages;
  const present = readJson(installed).packages;
  for (const [path, entry] of Object.entries(locked)) {
    if (path === '') continue;
    const found = present[path];
    // npm leaves out optional packages of other platforms.
    if (found === undefined && entry.optional !== true) return `${path} is missing`;
    if (found !== undefined && found.version !== entry.version) {
      return `${path} is ${found.version}, not ${entry.version}`;
    }
  }
  return undefined;
}

/**
 * Programs by the Debian package that has them. `file` is looked for instead of a program in
 * PATH where the package has none.
 */
export const debianPackages = {
  gobgpd: { program: 'gobgpd', for: 'BGP' },
  iproute2: { program: 'ip', for: 'network namespaces' },
  gcc: { program: 'gcc', for: 'the CNI executable' },
  'libc6-dev': { file: '/usr/include/stdio.h', for: 'the CNI executable' },
};

/** What only tests need: other people's BGP speakers, and ping. */
export const testPackages = {
  'iputils-ping': { program: 'ping', for: 'tests of reachability' },
  iperf3: { program: 'iperf3', for: 'tests of throughput' },
  bird2: { program: 'bird', for: 'tests with BIRD' },
  frr: { file: '/usr/lib/frr/bgpd', for: 'tests with FRR' },
};
const packages = { ...debianPackages, ...testPackages };

/**
 * Installs the named packages that are missing, when this is Debian (or Ubuntu) and we are root;
 * says what and why. Returns the names that are still missing.
 */
export function ensureDebian(names = Object.keys(debianPackages)) {
  const missing = names.filter((name) => !isThere(name));
  if (missing.length === 0) return [];
  const list = missing.map((name) => `${name} (${packages[name].for})`).join(', ');
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    console.log(`setup: not installed: ${list}`);
    return missing;
  }
  console.log(`setup: apt-get install ${list}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) =>
    spawnSync('apt-get', ['-q', '-y', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  apt('update');
  withoutServices(() => apt('install', '--no-install-recommends', ...missing));
  return missing.filter((name) => !isThere(name));
}

const servicePolicy = '/usr/sbin/policy-rc.d';

/** Packages' services must not start (invoke-rc.d(8)): who needs a daemon starts it. */
function withoutServices(install) {
  const ours = !existsSync(servicePolicy);
  if (ours) writeFileSync(servicePolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (ours) rmSync(servicePolicy, { force: true });
  }
}

function isThere(name) {
  const { program, file } = packages[name];
  return file === undefined ? findProgram(program) !== undefined : existsSync(file);
}

/** The path of a program in PATH (and the places of root's programs). */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Prints why and ends the process. */
export function fail(message) {
  console.error(message);
  process.exit(1);
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
