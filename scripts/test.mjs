// npm test                   all tests; what needs root, gobgpd or a C compiler runs where they are
// npm test -- FILE… -g TEXT  some of them
// npm run test:vpp           the tests on a real VPP
// npm run coverage           all tests, with a report of what they did not reach
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  debianPackages,
  ensureDebian,
  ensureModules,
  fail,
  findProgram,
  root,
  testPackages,
} from './setup.mjs';
import { findVpp, startVpp, vppVersion } from './vpp.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    vpp: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    grep: { type: 'string', short: 'g', default: '' },
  },
});

process.chdir(root);
ensureModules();
const missing = ensureDebian([...Object.keys(debianPackages), ...Object.keys(testPackages)]);
const vpp = findVpp();
if (values.vpp) requireVpp(vpp);
sayWhatRuns(missing, vpp);

const files = positionals.length > 0 ? positionals : testFiles(values.vpp);
const plane = await startPlane(files);
const env = {
  ...process.env,
  ...(plane && { VPP_API_SOCKET: plane.apiSocket, VPP_STATS_SOCKET: plane.statsSocket }),
  ...(values.vpp && { VPP_BIN: vpp }),
};
process.exitCode = await run(command(files), env);
await plane?.stop();

function requireVpp(path) {
  if (path === undefined) {
    fail(
      'No VPP found: looked at VPP_BIN, PATH and /opt/vpp/bin/vpp. Nothing was run.\n' +
        'Install VPP 26.06 or later, or name the program: VPP_BIN=/path/to/vpp npm run test:vpp',
    );
  }
  const version = vppVersion(path);
  if (!version.ok) fail(`${path} does not run: ${version.text}`);
}

/** The contract suite needs a data plane beside it: real VPP, or the embedded one. */
async function startPlane(files) {
  if (!files.some((file) => file.endsWith('.contract.ts'))) return undefined;
  return values.vpp ? startVpp(vpp) : startEmulator();
}

/** Tests of the whole (`*.vpp.ts` on VPP, `*.test.ts` otherwise); the contract on either. */
function testFiles(onVpp) {
  const endings = [onVpp ? '.vpp.ts' : '.test.ts', '.contract.ts'];
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .map((name) => join('test', name))
    .sort();
}

function command(files) {
  const mocha = [process.execPath, '--import', 'tsx', 'scripts/mocha.mjs', values.grep, ...files];
  if (!values.coverage) return mocha;
  const sources = ['src', 'native', 'proto'].flatMap((folder) => ['--src', folder]);
  const reports = ['--reporter', 'text-summary', '--reporter', 'html', '--all'];
  return ['node_modules/.bin/c8', ...sources, ...reports, '--exclude', '**/generated/**', ...mocha];
}

function run([program, ...args], env) {
  const child = spawn(program, args, { env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}

/** What the machine allows, and what stays unproven where it does not. */
function sayWhatRuns(missing, vpp) {
  const parts = [
    {
      name: 'root',
      there: process.getuid?.() === 0,
      without: 'namespaces, netlink, pods, the demo',
    },
    {
      name: 'gobgpd',
      there: findProgram('gobgpd') !== undefined,
      without: 'BGP with a real GoBGP',
    },
    { name: 'C compiler', there: !missing.includes('gcc'), without: 'the CNI executable' },
    {
      name: 'kube-apiserver (KUBEBUILDER_ASSETS)',
      there: existsSync(join(process.env.KUBEBUILDER_ASSETS ?? '', 'kube-apiserver')),
      without: 'the sources against a real API server',
    },
    { name: 'VPP', there: vpp !== undefined, without: 'npm run test:vpp' },
  ];
  for (const { name, there, without } of parts) {
    console.log(there ? `found: ${name}` : `absent: ${name}; not proven here: ${without}`);
  }
}

/** The embedded data plane as a process. */
async function startEmulator() {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-emulator-'));
  const apiSocket = join(directory, 'api.sock');
  const statsSocket = join(directory, 'stats.sock');
  const main = 'src/emulator/main.ts';
  const sockets = ['--api-socket', apiSocket, '--stats-socket', statsSocket];
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...sockets], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  const deadline = Date.now() + 30_000;
  while (statSync(apiSocket, { throwIfNoEntry: false }) === undefined) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      fail('the embedded data plane did not start');
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { apiSocket, statsSocket, stop };
}
