import { clientPort } from '../cluster.ts';
import { formatMs } from '../figures.ts';
import { run, until } from '../processes.ts';
import {
  type CheckGroup,
  expect,
  livePodOn,
  livePods,
  nodeAt,
  untilAnswered,
  volley,
} from './check.ts';
import { shop } from './shop.ts';

/** An address of the client that only BGP knows of. */
const taught = '203.0.113.80';
const deadlineMs = 15_000;
const repairDeadlineMs = 1_000;

/** An address of the client that needs a route of its own. */
const routed = { ip: '203.0.113.90', prefix: '203.0.113.88/29' } as const;

/** What is taken away, and the command that shows it. */
const removals = [
  { remove: 'route del default', show: 'route show default' },
  { remove: '-6 route del default', show: '-6 route show default' },
  { remove: 'addr flush dev kvr0', show: 'addr show dev kvr0' },
  { remove: 'rule del pref 50', show: 'rule show pref 50' },
  { remove: 'link set kvr0 down', show: 'route show dev kvr0' },
] as const;

/** The node's own processes: through VPP like everybody else, and never cut off for long. */
export const host: CheckGroup = {
  title: 'The node itself',
  why: 'its addresses are behind VPP, and what Linux needs for that is put back when it is lost',
  checks: [
    {
      name: 'a process of the node reaches pods of other nodes, and what BGP taught',
      async run(cluster) {
        const first = nodeAt(cluster, 0);
        const pods = await livePods(cluster, shop, 'backend');
        const remote = pods.filter((pod) => pod.node !== first.machine.name);
        let answers = 0;
        for (const address of remote.flatMap((pod) => pod.ips)) {
          const to = { protocol: 'TCP', address, port: 8080 } as const;
          await untilAnswered(cluster, cluster.host, to);
          const found = await volley(cluster.host, to, 10);
          answers += found.answers.length;
        }
        const { client } = cluster.network;
        await run('ip', ['-n', client.netns, 'addr', 'add', `${taught}/32`, 'dev', 'lo']);
        await cluster.upstream.tell('add', `${taught}/32`);
        const to = { protocol: 'TCP', address: taught, port: clientPort } as const;
        await untilAnswered(cluster, cluster.host, to);
        const learned = await volley(cluster.host, to, 10);
        const route = await until('the route in Linux', deadlineMs, cluster.signal, async () => {
          const line = await run('ip', ['-n', first.machine.netns, 'route', 'show', taught]);
          return line.includes('dev kvr0') ? line.trim() : undefined;
        });
        await cluster.upstream.tell('del', `${taught}/32`);
        await run('ip', ['-n', client.netns, 'addr', 'del', `${taught}/32`, 'dev', 'lo']);
        return `${answers} answers of pods; ${learned.answers.length} of ${route}`;
      },
    },
    {
      name: 'a route that somebody adds to the uplink leads through VPP, on the node and for pods',
      async run(cluster) {
        const { machine } = nodeAt(cluster, 0);
        const { client } = cluster.network;
        const ip = (netns: string, command: string) =>
          run('ip', ['-n', netns, ...command.split(' ')]);
        const pod = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
        // The gateway of the default route does not know it.
        await ip(client.netns, `addr add ${routed.ip}/32 dev lo`);
        await ip(machine.netns, `route add ${routed.prefix} via ${client.ip4} dev eth0 onlink`);
        const to = { protocol: 'TCP', address: routed.ip, port: clientPort } as const;
        let answers = 0;
        for (const from of [cluster.host, pod.agent]) {
          await untilAnswered(cluster, from, to);
          answers += (await volley(from, to, 10)).answers.length;
        }
        return `${answers} answers of ${routed.ip} by the gateway ${client.ip4}`;
      },
    },
    {
      name: "what is taken from the node's addresses, routes and rules is back within a second",
      async run(cluster) {
        const { netns } = nodeAt(cluster, 0).machine;
        const ip = (command: string) => run('ip', ['-n', netns, ...command.split(' ')]);
        let longestMs = 0;
        for (const { remove, show } of removals) {
          const wanted = await ip(show);
          expect(wanted !== '', `ip ${show} shows nothing`);
          await ip(remove);
          const startedMs = performance.now();
          await until(`ip ${remove}, undone`, 2 * repairDeadlineMs, cluster.signal, async () =>
            (await sorted(ip(show))) === (await sorted(wanted)) ? true : undefined,
          );
          const tookMs = performance.now() - startedMs;
          expect(tookMs < repairDeadlineMs, `ip ${remove}: undone after ${formatMs(tookMs)}`);
          longestMs = Math.max(longestMs, tookMs);
        }
        const { ip4 } = cluster.network.client;
        await volley(cluster.host, { protocol: 'TCP', address: ip4, port: clientPort }, 10);
        return `${removals.length} removals, the longest lasted ${formatMs(longestMs)}`;
      },
    },
  ],
};

/** The order of addresses and routes says nothing. */
async function sorted(lines: string | Promise<string>): Promise<string> {
  return (await lines).split('\n').toSorted().join('\n');
}
