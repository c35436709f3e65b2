import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiServer } from '../../src/apiserver/server.ts';
import { realClock, sleep } from '../../src/core/clock.ts';

/** A server that the source tests run on. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly token?: string;
  /** Answers WatchList: needs the feature, and etcd 3.4.25 or later behind it. */
  readonly watchList: boolean;
  /** Makes the server forget its history; a real one has none of before its start. */
  compact?(): void;
}

/** The small API server of this repository, and a real one where KUBEBUILDER_ASSETS has it. */
export const testServers: readonly {
  readonly name: string;
  readonly timeoutMs: number;
  readonly start: () => Promise<TestServer>;
}[] = [
  {
    name: 'the small API server',
    timeoutMs: 10_000,
    start: startSmallServer,
  },
  ...(realAssets() === undefined
    ? []
    : [
        {
          name: 'a real kube-apiserver',
          timeoutMs: 90_000,
          start: () => startRealServer(realAssets() ?? ''),
        },
      ]),
];

async function startSmallServer(): Promise<TestServer> {
  const server = await createApiServer({ endpointSlices: false });
  return {
    url: server.url,
    watchList: true,
    compact: () => server.compact(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function realAssets(): string | undefined {
  const folder = process.env.KUBEBUILDER_ASSETS;
  const has = (name: string) => folder !== undefined && existsSync(join(folder, name));
  return has('kube-apiserver') && has('etcd') ? folder : undefined;
}

/** Longest wait for the real server to be ready. */
const startMs = 60_000;

/** etcd and kube-apiserver on loopback, with state in a new folder that goes with them. */
export async function startRealServer(assets: string): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'kvr-kube-'));
  const [client, peer, secure] = await freePorts(3);
  const etcdUrl = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const etcd = start(join(assets, 'etcd'), [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--unsafe-no-fsync',
  ]);
  const token = 'test-token';
  await writeFile(join(folder, 'tokens.csv'), `${token},admin,admin,system:masters\n`);
  const keyFile = join(folder, 'service-account.key');
  const { generateKeyPairSync } = await import('node:crypto');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  const server = start(join(assets, 'kube-apiserver'), [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${secure}`,
    `--cert-dir=${join(folder, 'certificates')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/108',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${keyFile}`,
    `--service-account-signing-key-file=${keyFile}`,
    // Off by default in 1.33 only.
    '--feature-gates=WatchList=true',
    '--disable-admission-plugins=ServiceAccount',
  ]);
  const url = `https://127.0.0.1:${secure}`;
  const stop = async () => {
    for (const child of [server, etcd]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + startMs;
  while ((await get(`${url}/readyz`, token)) !== 'ok') {
    if (Date.now() > deadline || server.exitCode !== null) {
      await stop();
      assert.fail(`kube-apiserver did not become ready; its last words: ${server.lastWords()}`);
    }
    await sleep(realClock, 250);
  }
  const question = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
  const path = `/api/v1/namespaces?${question}&allowWatchBookmarks=true&timeoutSeconds=1`;
  const watchList = (await get(url + path, token)).includes('initial-events-end');
  return { url, token, watchList, [Symbol.asyncDispose]: stop };
}

function start(path: string, args: readonly string[]) {
  const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-2000);
  });
  return Object.assign(child, { lastWords: () => text });
}

/** The body of a successful answer; '' for every failure. */
async function get(url: string, token: string): Promise<string> {
  const { request } = await import('node:https');
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}` };
    const outbound = request(url, { headers, rejectUnauthorized: false }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => {
        body += chunk.toString('utf8');
      });
      answer.once('end', () => resolve(answer.statusCode === 200 ? body : ''));
      answer.once('error', () => resolve(''));
    });
    outbound.once('error', () => resolve(''));
    outbound.end();
  });
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  for (const server of servers) server.close();
  return ports;
}
