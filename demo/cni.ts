import type { Pod } from './objects.ts';
import { run } from './processes.ts';

/** Where a node's CNI executable is and which daemon it talks to. */
export interface CniPlugin {
  readonly executable: string;
  readonly socket: string;
}

/** Calls the CNI executable as a container runtime does: environment, configuration on stdin. */
async function callCni(
  plugin: CniPlugin,
  command: 'ADD' | 'DEL',
  pod: Pod,
  netns: string,
): Promise<string> {
  const { name, namespace = 'default', uid = '' } = pod.metadata;
  const configuration = {
    cniVersion: '1.0.0',
    name: 'kube-vpp-router',
    type: 'kube-vpp-router',
    socket: plugin.socket,
  };
  return run(plugin.executable, [], {
    input: JSON.stringify(configuration),
    env: {
      PATH: process.env.PATH ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: uid,
      CNI_NETNS: `/run/netns/${netns}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: plugin.executable.slice(0, plugin.executable.lastIndexOf('/')),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${uid};K8S_POD_UID=${uid}`,
    },
  });
}

/** Attaches a pod's namespace; gives the pod's addresses. */
export async function addPodNetwork(plugin: CniPlugin, pod: Pod, netns: string): Promise<string[]> {
  const result = JSON.parse(await callCni(plugin, 'ADD', pod, netns)) as {
    ips?: readonly { readonly address: string }[];
  };
  return (result.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, ''));
}

/** Detaches it; not an error when it was never attached. */
export async function deletePodNetwork(plugin: CniPlugin, pod: Pod, netns: string): Promise<void> {
  await callCni(plugin, 'DEL', pod, netns);
}
