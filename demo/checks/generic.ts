import type { Agent } from '../agent.ts';
import type { Cluster } from '../cluster.ts';
import { formatCounts, plural } from '../figures.ts';
import { isReady, keyOf, type List, type Pod, type Service } from '../objects.ts';
import type { Destination } from '../pod-protocol.ts';
import { type CheckGroup, countPods, expect, untilAnswered, volley } from './check.ts';

/** Services asked for at most, and requests for each. */
const servicesMax = 50;
const requestCount = 30;

/** What can be checked of any application: `--manifests`. */
export const generic: CheckGroup = {
  title: 'Your application',
  why: 'every Service with ready endpoints is asked from a pod of each node, every NodePort from outside',
  checks: [
    {
      name: 'every cluster IP answers from every node',
      async run(cluster) {
        const figures: string[] = [];
        for (const service of await servedServices(cluster)) {
          for (const to of clusterFrontends(service)) {
            for (const agent of await agentPerNode(cluster)) {
              await untilAnswered(cluster, agent, to);
              const { answers } = await volley(agent, to, requestCount);
              figures.push(`${keyOf(service)} ${to.address}: ${formatCounts(countPods(answers))}`);
            }
          }
        }
        expect(figures.length > 0, 'there is no Service with ready endpoints');
        return figures.join('; ');
      },
    },
    {
      name: 'every NodePort answers on every node',
      async run(cluster) {
        let count = 0;
        for (const service of await servedServices(cluster)) {
          for (const to of cluster.nodes.flatMap(({ machine }) =>
            nodePortFrontends(service, machine.ip4),
          )) {
            await untilAnswered(cluster, cluster.client, to);
            await volley(cluster.client, to, requestCount);
            count += 1;
          }
        }
        return plural(count, 'NodePort frontend');
      },
    },
  ],
};

interface Slice {
  readonly metadata: {
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly endpoints?: readonly { readonly conditions?: { readonly ready?: boolean } }[];
}

async function servedServices(cluster: Cluster): Promise<Service[]> {
  const { items: services } = await cluster.kube.get<List<Service>>('/api/v1/services');
  const { items: slices } = await cluster.kube.get<List<Slice>>(
    '/apis/discovery.k8s.io/v1/endpointslices',
  );
  const served = new Set(
    slices
      .filter((slice) => slice.endpoints?.some(({ conditions }) => conditions?.ready !== false))
      .map(
        ({ metadata }) =>
          `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name']}`,
      ),
  );
  return services.filter((service) => served.has(keyOf(service))).slice(0, servicesMax);
}

function clusterFrontends({ spec }: Service): Destination[] {
  const addresses = (spec.clusterIPs ?? []).filter((ip) => ip !== 'None' && ip !== '');
  return addresses.flatMap((address) =>
    (spec.ports ?? []).flatMap(({ port, protocol }) => destination(address, port, protocol)),
  );
}

function nodePortFrontends({ spec }: Service, address: string): Destination[] {
  if (spec.externalTrafficPolicy === 'Local') return [];
  return (spec.ports ?? []).flatMap(({ nodePort, protocol }) =>
    nodePort === undefined || nodePort === 0 ? [] : destination(address, nodePort, protocol),
  );
}

function destination(address: string, port: number, protocol = 'TCP'): Destination[] {
  return protocol === 'TCP' || protocol === 'UDP' ? [{ protocol, address, port }] : [];
}

async function agentPerNode(cluster: Cluster): Promise<Agent[]> {
  const { items } = await cluster.kube.get<List<Pod>>('/api/v1/pods');
  return cluster.nodes.flatMap(({ machine }) => {
    const pod = items.find((p) => p.spec.nodeName === machine.name && isReady(p));
    const agent = pod === undefined ? undefined : cluster.kubelet.agent(keyOf(pod));
    return agent === undefined ? [] : [agent];
  });
}
