import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createApiServer } from '../src/apiserver/server.ts';
import { realClock as clock } from '../src/core/clock.ts';
import { errorText } from '../src/core/error-text.ts';
import { prefix } from '../src/core/ip.ts';
import { type Loop, type Round, startLoop } from '../src/daemon/loop.ts';
import { createMetrics, type Metrics } from '../src/daemon/metrics.ts';
import { roundObserver } from '../src/daemon/round-metrics.ts';
import type { TranslationRow } from '../src/desired/rows.ts';
import { loadKubeAccess } from '../src/kube/access.ts';
import { createKubeClient } from '../src/kube/request.ts';
import { watchKube } from '../src/kube/watch-kube.ts';
import { createStore } from '../src/model/store.ts';
import { createVppTarget } from '../src/vpp/target.ts';
import { address } from './messages.ts';
import { benchConfig, benchUplink } from './node.ts';
import { type Mix, serviceObject, sliceObject } from './objects.ts';
import { compileAlone, runPolicyDaemon, servePolicyApi } from './policy-child.ts';

/** The other processes of the benches, by role (`Role` in children.ts). */
const [, , role, ...args] = process.argv;
const send = (message: object) => process.send?.(message);
// The parent ends its children; a parent that died must not leave them.
process.on('disconnect', () => process.exit(0));

switch (role) {
  case 'api':
    await serveApi(args[0] ?? '', Number(args[1]), mixOf(args[2]));
    break;
  case 'list':
    await listAlone(args[0] ?? '');
    break;
  case 'daemon':
    await runDaemon(args[0] ?? '', args[1] ?? '', Number(args[2]), mixOf(args[3]));
    break;
  case 'policy-api':
    await servePolicyApi(args[0] ?? '');
    break;
  case 'policy-compile':
    compileAlone();
    break;
  case 'policy-daemon':
    await runPolicyDaemon(args[0] ?? '', args[1] ?? '');
    break;
  default:
    throw new Error(`no role ${role}`);
}

function mixOf(text: string | undefined): Mix {
  return text === 'mixed' ? text : 'plain';
}

async function serveApi(socketPath: string, services: number, mix: Mix): Promise<void> {
  const server = await createApiServer({
    socketPath,
    endpointSlices: false,
    serviceCidrs: [prefix('11.0.0.0/8')],
  });
  server.load('{apiVersion: v1, kind: Namespace, metadata: {name: bench}}');
  for (let index = 0; index < services; index++) {
    // The second time writes the status, which an object that is created does not have.
    for (let i = 0; i < 2; i++) server.api.upsert(serviceObject(mix, index) as never);
    server.api.upsert(sliceObject(mix, index, 0) as never);
  }
  process.on('message', async (message: Order) => {
    if (message.kind === 'churn') {
      const loopMs = watchEventLoop();
      const times = await churn(server, { services, mix }, message);
      send({ kind: 'sent', times, loopMs: loopMs() });
      return;
    }
    for (let change = 1; change <= message.changes; change++) {
      server.api.upsert(sliceObject(mix, (change * 7919) % services, change) as never);
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
  { services, mix }: { readonly services: number; readonly mix: Mix },
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
      server.api.upsert(sliceObject(mix, (change * 7919) % services, change, nowMs) as never);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return times;
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

async function runDaemon(
  socket: string,
  vppSocket: string,
  services: number,
  mix: Mix,
): Promise<void> {
  const { signal } = new AbortController();
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  for (const kind of ['uplink', 'attachments', 'learnedRoutes'] as const) store.markSynced(kind);
  // Only Services that answer from outside need a node with addresses.
  if (mix === 'mixed') store.commit('uplink', [['uplink', benchUplink]]);
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
    onFailure: ({ stage, key, error }) => console.error(`${stage} ${key}: ${errorText(error)}`),
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
  const whole = () => isWhole(loop, services, mix);
  await loop.whenApplied(store.revision, AbortSignal.timeout(120_000), whole);
  const ms = performance.now() - startMs;
  const rssMb = process.memoryUsage().rss / 1e6;
  send({ kind: 'applied', ms, rssMb });
}

/** Whether every ClusterIP is in force, and of mixed Services the filters before them. */
function isWhole({ reconciler }: Loop, services: number, mix: Mix): boolean {
  if (reconciler.appliedCount('translations') < services) return false;
  // The uplink and the host have filters, because of policy Local and of source ranges.
  if (mix === 'mixed' && reconciler.appliedCount('filterLists') < 2) return false;
  for (let index = 0; index < services; index++)
    if (reconciler.applied('translations', rowKey(index)) === undefined) return false;
  return true;
}

function rowKey(index: number): string {
  return `${address(index, 11)} 80 TCP`;
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
        const row = loop.reconciler.applied('translations', rowKey(index)) as
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
