import { appendFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCni } from '../native/cni/build.mjs';
import { realClock } from '../src/core/clock.ts';
import { disableOffloads, offloads } from '../src/host/offload.ts';
import { type Agent, startAgent } from './agent.ts';
import { type DemoApi, loadManifests, registerNode, startApi } from './api.ts';
import { createDisposals, type Disposals } from './disposals.ts';
import { formatMs, plural } from './figures.ts';
import type { KubeClient } from './kube-client.ts';
import { createKubelet, type Kubelet } from './kubelet.ts';
import { createNetwork, type Network } from './network.ts';
import { createNode, type DemoNode, partNames } from './node.ts';
import { isReady, keyOf, type List, type Pod } from './objects.ts';
import type { Options } from './options.ts';
import { createProcesses, DeadlineError, logTail, type Processes, until } from './processes.ts';
import { bundlePrograms, type Programs, projectDirectory } from './programs.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import type { VppInstall } from './vpp-config.ts';

/** Everything that runs: what the checks work with. */
export interface Cluster extends AsyncDisposable {
  readonly network: Network;
  readonly nodes: readonly DemoNode[];
  readonly kube: KubeClient;
  readonly kubelet: Kubelet;
  /** The machine outside of the cluster. */
  readonly client: Agent;
  /** A process in the first node's own namespace. */
  readonly host: Agent;
  /** The site's router, in the client's namespace. */
  readonly upstream: Upstream;
  /** Folder with logs, configuration and sockets of this run. */
  readonly directory: string;
  readonly kubeconfig: string;
  /** The bundled `kvr`. */
  readonly kvr: string;
  readonly signal: AbortSignal;
  /** Milliseconds since the daemons were started. */
  sinceStartMs(): number;
}

export interface ClusterOptions {
  readonly options: Options;
  /** Undefined: the embedded data plane. */
  readonly vpp: VppInstall | undefined;
  readonly signal: AbortSignal;
  /** Told each step as it is done. */
  readonly tell: (what: string, text: string) => void;
}

/** The client serves, too, so that pods have somebody outside to talk to. */
export const clientPort = 8080;

/** Time for the first pods to run: the daemons start meanwhile. */
const podsDeadlineMs = 60_000;

/**
 * Builds the cluster: programs, network, API server, nodes, application. What was built is taken
 * down in reverse by disposing the result, or at once when a step fails.
 */
export async function createCluster(wanted: ClusterOptions): Promise<Cluster> {
  const disposals = createDisposals();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'kvr-demo-'));
    if (!wanted.options.keepLogs) {
      disposals.defer(() => rm(directory, { recursive: true, force: true }));
    }
    return await buildCluster(wanted, directory, disposals);
  } catch (error) {
    await disposals.dispose();
    throw error;
  }
}

async function buildCluster(
  wanted: ClusterOptions,
  directory: string,
  disposals: Disposals,
): Promise<Cluster> {
  const { options, signal, tell } = wanted;
  const logs = join(directory, 'logs');
  await mkdir(logs);
  const programs = disposals.use(await bundlePrograms());
  const cniExecutable = await buildCni(directory);
  const network = disposals.use(await createNetwork(options.nodes));
  disableOffloadsOf(network);
  const processes = disposals.use(createProcesses(logs));
  tell('network', describeNetwork(network));
  const api = await startApi(disposals, {
    port: options.port,
    directory,
    network,
    processes,
    relay: programs.relay,
  });
  const nodes = await createNodes(wanted, { directory, network, processes, programs, api });
  const startedMs = realClock.monotonic();
  for (const node of nodes) {
    for (const part of partNames) node.start(part);
  }
  tell('nodes', describeNodes(nodes, wanted.vpp));
  const count = await loadManifests(
    api,
    options.manifests ?? join(projectDirectory, 'demo/manifests'),
  );
  const plugins = new Map(
    nodes.map(({ machine, cniSocket }) => [
      machine.name,
      { executable: cniExecutable, socket: cniSocket },
    ]),
  );
  const log = (line: string) => appendFileSync(join(logs, 'kubelet.log'), `${line}\n`);
  const { kube } = api;
  const kubelet = disposals.use(
    createKubelet({ kube, network, processes, plugins, podProgram: programs.pod, log }),
  );
  const outside = await startOutside({ directory, network, processes, programs });
  const pods = await untilPodsRun(kube, kubelet, nodes, signal);
  const sinceStartMs = () => realClock.monotonic() - startedMs;
  tell(
    'pods',
    `${plural(count, 'object')} loaded, ${plural(pods, 'pod')} ready ${formatMs(sinceStartMs())} after the daemons' start`,
  );
  return {
    network,
    nodes,
    kube,
    kubelet,
    ...outside,
    directory,
    kubeconfig: api.kubeconfig,
    kvr: programs.kvr,
    signal,
    sinceStartMs,
    [Symbol.asyncDispose]: disposals.dispose,
  };
}

