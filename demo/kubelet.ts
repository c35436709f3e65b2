import { realClock, sleep } from '../src/core/clock.ts';
import type { Agent } from './agent.ts';
import { ApiError, type KubeClient } from './kube-client.ts';
import { keyOf, type List, type Pod, type Service, type Workload } from './objects.ts';
import { type PodHost, type PodRuntime, podPath, startPod } from './pod-runtime.ts';
import { planBindings, planPods } from './workloads.ts';

/**
 * What surrounds a CNI plugin in a cluster, as small as it can be: what makes pods of workloads,
 * the scheduler, and a kubelet for each node, in one level-triggered loop. Any watch event wakes
 * it; it lists everything, compares, and acts on the difference, so nothing depends on the order
 * of events. Pods start and stop side by side.
 */
export interface Kubelet extends AsyncDisposable {
  /** The process inside a running pod, by `namespace/name`. */
  agent(pod: string): Agent | undefined;
  /** Milliseconds that CNI ADD of each pod took, by `namespace/name`. */
  readonly addMs: ReadonlyMap<string, number>;
  /** Pods that cannot start, with the reason. */
  readonly failing: ReadonlyMap<string, string>;
}

/** Pause between a watch event and the round it causes: several events make one round. */
const settleMs = 10;
/** Longest time without a round, should an event be missed. */
const idleMs = 1000;
/** Pause before a watch that ended is opened again. */
const rewatchMs = 100;

const podsPath = '/api/v1/pods';
const workloadPaths = {
  Deployment: '/apis/apps/v1/deployments',
  StatefulSet: '/apis/apps/v1/statefulsets',
  DaemonSet: '/apis/apps/v1/daemonsets',
} as const;

export function createKubelet(parts: Omit<PodHost, 'addMs' | 'failing'>): Kubelet {
  const ending = new AbortController();
  const host: PodHost = { ...parts, addMs: new Map(), failing: new Map() };
  const runtimes = new Map<string, PodRuntime>();
  const bell = createBell(ending.signal);
  const watches = [podsPath, ...Object.values(workloadPaths)].map((path) =>
    watchForever(parts.kube, path, bell.ring, ending.signal),
  );
  const loop = runForever(host, runtimes, bell.rung, ending.signal);
  return {
    agent: (pod) => runtimeOf(runtimes, pod)?.agent,
    addMs: host.addMs,
    failing: host.failing,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await Promise.allSettled([loop, ...watches]);
      await Promise.allSettled([...runtimes.values()].map((runtime) => runtime.settled()));
    },
  };
}

function runtimeOf(runtimes: ReadonlyMap<string, PodRuntime>, key: string): PodRuntime | undefined {
  return [...runtimes.values()].find((runtime) => keyOf(runtime.pod) === key && !runtime.stopping);
}

async function runForever(
  host: PodHost,
  runtimes: Map<string, PodRuntime>,
  rung: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await runRound(host, runtimes, signal);
    } catch (error) {
      host.log(`kubelet: ${String(error)}`);
    }
    await rung();
  }
}

async function runRound(
  host: PodHost,
  runtimes: Map<string, PodRuntime>,
  signal: AbortSignal,
): Promise<void> {
  const { kube } = host;
  const nodes = [...host.plugins.keys()];
  const workloads = await listWorkloads(kube);
  const plan = planPods(workloads, (await kube.get<List<Pod>>(podsPath)).items, nodes);
  for (const pod of plan.create) await createPod(kube, pod);
  for (const pod of plan.remove) await ignoring(404, kube.delete(podPath(pod)));
  const { items: pods } = await kube.get<List<Pod>>(podsPath);
  const bindings = planBindings(pods, nodes);
  for (const { pod, node } of bindings) {
    await ignoring(404, kube.patch(podPath(pod), { spec: { nodeName: node } }));
  }
  const bound = bindings.length === 0 ? pods : (await kube.get<List<Pod>>(podsPath)).items;
  const { items: services } = await kube.get<List<Service>>('/api/v1/services');
  runPods(host, runtimes, bound, services, signal);
}

/** Starts what is new, stops what is being deleted or has gone. */
function runPods(
  host: PodHost,
  runtimes: Map<string, PodRuntime>,
  pods: readonly Pod[],
  services: readonly Service[],
  signal: AbortSignal,
): void {
  const present = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]));
  for (const [uid, pod] of present) {
    const isMine = host.plugins.has(pod.spec.nodeName ?? '') && pod.spec.hostNetwork !== true;
    if (!isMine || runtimes.has(uid) || signal.aborted) continue;
    runtimes.set(uid, startPod(host, pod, services, signal));
  }
  for (const [uid, runtime] of runtimes) {
    const pod = present.get(uid);
    if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) continue;
    if (runtime.stopping) continue;
    runtime.stop(pod !== undefined);
    runtime.settled().then(
      () => runtimes.delete(uid),
      (error: unknown) => host.log(`pod ${keyOf(runtime.pod)}: ${String(error)}`),
    );
  }
}

async function listWorkloads(kube: KubeClient): Promise<Workload[]> {
  const all: Workload[] = [];
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet'] as const) {
    const { items } = await kube.get<List<Workload>>(workloadPaths[kind]);
    // A list's items carry no kind of their own.
    all.push(...items.map((item) => ({ ...item, kind })));
  }
  return all;
}

async function createPod(kube: KubeClient, pod: Pod): Promise<void> {
  const path = `/api/v1/namespaces/${pod.metadata.namespace ?? 'default'}/pods`;
  await ignoring(409, kube.post(path, { apiVersion: 'v1', kind: 'Pod', ...pod }));
}

/** Somebody else was faster: the next round sees it. */
async function ignoring(status: number, request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === status)) throw error;
  }
}

async function watchForever(
  kube: KubeClient,
  path: string,
  onEvent: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await kube.watch(path, onEvent, signal);
    } catch {
      // The watch only wakes the loop: while it is away, the idle round does.
    }
    onEvent();
    await sleep(realClock, rewatchMs, signal).catch(() => undefined);
  }
}

/** Rung by events, waited for by the loop: several rings before a wait count as one. */
function createBell(signal: AbortSignal) {
  let isRung = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    isRung = true;
    wake?.();
  };
  signal.addEventListener('abort', ring, { once: true });
  return {
    ring,
    async rung(): Promise<void> {
      if (!isRung) {
        await new Promise<void>((resolve) => {
          const timer = realClock.after(idleMs, resolve);
          wake = () => {
            timer.cancel();
            resolve();
          };
        });
      }
      isRung = false;
      await sleep(realClock, settleMs, signal).catch(() => undefined);
    },
  };
}
