import { clientPort } from '../cluster.ts';
import { formatCounts, formatMs, plural, quantile } from '../figures.ts';
import {
  type CheckGroup,
  clusterIpOf,
  countPods,
  expect,
  expectPods,
  livePodOn,
  livePods,
  nodeAt,
  untilAnswered,
  volley,
} from './check.ts';
import { frontendNodePort, shop } from './shop.ts';

/** Enough that a replica which is never chosen is no accident: (3/4)^200 is 10^-25. */
const balanceCount = 200;
const downloadBytes = 8 * 1024 * 1024;
const downloadTimeoutMs = 30_000;
/** A connection that nothing serves must fail at once, not time out. */
const refusalMaxMs = 1000;

/** What kube-proxy does elsewhere, done by VPP. */
export const services: CheckGroup = {
  title: 'Services',
  why: 'VPP translates cluster IPs and NodePorts to pods; kube-proxy and iptables are not there',
  checks: [
    {
      name: 'a ClusterIP is balanced over all replicas on all nodes (TCP)',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend');
        await untilAnswered(cluster, from.agent, to);
        const { answers } = await volley(from.agent, to, balanceCount);
        expectPods(answers, await livePods(cluster, shop, 'backend'));
        const local = answers.filter(({ node }) => node === from.node).length;
        return `${formatCounts(countPods(answers))}; ${answers.length - local} of ${answers.length} on another node`;
      },
    },
    {
      name: 'the same over IPv6',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend', 6);
        await untilAnswered(cluster, from.agent, to);
        const { answers } = await volley(from.agent, to, balanceCount);
        expectPods(answers, await livePods(cluster, shop, 'backend'));
        return formatCounts(countPods(answers));
      },
    },
    {
      name: 'a UDP Service',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 1), shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'prices');
        await untilAnswered(cluster, from.agent, to);
        const { answers, latenciesMs } = await volley(from.agent, to, 60);
        expectPods(answers, await livePods(cluster, shop, 'prices'));
        return `${formatCounts(countPods(answers))}; none of 60 lost, median ${formatMs(quantile(latenciesMs, 0.5))}`;
      },
    },
    {
      name: 'the pods of a headless Service are reached one by one',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const carts = await livePods(cluster, shop, 'cart');
        expect(carts.length > 0, 'no cart pod is ready');
        for (const cart of carts) {
          const address = cart.ips[0] ?? '';
          const { answers } = await volley(from.agent, { protocol: 'TCP', address, port: 6379 }, 5);
          expect(
            answers.every(({ pod }) => pod === cart.name),
            `${address} is not ${cart.name}`,
          );
        }
        return carts.map((cart) => `${cart.name} ${cart.ips[0]} on ${cart.node}`).join(', ');
      },
    },
    {
      name: 'a pod that calls its own Service may be answered by itself',
      async run(cluster) {
        const [from] = await livePods(cluster, shop, 'backend');
        expect(from !== undefined, 'no back-end pod is ready');
        const to = await clusterIpOf(cluster, shop, 'backend');
        const { answers } = await volley(from.agent, to, 60);
        const own = answers.filter(({ pod }) => pod === from.name);
        expect(own.length > 0, `${from.name} never reached itself`);
        return `${own.length} of ${answers.length} came back to ${from.name}, from ${own[0]?.client}`;
      },
    },
    {
      name: 'bulk data through a ClusterIP arrives whole',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend');
        const { milliseconds } = await from.agent.call('download', {
          to,
          lengthBytes: downloadBytes,
          timeoutMs: downloadTimeoutMs,
        });
        const rate = (downloadBytes * 8) / 1000 / milliseconds;
        return `${downloadBytes / 1024 / 1024} MiB in ${formatMs(milliseconds)}, ${Math.round(rate)} Mbit/s`;
      },
    },
    {
      name: 'a port that no Service has is refused at once',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const to = { ...(await clusterIpOf(cluster, shop, 'backend')), port: 9 };
        const started = performance.now();
        const { failures } = await from.agent.call('volley', {
          to,
          count: 1,
          concurrency: 1,
          timeoutMs: 5000,
        });
        const milliseconds = performance.now() - started;
        const [failure] = failures;
        expect(failure !== undefined, `${to.address} port 9 answered`);
        expect(milliseconds < refusalMaxMs, `it took ${formatMs(milliseconds)}: ${failure}`);
        return `${failure.split(' ').slice(0, 2).join(' ')} after ${formatMs(milliseconds)}`;
      },
    },
  ],
};

