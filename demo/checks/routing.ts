import { formatMs, plural, quantile } from '../figures.ts';
import { until } from '../processes.ts';
import { type CheckGroup, expect, livePodOn, livePods, nodeAt, volley } from './check.ts';
import { shop } from './shop.ts';

/**
 * GoBGP waits 5 to 10 s before it first connects, and as long before each further try
 * (v3.10.0 pkg/server/fsm.go, connectLoop; observed).
 */
const sessionDeadlineMs = 40_000;
const routeDeadlineMs = 15_000;

/** What holds for any application: nodes tell each other where their pods are. */
export const routingBasics: CheckGroup = {
  title: 'Routing',
  why: 'each node announces its pod prefixes over BGP, and what it learns becomes routes in VPP',
  checks: [
    {
      name: 'BGP sessions are established',
      async run(cluster) {
        const expected = cluster.nodes.length - 1;
        for (const { machine, control } of cluster.nodes) {
          await until(
            `all BGP sessions of ${machine.name}`,
            sessionDeadlineMs,
            cluster.signal,
            async () => {
              const peers = await control.peers();
              const up = peers.filter((peer) => peer.state === 'established');
              return up.length === expected ? true : undefined;
            },
          );
        }
        const total = (cluster.nodes.length * expected) / 2;
        return `${plural(total, 'session')}, ${formatMs(cluster.sinceStartMs())} after the daemons started (GoBGP waits 5 to 10 s before it connects)`;
      },
    },
    {
      name: "every node has routes to the other nodes' pods",
      async run(cluster) {
        let routes = 0;
        for (const { machine, control } of cluster.nodes) {
          const others = cluster.nodes.filter((node) => node.machine !== machine);
          for (const prefix of others.flatMap((node) => node.podCidrs)) {
            await until(
              `route ${prefix} on ${machine.name}`,
              routeDeadlineMs,
              cluster.signal,
              async () => {
                const row = (await control.rows('routes')).find(({ key }) => key.includes(prefix));
                return row?.status === 'done' ? true : undefined;
              },
            );
            routes += 1;
          }
        }
        return `${plural(routes, 'route')}, IPv4 and IPv6`;
      },
    },
    {
      name: 'pods are attached by the CNI executable',
      async run(cluster) {
        const times = [...cluster.kubelet.addMs.values()];
        expect(times.length > 0, 'no pod was attached');
        return `${plural(times.length, 'pod')}, ADD median ${formatMs(quantile(times, 0.5))}, longest ${formatMs(Math.max(...times))}`;
      },
    },
  ],
};

/** The same with traffic between pods of the demo's application. */
export const routing: CheckGroup = {
  ...routingBasics,
  checks: [
    ...routingBasics.checks,
    {
      name: 'a pod reaches a pod on another node, with its own address',
      async run(cluster) {
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        const pods = await livePods(cluster, shop, 'backend');
        const remote = pods.filter((pod) => pod.node !== from.node);
        const latencies: number[] = [];
        for (const address of remote.flatMap((pod) => pod.ips)) {
          const { answers, latenciesMs } = await volley(
            from.agent,
            { protocol: 'TCP', address, port: 8080 },
            10,
          );
          const stranger = answers.find(({ client }) => !from.ips.includes(client));
          expect(
            stranger === undefined,
            `${address} saw ${stranger?.client} instead of ${from.ips.join(' or ')}`,
          );
          latencies.push(...latenciesMs);
        }
        return `${latencies.length} TCP connections, IPv4 and IPv6, median ${formatMs(quantile(latencies, 0.5))}`;
      },
    },
  ],
};

/** What the third node, in another subnet, adds. */
export const overlay: CheckGroup = {
  title: 'Overlay',
  why: 'the network between two subnets knows no pod addresses: packets travel in tunnels',
  checks: [
    {
      name: 'a pod reaches a pod in another subnet',
      async run(cluster) {
        const node = nodeAt(cluster, 2);
        const tunnels = await nodeAt(cluster, 0).control.rows('tunnels');
        const tunnel = tunnels.find(({ line }) => line.includes(node.machine.ip4));
        expect(tunnel?.status === 'done', `no tunnel to ${node.machine.ip4}`);
        const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'backend');
        const to = (await livePods(cluster, shop, 'backend')).find(
          (pod) => pod.node === node.machine.name,
        );
        expect(to !== undefined, `no back-end pod on ${node.machine.name}`);
        for (const address of to.ips) {
          const { answers } = await volley(
            from.agent,
            { protocol: 'TCP', address, port: 8080 },
            10,
          );
          const stranger = answers.find(({ client }) => !from.ips.includes(client));
          expect(stranger === undefined, `${to.name} saw ${stranger?.client}`);
        }
        return `${to.ips.join(' and ')} on ${node.machine.name}, through ${tunnel.line}`;
      },
    },
  ],
};
