import { realClock, sleep } from '../src/core/clock.ts';
import { type Agent, startAgent } from './agent.ts';
import { addPodNetwork, type CniPlugin, deletePodNetwork } from './cni.ts';
import { ApiError, type KubeClient } from './kube-client.ts';
import type { Network } from './network.ts';
import { keyOf, type Pod, type Service } from './objects.ts';
import { podEnvironment, podPorts } from './pod-environment.ts';
import type { Processes } from './processes.ts';

/** What a pod needs to start: shared by all pods of the demo. */
export interface PodHost {
  readonly kube: KubeClient;
  readonly network: Network;
  readonly processes: Processes;
  /** By node name. */
  readonly plugins: ReadonlyMap<string, CniPlugin>;
  /** The bundled demo/pod.ts. */
  readonly podProgram: string;
  readonly log: (line: string) => void;
  /** Milliseconds that CNI ADD took, by `namespace/name`. */
  readonly addMs: Map<string, number>;
  /** Pods that cannot start, with the reason. */
  readonly failing: Map<string, string>;
}

/** One pod on one node: its namespace, its network, its process. */
export interface PodRuntime {
  readonly pod: Pod;
  readonly agent: Agent | undefined;
  readonly stopping: boolean;
  /** Resolves when starting, or else stopping, has come to its end. */
  settled(): Promise<void>;
  /** Serves on for a moment, then detaches and removes. `drain` false: at once. */
  stop(drain: boolean): void;
}

/** Pause before a pod that failed to start is tried again. */
const retryMs = 500;
/** Tries of CNI DEL: 30 s with the pauses between them. */
const deleteAttempts = 60;
/** A pod being deleted serves on for this long, so that every node hears of it first. */
const drainMs = 3000;

/** Starts a pod and keeps trying until `signal`. */
export function startPod(
  host: PodHost,
  pod: Pod,
  services: readonly Service[],
  signal: AbortSignal,
): PodRuntime {
  const stopped = new AbortController();
  const giveUp = AbortSignal.any([signal, stopped.signal]);
  let agent: Agent | undefined;
  let stopping = false;
  let chain = start();
  async function start(): Promise<void> {
    while (!giveUp.aborted) {
      try {
        agent = await bringUp(host, pod, services);
        host.failing.delete(keyOf(pod));
        return;
      } catch (error) {
        if (giveUp.aborted) return;
        host.failing.set(keyOf(pod), String(error));
        host.log(`pod ${keyOf(pod)} does not start yet: ${String(error)}`);
        await tearDown(host, pod, undefined, giveUp);
        // Woken early by the end of the pod or of the demo: then there is no next try.
        await sleep(realClock, retryMs, giveUp).catch(() => undefined);
      }
    }
  }
  return {
    pod,
    get agent() {
      return agent;
    },
    get stopping() {
      return stopping;
    },
    settled: () => chain,
    stop(drain) {
      if (stopping) return;
      stopping = true;
      stopped.abort();
      chain = chain.then(async () => {
        if (drain) await sleep(realClock, drainMs, signal).catch(() => undefined);
        await tearDown(host, pod, agent, signal);
        agent = undefined;
        await removeObject(host.kube, pod);
      });
    },
  };
}

async function bringUp(host: PodHost, pod: Pod, services: readonly Service[]): Promise<Agent> {
  const plugin = pluginOf(host, pod);
  const netns = await host.network.addNamespace(namespaceName(pod));
  const started = realClock.monotonic();
  const addresses = await addPodNetwork(plugin, pod, netns);
  host.addMs.set(keyOf(pod), realClock.monotonic() - started);
  const agent = await startAgent(host.processes, host.podProgram, {
    name: `pod-${namespaceName(pod)}`,
    netns,
    ports: podPorts(pod),
    env: podEnvironment(pod, services),
  });
  await reportRunning(host.kube, pod, addresses);
  return agent;
}

/** What a kubelet writes once all containers are ready. */
async function reportRunning(
  kube: KubeClient,
  pod: Pod,
  addresses: readonly string[],
): Promise<void> {
  const now = new Date(realClock.now()).toISOString();
  const condition = (type: string) => ({ type, status: 'True', lastTransitionTime: now });
  await kube.patch(`${podPath(pod)}/status`, {
    status: {
      phase: 'Running',
      podIP: addresses[0] ?? '',
      podIPs: addresses.map((ip) => ({ ip })),
      startTime: now,
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map(condition),
      containerStatuses: pod.spec.containers.map((container) => ({
        name: container.name,
        image: container.image ?? '',
        imageID: '',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: now } },
      })),
    },
  });
}

/** A sandbox goes only after CNI DEL has succeeded: so runtimes do it, the router may be away. */
async function tearDown(
  host: PodHost,
  pod: Pod,
  agent: Agent | undefined,
  signal: AbortSignal,
): Promise<void> {
  await agent?.running.kill('SIGKILL');
  const netns = host.network.namespaceOf(namespaceName(pod));
  for (let attempt = 1; attempt <= deleteAttempts && !signal.aborted; attempt++) {
    try {
      await deletePodNetwork(pluginOf(host, pod), pod, netns);
      break;
    } catch (error) {
      host.log(`pod ${keyOf(pod)}: ${String(error)}`);
      await sleep(realClock, retryMs, signal).catch(() => undefined);
    }
  }
  await host.network.deleteNamespace(netns);
}

/** The last step of a kubelet: the object goes. It may have gone already. */
async function removeObject(kube: KubeClient, pod: Pod): Promise<void> {
  try {
    await kube.delete(podPath(pod), 0);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

function pluginOf(host: PodHost, pod: Pod): CniPlugin {
  const plugin = host.plugins.get(pod.spec.nodeName ?? '');
  if (plugin === undefined) throw new Error(`no node ${pod.spec.nodeName} for pod ${keyOf(pod)}`);
  return plugin;
}

function namespaceName(pod: Pod): string {
  return `${pod.metadata.namespace ?? 'default'}-${pod.metadata.name}`;
}

/** Path of the pod in the API. */
export function podPath(pod: Pod): string {
  const { name, namespace = 'default' } = pod.metadata;
  return `/api/v1/namespaces/${namespace}/pods/${name}`;
}
