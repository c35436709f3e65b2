import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Agent } from '../agent.ts';
import type { Cluster } from '../cluster.ts';
import { formatCounts, formatMs } from '../figures.ts';
import type { Destination } from '../pod-protocol.ts';
import { until } from '../processes.ts';
import {
  type CheckGroup,
  clusterIpOf,
  countPods,
  expect,
  livePodOn,
  nodeAt,
  untilAnswered,
  volley,
} from './check.ts';
import { frontendNodePort, shop } from './shop.ts';

const run = promisify(execFile);
/** The routers' pool; the client's way there leads to the first node. */
export const poolPrefix = '198.51.100.0/28';
const deadlineMs = 10_000;

interface Balanced {
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip: string }[] };
  };
}

const servicesPath = `/api/v1/namespaces/${shop}/services`;
const name = 'public';

/** Load balancer addresses, who may use them, and the node's own processes. */
export const loadBalancer: CheckGroup = {
  title: 'Load balancers',
  why: 'the routers give addresses from a pool, and let in only who is named',
  checks: [
    {
      name: 'a Service gets an address of the pool, and answers there outside',
      async run(cluster) {
        const { client, ip4 } = { client: cluster.network.client, ...nodeAt(cluster, 0).machine };
        await run('ip', ['-n', client.netns, 'route', 'replace', poolPrefix, 'via', ip4]);
        await cluster.kube.post(servicesPath, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name, namespace: shop },
          spec: {
            type: 'LoadBalancer',
            selector: { app: 'frontend' },
            ports: [{ name: 'http', port: 80, targetPort: 8000 }],
          },
        });
        const started = performance.now();
        const to = await addressOf(cluster);
        const givenMs = performance.now() - started;
        await untilAnswered(cluster, cluster.client, to);
        const { answers } = await volley(cluster.client, to, 40);
        return `${to.address} after ${formatMs(givenMs)}; ${formatCounts(countPods(answers))}`;
      },
    },
    {
      name: 'source ranges keep the client out there, and nowhere else; then let it in',
      async run(cluster) {
        const to = await addressOf(cluster);
        const patch = (range: string) =>
          cluster.kube.patch(`${servicesPath}/${name}`, {
            spec: { loadBalancerSourceRanges: [range] },
          });
        await patch('203.0.113.0/24');
        await untilSilent(cluster, cluster.client, to);
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'backend');
        expect(await isSilent(from.agent, to), 'a pod outside of the ranges was let in');
        const { ip4 } = nodeAt(cluster, 0).machine;
        const nodePort = { protocol: 'TCP', address: ip4, port: frontendNodePort } as const;
        await volley(cluster.client, nodePort, 20);
        await volley(from.agent, await clusterIpOf(cluster, shop, 'backend'), 20);
        await patch(`${cluster.network.client.ip4}/32`);
        await untilAnswered(cluster, cluster.client, to);
        await volley(cluster.client, to, 20);
        await cluster.kube.delete(`${servicesPath}/${name}`, 0);
        return 'kept out, let in; NodePort and cluster IP 20 of 20 meanwhile';
      },
    },
    {
      name: 'a Service without endpoints refuses at once',
      async run(cluster) {
        const nobody = 'nobody';
        await cluster.kube.post(servicesPath, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: nobody, namespace: shop },
          spec: { selector: { app: nobody }, ports: [{ name: 'http', port: 80 }] },
        });
        const to = await clusterIpOf(cluster, shop, nobody);
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const refusal = await until('a refusal', deadlineMs, cluster.signal, async () => {
          const started = performance.now();
          const failure = await firstFailure(from.agent, to);
          expect(failure?.includes('ECONNREFUSED') === true, failure ?? 'it answered');
          return formatMs(performance.now() - started);
        });
        await cluster.kube.delete(`${servicesPath}/${nobody}`, 0);
        return `ECONNREFUSED after ${refusal}`;
      },
    },
    {
      name: 'a process of the node reaches NodePorts of its own node, and cluster IPs',
      async run(cluster) {
        const { ip4, ip6 } = nodeAt(cluster, 0).machine;
        const figures: string[] = [];
        for (const address of [ip4, ip6]) {
          const to = { protocol: 'TCP', address, port: frontendNodePort } as const;
          await untilAnswered(cluster, cluster.host, to);
          const { answers } = await volley(cluster.host, to, 20);
          figures.push(`${address}: ${answers.length}`);
        }
        const clusterIp = await clusterIpOf(cluster, shop, 'backend');
        const { answers } = await volley(cluster.host, clusterIp, 20);
        return `${figures.join(', ')}, ${clusterIp.address}: ${answers.length} answers`;
      },
    },
  ],
};

function addressOf(cluster: Cluster): Promise<Destination> {
  return until('an address of the pool', deadlineMs, cluster.signal, async () => {
    const service = await cluster.kube.get<Balanced>(`${servicesPath}/${name}`);
    const address = service.status?.loadBalancer?.ingress?.[0]?.ip;
    expect(address !== undefined, 'the status has no address yet');
    return { protocol: 'TCP' as const, address, port: 80 };
  });
}

async function firstFailure(agent: Agent, to: Destination): Promise<string | undefined> {
  const one = { to, count: 1, concurrency: 1, timeoutMs: 700 };
  const { failures } = await agent.call('volley', one);
  return failures[0];
}

async function isSilent(agent: Agent, to: Destination): Promise<boolean> {
  return (await firstFailure(agent, to)) !== undefined;
}

function untilSilent(cluster: Cluster, agent: Agent, to: Destination): Promise<true> {
  return until(`silence of ${to.address}`, deadlineMs, cluster.signal, async () => {
    expect(await isSilent(agent, to), 'it still answers');
    return true as const;
  });
}
