import type { Agent } from '../agent.ts';
import type { Cluster } from '../cluster.ts';
import { formatMs, quantile } from '../figures.ts';
import type { Destination } from '../pod-protocol.ts';
import { until } from '../processes.ts';
import {
  type CheckGroup,
  clusterIpOf,
  expect,
  type LivePod,
  livePods,
  nodeAt,
  untilAnswered,
} from './check.ts';
import { frontendNodePort, shop } from './shop.ts';

const policies = `/apis/networking.k8s.io/v1/namespaces/${shop}/networkpolicies`;
const closed = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'closed', namespace: shop },
  spec: { podSelector: {}, policyTypes: ['Ingress'] },
};

const deadlineMs = 15_000;
const silenceMs = 1_500;
const tries = 5;
/** Many times what it takes, because the machine runs a cluster meanwhile. */
const atOnceMs = 1_500;
const prohibited = /EHOSTUNREACH|EACCES/;

/** What is denied, and what its clients hear. */
export const denials: CheckGroup = {
  title: 'Denied by a policy',
  why: 'a denied client waits for nothing, or is told at once, as the configuration says',
  checks: [
    {
      name: 'policy.denied is drop: a client hears nothing',
      async run(cluster) {
        await cluster.kube.post(policies, closed);
        const clients = await clientsOf(cluster);
        for (const { from, to } of clients)
          await untilDenied(cluster, from, to, /no answer within/);
        return `${clients.length} ways into pods, silent for ${formatMs(silenceMs)}`;
      },
    },
    {
      name: 'policy.denied is refuse: connecting fails at once, from pods and from outside',
      async run(cluster) {
        await denyBy(cluster, 'refuse');
        const figures: string[] = [];
        for (const { name, from, to } of await clientsOf(cluster)) {
          await untilDenied(cluster, from, to, prohibited);
          const took = await refusalTimes(from, to);
          figures.push(`${name} ${formatMs(quantile(took, 0.5))}`);
        }
        return figures.join(', ');
      },
    },
    {
      name: 'without the policy all is well again',
      async run(cluster) {
        await cluster.kube.delete(`${policies}/${closed.metadata.name}`);
        await denyBy(cluster, 'drop');
        const clients = await clientsOf(cluster);
        for (const { from, to } of clients) await untilAnswered(cluster, from, to);
        return `${clients.length} ways into pods`;
      },
    },
  ],
};

interface Client {
  readonly name: string;
  readonly from: Agent;
  readonly to: Destination;
}

/** From a pod to a pod beside it and to one of another node, to a Service, and from outside. */
async function clientsOf(cluster: Cluster): Promise<Client[]> {
  const frontends = await livePods(cluster, shop, 'frontend');
  const backends = await livePods(cluster, shop, 'backend');
  const pairs = frontends.flatMap((from) => backends.map((to) => ({ from, to })));
  const beside = pairs.find(({ from, to }) => from.node === to.node);
  const apart = pairs.find(({ from, to }) => from.node !== to.node);
  expect(beside !== undefined, 'no front end has a back end beside it');
  expect(apart !== undefined, 'no front end has a back end on another node');
  const { agent: from } = beside.from;
  const node = nodeAt(cluster, 0);
  const nodePort = { address: node.machine.ip4, port: frontendNodePort } as const;
  return [
    { name: 'a pod beside it', from, to: podAt(beside.to, 4) },
    { name: 'over IPv6', from, to: podAt(beside.to, 6) },
    { name: 'a pod of another node', from: apart.from.agent, to: podAt(apart.to, 4) },
    { name: 'a cluster IP', from, to: await clusterIpOf(cluster, shop, 'backend') },
    { name: 'an IPv6 one', from, to: await clusterIpOf(cluster, shop, 'backend', 6) },
    { name: 'UDP', from, to: await clusterIpOf(cluster, shop, 'prices') },
    { name: 'a NodePort', from: cluster.client, to: { protocol: 'TCP', ...nodePort } },
  ];
}

function podAt(pod: LivePod, family: 4 | 6): Destination {
  const address = pod.ips.find((ip) => ip.includes(':') === (family === 6));
  expect(address !== undefined, `${pod.name} has no IPv${family} address`);
  return { protocol: 'TCP', address, port: 8080 };
}

async function denyBy(cluster: Cluster, denied: 'drop' | 'refuse'): Promise<void> {
  for (const node of cluster.nodes)
    await node.configure((config) => {
      config.policy = { denied };
    });
}

/** The failure of one request; undefined when it was answered. */
async function failureOf(from: Agent, to: Destination): Promise<string | undefined> {
  const input = { to, count: 1, concurrency: 1, timeoutMs: silenceMs };
  return (await from.call('volley', input)).failures[0];
}

function untilDenied(cluster: Cluster, from: Agent, to: Destination, by: RegExp): Promise<boolean> {
  const what = `${to.address} port ${to.port} (${to.protocol}) denied: ${by.source}`;
  return until(what, deadlineMs, cluster.signal, async () => {
    const failure = await failureOf(from, to);
    expect(failure !== undefined && by.test(failure), failure ?? 'it was answered');
    return true;
  });
}

/** Milliseconds of each try; fails the check when one is not refused at once. */
async function refusalTimes(from: Agent, to: Destination): Promise<number[]> {
  const took: number[] = [];
  while (took.length < tries) {
    const started = performance.now();
    const failure = await failureOf(from, to);
    took.push(performance.now() - started);
    expect(failure !== undefined && prohibited.test(failure), `${to.address}: ${failure}`);
  }
  const slowest = Math.max(...took);
  expect(slowest < atOnceMs, `${to.address} port ${to.port}: ${formatMs(slowest)}`);
  return took;
}
