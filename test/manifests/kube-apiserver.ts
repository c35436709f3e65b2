import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realClock, sleep } from '../../src/core/clock.ts';

/** A real kube-apiserver with RBAC, and etcd behind it, for one test. */
export interface RealApiServer extends AsyncDisposable {
  /** Runs kubectl as cluster administrator; its output, or throws with what it said. */
  kubectl(...args: string[]): string;
}

/** The folder that `KUBEBUILDER_ASSETS` names, when both programs are in it. */
export function kubeAssets(): string | undefined {
  const folder = process.env.KUBEBUILDER_ASSETS ?? '';
  const complete = ['kube-apiserver', 'etcd'].every((name) => existsSync(join(folder, name)));
  return folder !== '' && complete ? folder : undefined;
}

/** etcd and the API server on two busy cores. */
const startMaxMs = 60_000;

export async function startKubeApiServer(assets: string): Promise<RealApiServer> {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-kube-'));
  const [etcd, etcdPeer, api] = await Promise.all([freePort(), freePort(), freePort()]);
  const token = 'kvr-test-admin';
  const key = join(directory, 'sa.key');
  writeFileSync(join(directory, 'tokens.csv'), `${token},admin,admin,system:masters\n`);
  execFileSync('openssl', ['genrsa', '-out', key, '2048'], { stdio: 'ignore' });
  const children = [
    run(join(assets, 'etcd'), [
      `--data-dir=${directory}/etcd`,
      `--listen-client-urls=http://127.0.0.1:${etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${etcdPeer}`,
      '--unsafe-no-fsync',
    ]),
    run(join(assets, 'kube-apiserver'), [
      `--etcd-servers=http://127.0.0.1:${etcd}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${api}`,
      `--cert-dir=${directory}/certs`,
      '--authorization-mode=RBAC',
      `--token-auth-file=${directory}/tokens.csv`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${key}`,
      `--service-account-key-file=${key}`,
      '--service-cluster-ip-range=10.96.0.0/16',
    ]),
  ];
  const flags = [`--server=https://127.0.0.1:${api}`, `--token=${token}`];
  const access = [...flags, '--insecure-skip-tls-verify', '--kubeconfig=/dev/null'];
  const server: RealApiServer = {
    kubectl(...args) {
      const { status, stdout, stderr } = spawnSync('kubectl', [...access, ...args], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(children.toReversed().map(end));
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await untilReady(server);
  return server;
}

/** Its namespaces are there a little later than it is ready. */
async function untilReady(server: RealApiServer): Promise<void> {
  const deadline = realClock.monotonic() + startMaxMs;
  for (;;) {
    try {
      server.kubectl('get', '--raw', '/readyz');
      server.kubectl('get', 'namespace', 'kube-system');
      return;
    } catch (cause) {
      if (realClock.monotonic() > deadline) {
        await server[Symbol.asyncDispose]();
        throw new Error('kube-apiserver did not become ready', { cause });
      }
      await sleep(realClock, 200);
    }
  }
}

function run(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: 'ignore' });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}