/** The way in from outside of the cluster. */
export const nodePorts: CheckGroup = {
  title: 'In and out',
  why: 'a client outside of the cluster reaches the shop at any node, and pods reach the client',
  checks: [
    {
      name: 'the front end answers on every node and asks the back end',
      async run(cluster) {
        const frontends = await livePods(cluster, shop, 'frontend');
        const figures: string[] = [];
        for (const { machine } of cluster.nodes) {
          const to = { protocol: 'TCP', address: machine.ip4, port: frontendNodePort } as const;
          await untilAnswered(cluster, cluster.client, to);
          const { answers } = await volley(cluster.client, to, 40);
          expectPods(answers, frontends);
          expect(
            answers.every(({ upstream }) => upstream !== undefined),
            'an answer had no back end',
          );
          figures.push(`${machine.name}: ${formatCounts(countPods(answers))}`);
        }
        return figures.join('; ');
      },
    },
    {
      name: "a pod on that node sees the client's address",
      async run(cluster) {
        const { machine } = nodeAt(cluster, 0);
        const to = { protocol: 'TCP', address: machine.ip4, port: frontendNodePort } as const;
        const { answers } = await volley(cluster.client, to, 40);
        const local = answers.filter(({ node }) => node === machine.name);
        const remote = answers.filter(({ node }) => node !== machine.name);
        const expected = cluster.network.client.ip4;
        const stranger = local.find(({ client }) => client !== expected);
        expect(stranger === undefined, `${stranger?.pod} saw ${stranger?.client}, not ${expected}`);
        const lost = remote.find(({ client }) => client !== machine.ip4);
        expect(
          lost === undefined,
          `${lost?.pod} on ${lost?.node} saw ${lost?.client}, not ${machine.ip4}`,
        );
        return `${plural(local.length, 'local answer')} saw ${expected}; ${plural(remote.length, 'remote answer')} saw ${machine.ip4}, the way back`;
      },
    },
    {
      name: 'the same port over IPv6',
      async run(cluster) {
        const { machine } = nodeAt(cluster, 1);
        const to = { protocol: 'TCP', address: machine.ip6, port: frontendNodePort } as const;
        await untilAnswered(cluster, cluster.client, to);
        const { answers, latenciesMs } = await volley(cluster.client, to, 40);
        expectPods(answers, await livePods(cluster, shop, 'frontend'));
        return `${answers.length} answers at [${machine.ip6}], median ${formatMs(quantile(latenciesMs, 0.5))}`;
      },
    },
    {
      name: "a pod reaches the outside with its node's address",
      async run(cluster) {
        const { client } = cluster.network;
        const seen: string[] = [];
        for (const { machine } of cluster.nodes.slice(0, 2)) {
          const from = await livePodOn(cluster, nodeAt(cluster, seen.length), shop, 'frontend');
          const to = { protocol: 'TCP', address: client.ip4, port: clientPort } as const;
          const { answers } = await volley(from.agent, to, 10);
          const stranger = answers.find((answer) => answer.client !== machine.ip4);
          expect(stranger === undefined, `the client saw ${stranger?.client}, not ${machine.ip4}`);
          seen.push(`${from.ips[0]} as ${machine.ip4}`);
        }
        return `the client saw ${seen.join(', ')}`;
      },
    },
  ],
};