/** What is no pod: the site's router and a client in one namespace, and a process of a node. */
async function startOutside(parts: {
  readonly directory: string;
  readonly network: Network;
  readonly processes: Processes;
  readonly programs: Programs;
}) {
  const { directory, network, processes, programs } = parts;
  const { client: machine, nodes } = network;
  const upstream = await startUpstream({ directory, client: machine, nodes, processes });
  const client = await startAgent(processes, programs.pod, {
    name: 'client',
    netns: machine.netns,
    ports: [{ protocol: 'TCP', port: clientPort }],
    env: { HOSTNAME: 'client' },
  });
  const [first] = nodes;
  if (first === undefined) throw new Error('a cluster without nodes');
  const host = await startAgent(processes, programs.pod, {
    name: 'host',
    netns: first.netns,
    ports: [],
    env: { HOSTNAME: first.name },
  });
  return { upstream, client, host };
}

async function createNodes(
  wanted: ClusterOptions,
  parts: {
    directory: string;
    network: Network;
    processes: Processes;
    programs: Programs;
    api: DemoApi;
  },
): Promise<DemoNode[]> {
  const { api, network, ...rest } = parts;
  const nodes: DemoNode[] = [];
  for (const [index, machine] of network.nodes.entries()) {
    const node = await createNode({
      ...rest,
      machine,
      number: index + 1,
      apiServer: api.nodeUrl,
      vpp: wanted.vpp,
    });
    registerNode(api, node);
    nodes.push(node);
  }
  return nodes;
}

/** A machine's network card fills in checksums before the wire; a veth pair leaves them out. */
function disableOffloadsOf(network: Network): void {
  disableOffloads('eth0', offloads, `/run/netns/${network.client.netns}`);
  for (const link of network.fabricLinks) {
    disableOffloads(link, offloads, `/run/netns/${network.fabric}`);
  }
}

/** Waits for all pods; when they do not come, the error has the reasons and the daemons' logs. */
async function untilPodsRun(
  kube: KubeClient,
  kubelet: Kubelet,
  nodes: readonly DemoNode[],
  signal: AbortSignal,
): Promise<number> {
  try {
    return await until('all pods ready', podsDeadlineMs, signal, async () => {
      for (const node of nodes) assertRunning(node);
      const { items } = await kube.get<List<Pod>>('/api/v1/pods');
      const waiting = items.filter(
        (pod) => !isReady(pod) || kubelet.agent(keyOf(pod)) === undefined,
      );
      return items.length > 0 && waiting.length === 0 ? items.length : undefined;
    });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    const reasons = [...kubelet.failing].map(([pod, reason]) => `${pod}: ${reason}`);
    const tails = await Promise.all(nodes.map((node) => logTail(node.part('router'))));
    throw new Error([error.message, ...reasons, ...tails].join('\n'), { cause: error });
  }
}

function assertRunning(node: DemoNode): void {
  for (const name of partNames) {
    const part = node.part(name);
    if (!part.isRunning()) throw new Error(`${part.name} has ended: see ${part.log}`);
  }
}

function describeNetwork({ nodes, client, apiAddress }: Network): string {
  const machines = [...nodes, client].map(({ name, ip4 }) => `${name} ${ip4}`);
  return `${machines.join(', ')}, API server ${apiAddress}, as network namespaces`;
}

function describeNodes(nodes: readonly DemoNode[], vpp: VppInstall | undefined): string {
  const plane = vpp === undefined ? 'the embedded data plane' : `VPP (${vpp.program})`;
  return `on each of ${plural(nodes.length, 'node')}: ${plane}, gobgpd, the router`;
}
