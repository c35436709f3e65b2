import type { Cluster } from '../cluster.ts';
import { formatCounts, formatMs } from '../figures.ts';
import type { DemoNode } from '../node.ts';
import { run, until } from '../processes.ts';
import type { UpstreamPath } from '../upstream.ts';
import { type CheckGroup, countPods, expect, livePods, untilAnswered, volley } from './check.ts';
import { shop } from './shop.ts';

/** GoBGP waits 5 to 10 s before each try to connect. */
const sessionDeadlineMs = 40_000;
const routeDeadlineMs = 15_000;
/** GRACEFUL_SHUTDOWN (RFC 8326), 65535:0. */
const gracefulShutdown = 65_535 * 65_536;

const servicesPath = `/api/v1/namespaces/${shop}/services`;
const name = 'announced';

/** The site's router: a neighbour that is added live, and what it hears. */
export const upstream: CheckGroup = {
  title: 'Upstream',
  why: 'a neighbour in the configuration is a session seconds later, and it hears what it may hear',
  checks: [
    {
      name: 'a neighbour that is added to the configuration gets a session, and the prefixes of pods',
      async run(cluster) {
        const nodes = nearNodes(cluster);
        const started = performance.now();
        for (const node of nodes)
          await node.configure(({ bgp }) => {
            const { asn, address } = cluster.upstream;
            bgp.peers = [{ name: 'site', address, asn }];
          });
        await until('sessions', sessionDeadlineMs, cluster.signal, async () =>
          (await cluster.upstream.sessions()).size === nodes.length ? true : undefined,
        );
        const sessionsMs = performance.now() - started;
        for (const { podCidrs, machine } of nodes)
          await untilPaths(cluster, podCidrs[0] ?? '', [machine.ip4]);
        return `${nodes.length} sessions after ${formatMs(sessionsMs)} (GoBGP waits 5 to 10 s before it connects)`;
      },
    },
    {
      name: 'a Service is announced where its endpoints are, and answers there; traffic keeps its client',
      async run(cluster) {
        const nodes = nearNodes(cluster);
        for (const node of nodes)
          await node.configure(({ bgp }) => {
            bgp.advertise = { loadBalancerIps: true };
          });
        await cluster.kube.post(servicesPath, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name, namespace: shop },
          spec: {
            type: 'LoadBalancer',
            externalTrafficPolicy: 'Local',
            selector: { app: 'frontend' },
            ports: [{ name: 'http', port: 80, targetPort: 8000 }],
          },
        });
        const pods = await livePods(cluster, shop, 'frontend');
        const expected = nodes
          .filter(({ machine }) => pods.some((pod) => pod.node === machine.name))
          .map(({ machine }) => machine.ip4);
        const vip = await addressOf(cluster);
        await untilPaths(cluster, `${vip}/32`, expected);
        await routeClient(cluster, vip, expected);
        const to = { protocol: 'TCP', address: vip, port: 80 } as const;
        await untilAnswered(cluster, cluster.client, to);
        const { answers } = await volley(cluster.client, to, 40);
        const stranger = answers.find((one) => one.client !== cluster.network.client.ip4);
        expect(stranger === undefined, `a pod saw ${stranger?.client} in the client's place`);
        return `${vip} by ${expected.join(' and ')}; ${formatCounts(countPods(answers))}`;
      },
    },
    {
      name: 'an annotation withdraws it and brings it back, and no session notices',
      async run(cluster) {
        const before = await cluster.upstream.sessions();
        const vip = await addressOf(cluster);
        const present = (await cluster.upstream.paths(`${vip}/32`)).map((path) => path.nextHop);
        const annotate = (value: string | null) =>
          cluster.kube.patch(`${servicesPath}/${name}`, {
            metadata: { annotations: { 'kube-router.io/service.advertise.loadbalancerip': value } },
          });
        const started = performance.now();
        await annotate('false');
        await untilPaths(cluster, `${vip}/32`, []);
        const goneMs = performance.now() - started;
        await annotate(null);
        await untilPaths(cluster, `${vip}/32`, present);
        expectSame(before, await cluster.upstream.sessions());
        return `withdrawn ${formatMs(goneMs)} after the patch`;
      },
    },
    {
      name: 'a cordoned node asks to be avoided, with its routes in place',
      async run(cluster) {
        const before = await cluster.upstream.sessions();
        const vip = await addressOf(cluster);
        const [first] = await cluster.upstream.paths(`${vip}/32`);
        const node = cluster.nodes.find(({ machine }) => machine.ip4 === first?.nextHop);
        expect(node !== undefined, `nobody announces ${vip}`);
        const cordon = (unschedulable: boolean) =>
          cluster.kube.patch(`/api/v1/nodes/${node.machine.name}`, { spec: { unschedulable } });
        const isAvoided = (path: UpstreamPath | undefined) =>
          path?.communities.includes(gracefulShutdown) === true;
        const ofNode = async () =>
          (await cluster.upstream.paths(`${vip}/32`)).find(
            (path) => path.nextHop === node.machine.ip4,
          );
        const started = performance.now();
        await cordon(true);
        await until('the community', routeDeadlineMs, cluster.signal, async () =>
          isAvoided(await ofNode()) ? true : undefined,
        );
        const avoidedMs = performance.now() - started;
        await cordon(false);
        await until('its end', routeDeadlineMs, cluster.signal, async () => {
          const path = await ofNode();
          return path !== undefined && !isAvoided(path) ? true : undefined;
        });
        expectSame(before, await cluster.upstream.sessions());
        await cluster.kube.delete(`${servicesPath}/${name}`, 0);
        await untilPaths(cluster, `${vip}/32`, []);
        return `65535:0 on the route of ${node.machine.name} ${formatMs(avoidedMs)} after the patch`;
      },
    },
  ],
};

/** The nodes in the subnet of the site's router. */
function nearNodes(cluster: Cluster): DemoNode[] {
  return cluster.nodes.slice(0, 2);
}

async function addressOf(cluster: Cluster): Promise<string> {
  return until('an address', routeDeadlineMs, cluster.signal, async () => {
    const { status } = await cluster.kube.get<{
      status?: { loadBalancer?: { ingress?: { ip: string }[] } };
    }>(`${servicesPath}/${name}`);
    return status?.loadBalancer?.ingress?.[0]?.ip;
  });
}

/** Waits until the site's router has exactly these ways to a prefix. */
async function untilPaths(cluster: Cluster, prefix: string, nextHops: readonly string[]) {
  const wanted = nextHops.toSorted().join();
  await until(`${prefix} by ${wanted || 'nobody'}`, routeDeadlineMs, cluster.signal, async () => {
    const paths = await cluster.upstream.paths(prefix);
    const found = paths.map((path) => path.nextHop).toSorted();
    return found.join() === wanted ? true : undefined;
  });
}

/** The client forwards as its router learned: over all ways. */
async function routeClient(cluster: Cluster, vip: string, nextHops: readonly string[]) {
  const ways = nextHops.flatMap((nextHop) => ['nexthop', 'via', nextHop]);
  await run('ip', ['-n', cluster.network.client.netns, 'route', 'replace', `${vip}/32`, ...ways]);
}

function expectSame(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  const text = (sessions: ReadonlyMap<string, number>) => JSON.stringify([...sessions].toSorted());
  expect(text(before) === text(after), `sessions changed: ${text(before)}, now ${text(after)}`);
}
