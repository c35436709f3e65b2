import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCni } from '../../native/cni/build.mjs';
import type { CniLog } from '../../src/cni/attachments.ts';
import { type CniOptions, type CniServer, createCniServer } from '../../src/cni/server.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { createPodWiring, podGateways } from '../../src/host/pod-link.ts';
import type { Config } from '../../src/model/config.ts';
import type { Node } from '../../src/model/facts.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { uplink } from '../facts.ts';

/** What the executable gave back. */
export interface CniAnswer {
  readonly exitCode: number;
  readonly output: {
    readonly [field: string]: unknown;
    readonly code?: number;
    readonly msg?: string;
  };
}

/** A call as a container runtime makes it. */
export interface RuntimeCall {
  readonly command: string;
  readonly containerId?: string;
  readonly netns?: string;
  readonly ifName?: string;
  readonly config?: object;
}

export const podArgs =
  'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=6f2c;K8S_POD_INFRA_CONTAINER_ID=x';

export const node: Node = {
  key: 'n1',
  labels: {},
  annotations: {},
  internalIps: [ip('192.0.2.1')],
  podCidrs: [prefix('10.1.0.0/24'), prefix('fd10:1::/64')],
  unschedulable: false,
  taints: [],
  terminating: false,
  networkUnavailable: false,
  shuttingDown: false,
};

/** The daemon's defaults on Node `n1`, with veth pods. */
export function podConfig(): Config {
  const config = parseConfig(
    JSON.stringify({
      nodeName: 'n1',
      uplink: { interface: 'eth0' },
      pods: { interfaceKind: 'veth', mtu: 1450, clusterCidrs: ['10.0.0.0/8', 'fd10::/16'] },
    }),
  );
  assert.ok(config.ok, JSON.stringify(config));
  return config.value;
}

export function createReadyStore(): Store {
  const store = createStore();
  store.replace('uplink', new Map([['uplink', uplink]]));
  store.commit('config', [['config', podConfig()]]);
  store.commit('nodes', [['n1', node]]);
  return store;
}

export const silentLog: CniLog = { info: () => undefined, warn: () => undefined };

/** A folder for sockets and state, removed when disposed. */
export function createFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'kvr-cni-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const built: { path?: string } = {};

/** The compiled executable: once a test run. */
export function cniExecutable(): string {
  if (built.path === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'kvr-cni-bin-'));
    process.once('exit', () => rmSync(folder, { recursive: true }));
    built.path = buildCni(folder);
  }
  return built.path;
}

/** Serves in `folder`, with the hosts' ends of pods in `namespace`, and all rows in force at once. */
export function serve(
  folder: string,
  namespace: string,
  more: Partial<CniOptions> = {},
): Promise<CniServer> {
  return createCniServer({
    socketPath: join(folder, 'cni.sock'),
    stateDir: folder,
    store: createReadyStore(),
    wiring: createPodWiring(namespace),
    gateways: podGateways,
    clock: realClock,
    log: silentLog,
    signal: new AbortController().signal,
    awaitApplied: async () => undefined,
    hasVhostNet: false,
    ...more,
  });
}

/** Runs the executable as a runtime does, with a configuration that names the socket. */
export function callCni(socket: string, call: RuntimeCall): Promise<CniAnswer> {
  const child = spawn(cniExecutable(), {
    env: {
      CNI_COMMAND: call.command,
      CNI_CONTAINERID: call.containerId ?? '',
      CNI_NETNS: call.netns ?? '',
      CNI_IFNAME: call.ifName ?? 'eth0',
      CNI_ARGS: podArgs,
      CNI_PATH: '/opt/cni/bin',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const settings = { cniVersion: '1.1.0', name: 'pods', type: 'kube-vpp-router', socket };
  child.stdin.end(JSON.stringify({ ...settings, ...call.config }));
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => {
      const text = Buffer.concat(chunks).toString();
      resolve({ exitCode: exitCode ?? -1, output: text === '' ? {} : JSON.parse(text) });
    });
  });
}
