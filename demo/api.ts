import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createApiServer } from '../src/apiserver/server.ts';
import { realClock } from '../src/core/clock.ts';
import { prefix } from '../src/core/ip.ts';
import type { Disposals } from './disposals.ts';
import { createKubeClient, type KubeClient } from './kube-client.ts';
import type { Network } from './network.ts';
import { clusterNetwork, type DemoNode } from './node.ts';
import type { Processes } from './processes.ts';

/** The demo's API server, as seen from all sides. */
export interface DemoApi {
  readonly kube: KubeClient;
  /** For kubectl on this machine. */
  readonly url: string;
  /** For the nodes: `http://192.0.2.1:6443`. */
  readonly nodeUrl: string;
  readonly kubeconfig: string;
  /** Creates or replaces every object of a YAML text; gives their number. */
  load(yaml: string): number;
}

/** Port of the API server inside the demo's network. */
const nodePort = 6443;

/** Starts the API server in this process, and a relay to it inside the demo's network. */
export async function startApi(
  disposals: Disposals,
  parts: {
    readonly port: number;
    readonly directory: string;
    readonly network: Network;
    readonly processes: Processes;
    /** The bundled demo/relay.ts. */
    readonly relay: string;
  },
): Promise<DemoApi> {
  const { directory, network, processes, relay } = parts;
  const socketPath = join(directory, 'api-server.sock');
  const server = disposals.use(
    await createApiServer({
      listen: { address: '127.0.0.1', port: parts.port },
      socketPath,
      serviceCidrs: clusterNetwork.serviceCidrs.map(prefix),
      clock: realClock,
    }),
  );
  const command = [process.execPath, relay, network.apiAddress, String(nodePort), socketPath];
  processes.start('api-relay', command, { netns: network.fabric });
  const kubeconfig = join(directory, 'kubeconfig');
  await writeFile(kubeconfig, formatKubeconfig(server.url));
  await chmod(kubeconfig, 0o600);
  return {
    kube: createKubeClient(server.url),
    url: server.url,
    nodeUrl: `http://${network.apiAddress}:${nodePort}`,
    kubeconfig,
    load: (yaml) => server.load(yaml).length,
  };
}

function formatKubeconfig(server: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'demo', cluster: { server } }],
    users: [{ name: 'demo', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'demo' } }],
    'current-context': 'demo',
  });
}

/** What kubeadm and a kubelet write: the Node with its pod prefixes, addresses and readiness. */
export function registerNode(api: DemoApi, node: DemoNode): void {
  const { name, ip4, ip6 } = node.machine;
  const addresses = [
    { type: 'InternalIP', address: ip4 },
    { type: 'InternalIP', address: ip6 },
    { type: 'Hostname', address: name },
  ];
  api.load(
    stringify({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
      spec: { podCIDR: node.podCidrs[0], podCIDRs: node.podCidrs },
      status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] },
    }),
  );
}

/** Loads every YAML file of a folder, by name; gives the number of objects. */
export async function loadManifests(api: DemoApi, folder: string): Promise<number> {
  const files = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name)).toSorted();
  if (files.length === 0) throw new Error(`no *.yaml in ${folder}`);
  let count = 0;
  for (const file of files) {
    try {
      count += api.load(await readFile(join(folder, file), 'utf8'));
    } catch (cause) {
      throw new Error(`cannot load ${join(folder, file)}: ${String(cause)}`, { cause });
    }
  }
  return count;
}
