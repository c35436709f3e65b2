import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createApiServer } from '../src/apiserver/server.ts';
import { realClock as clock } from '../src/core/clock.ts';
import { ip, prefix } from '../src/core/ip.ts';
import { type Loop, type Round, startLoop } from '../src/daemon/loop.ts';
import { createMetrics, type Metrics } from '../src/daemon/metrics.ts';
import { roundObserver } from '../src/daemon/round-metrics.ts';
import type { TranslationRow } from '../src/desired/rows.ts';
import { loadKubeAccess } from '../src/kube/access.ts';
import { createKubeClient } from '../src/kube/request.ts';
import { watchKube } from '../src/kube/watch-kube.ts';
import type { Config } from '../src/model/config.ts';
import { createStore } from '../src/model/store.ts';
import { createVppTarget } from '../src/vpp/target.ts';
import { address } from './messages.ts';

/** The other processes of the cluster bench: `api`, `list` and `daemon`. */
const [, , role, ...args] = process.argv;
const send = (message: object) => process.send?.(message);
// The parent ends its children; a parent that died must not leave them.
process.on('disconnect', () => process.exit(0));

switch (role) {
  case 'api':
    await serveApi(args[0] ?? '', Number(args[1]));
    break;
  case 'list':
    await listAlone(args[0] ?? '');
    break;
  case 'daemon':
    await runDaemon(args[0] ?? '', args[1] ?? '', Number(args[2]));
    break;
  default:
    throw new Error(`no role ${role}`);
}

async function serveApi(socketPath: string, services: number): Promise<void> {
  const server = await createApiServer({
    socketPath,
    endpointSlices: false,
    serviceCidrs: [prefix('11.0.0.0/8')],
  });
  server.load('{apiVersion: v1, kind: Namespace, metadata: {name: bench}}');
  for (let index = 0; index < services; index++) {
    server.api.upsert(serviceObject(index) as never);
    server.api.upsert(sliceObject(index, 0) as never);
  }
  process.on('message', async (message: Order) => {
    if (message.kind === 'churn') {
      const loopMs = watchEventLoop();
      const times = await churn(server, services, message);
      send({ kind: 'sent', times, loopMs: loopMs() });
      return;
    }
    for (let change = 1; change <= message.changes; change++) {
      server.api.upsert(sliceObject((change * 7919) % services, change) as never);
      // One at a time: the next comes when this one is long in force.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  send({ kind: 'ready' });
}

interface Order {
  readonly kind: string;
  readonly changes: number;
  readonly perSecond: number;
}

/** What is alive, MB: the rest of resident memory is garbage that nobody needed to collect yet. */
function liveHeapMb(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed / 1e6;
}

const delayResolutionMs = 2;

/** From now on: how late timers came, ms. */
function watchEventLoop() {
  const delays = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delays.enable();
  return () => {
    delays.disable();
    const late = (ns: number) => Math.max(0, Math.round(ns / 1e5) / 10 - delayResolutionMs);
    return { p99: late(delays.percentile(99)), max: Math.round(late(delays.max)) };
  };
}

/** Sends changes at a steady rate; a tick that comes late makes up for it. */
async function churn(
  server: { readonly api: { upsert(object: never): unknown } },
  services: number,
  { changes, perSecond }: Order,
): Promise<[number, number][]> {
  const times: [number, number][] = [];
  const startMs = performance.now();
  while (times.length < changes) {
    const due = Math.min(changes, ((performance.now() - startMs) / 1000) * perSecond);
    while (times.length < due) {
      const change = times.length + 1;
      const nowMs = performance.timeOrigin + performance.now();
      times.push([change, nowMs]);
      server.api.upsert(sliceObject((change * 7919) % services, change, nowMs) as never);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return times;
}

function serviceObject(index: number) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `service-${index}`, namespace: 'bench', labels: { app: `app-${index}` } },
    spec: {
      clusterIP: address(index, 11),
      clusterIPs: [address(index, 11)],
      ipFamilies: ['IPv4'],
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
      selector: { app: `app-${index}` },
      type: 'ClusterIP',
    },
  };
}

/** Ten endpoints; one of them is another address after each change. */
function sliceObject(index: number, change: number, triggerMs?: number) {
  const trigger =
    triggerMs === undefined
      ? {}
      : { 'endpoints.kubernetes.io/last-change-trigger-time': new Date(triggerMs).toISOString() };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `service-${index}-abcde`,
      namespace: 'bench',
      annotations: trigger,
      labels: {
        'kubernetes.io/service-name': `service-${index}`,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: Array.from({ length: 10 }, (_, i) => ({
      addresses: [address(i === 0 ? change : index * 10 + i, i === 0 && change > 0 ? 13 : 12)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(index + i) % 100}`,
      targetRef: { kind: 'Pod', name: `pod-${index}-${i}`, namespace: 'bench' },
    })),
  };
}

/** Fetching and parsing every page, both kinds at once, and doing nothing with it. */
async function listAlone(socket: string): Promise<void> {
  const access = await loadKubeAccess({ kubeconfig: '', server: `unix:${socket}` });
  const client = createKubeClient(access, clock);
  const signal = new AbortController().signal;
  const startMs = performance.now();
  const list = async (path: string) => {
    let next = '';
    do {
      const query = `?limit=500${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`;
      const page = await client.request({ method: 'GET', path: path + query }, signal);
      next = (page as { metadata?: { continue?: string } }).metadata?.continue ?? '';
    } while (next !== '');
  };
  await Promise.all([list('/api/v1/services'), list('/apis/discovery.k8s.io/v1/endpointslices')]);
  send({ kind: 'done', ms: performance.now() - startMs });
}

async function runDaemon(socket: string, vppSocket: string, services: number): Promise<void> {
  const { signal } = new AbortController();
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  for (const kind of ['uplink', 'attachments', 'learnedRoutes'] as const) store.markSynced(kind);
  const vpp = createVppTarget({ connect: vppSocket, clock, signal });
  while (vpp.session === undefined) await vpp.sessionChanged();
  const received = new Map<string, number>();
  let latenciesMs: number[] | undefined;
  let wanted = 0;
  const metrics = createMetrics(() => undefined);
  const observer = roundObserver(metrics, clock.now());
  let churned: ReturnType<typeof watchChurn> | undefined;
  const loop = startLoop({
    store,
    targets: [vpp],
    clock,
    signal,
    onRound: (round) => {
      observer.onRound(round);
      churned?.onRound(round);
      for (const key of round.snapshot.changed.slices ?? []) {
        const atMs = received.get(key);
        received.delete(key);
        if (atMs !== undefined) latenciesMs?.push(clock.monotonic() - atMs);
      }
      if (latenciesMs === undefined || latenciesMs.length < wanted) return;
      send({ kind: 'latencies', latenciesMs });
      latenciesMs = undefined;
    },
  });
  process.on('message', (message: Order) => {
    if (message.kind === 'churn') {
      const done = (result: object) => {
        churned = undefined;
        send({ kind: 'churned', ...result });
      };
      churned = watchChurn(loop, message.changes, metrics, done);
      return;
    }
    received.clear();
    wanted = message.changes;
    latenciesMs = [];
  });
  const access = await loadKubeAccess({ kubeconfig: '', server: `unix:${socket}` });
  const startMs = performance.now();
  const kube = watchKube({
    store,
    access,
    clock,
    signal,
    log: { info: () => undefined, warn: console.error },
    onProblems: (problems) => {
      if (problems.length > 0) console.error(problems);
    },
    onReceived: (kind, key, atMs) => {
      if (kind === 'slices') received.set(key, atMs);
    },
  });
  await kube.synced;
  const whole = () => loop.reconciler.appliedCount('translations') === services;
  await loop.whenApplied(store.revision, AbortSignal.timeout(120_000), whole);
  const ms = performance.now() - startMs;
  const rssMb = process.memoryUsage().rss / 1e6;
  send({ kind: 'applied', ms, rssMb });
}

/** After the last change this long without another: it was overtaken by a later one. */
const quietMs = 2_000;

/** Then all that runs has been compiled; the collection itself stops the daemon for some 20 ms. */
const liveAfterSeconds = 5;

/** Which change is in force in each translation after each round, by the endpoint that it made. */
function watchChurn(loop: Loop, changes: number, metrics: Metrics, done: (result: object) => void) {
  // Outside the heap, so that its growth is the daemon's and not of what is noted here.
  const noted = new Float64Array(2 * changes);
  let length = 0;
  const rssMb: number[] = [];
  const liveMb: number[] = [];
  let last = 0;
  const loopMs = watchEventLoop();
  const sampling = setInterval(() => {
    rssMb.push(process.memoryUsage.rss() / 1e6);
    if (rssMb.length === liveAfterSeconds) liveMb.push(liveHeapMb());
    if (last > 0 && performance.now() - last > quietMs) void finish();
  }, 1_000);
  async function finish(): Promise<void> {
    clearInterval(sampling);
    const late = loopMs();
    liveMb.push(liveHeapMb());
    const { values } = await metrics.programming.get();
    const value = (suffix: string) =>
      values.filter((one) => one.metricName?.endsWith(suffix)).reduce((s, one) => s + one.value, 0);
    const times = Array.from({ length }, (_, i) => [noted[2 * i], noted[2 * i + 1]]);
    done({
      times,
      rssMb,
      liveMb,
      loopMs: late,
      metric: { sum: value('_sum'), count: value('_count') },
    });
  }
  return {
    onRound(round: Round) {
      const nowMs = performance.timeOrigin + performance.now();
      for (const key of round.snapshot.changed.slices ?? []) {
        const index = Number(/service-(\d+)-/.exec(key)?.[1]);
        const row = loop.reconciler.applied('translations', `${address(index, 11)} 80 TCP`) as
          | TranslationRow
          | undefined;
        const change = changeOf(row, changes);
        if (change !== undefined && length < changes) noted.set([change, nowMs], 2 * length++);
      }
      last = performance.now();
    },
  };
}

/** Changes give a Service an endpoint in 13.0.0.0/8 whose place is the change's number. */
function changeOf(row: TranslationRow | undefined, changes: number): number | undefined {
  const changed = row?.backends.find((one) => one.ip.startsWith('13.'));
  if (changed === undefined) return undefined;
  const [, b = 0, c = 0, d = 0] = changed.ip.split('.').map(Number);
  const number = ((b << 16) | (c << 8) | d) - 1; // `address` counts from 1.
  return number >= 1 && number <= changes ? number : undefined;
}

const benchConfig = {
  nodeName: 'node-0',
  pods: { interfaceKind: 'auto', mtu: 1480, clusterCidrs: [] },
  services: {
    cidrs: [],
    nodePortAddresses: [],
    nodePortRange: [30_000, 32_767],
    externalIpRanges: [],
    strictSourceRanges: false,
    drainSeconds: 60,
  },
  loadBalancer: { class: '', leaseNamespace: 'kube-system', pools: [] },
  bgp: { enabled: false, asn: 64512, port: 179, routerId: ip('192.0.2.1'), listenAddresses: [] },
  overlay: { mode: 'none' },
} as unknown as Config;
