import { realClock } from '../../src/core/clock.ts';
import type { Cluster } from '../cluster.ts';
import { formatMs, plural } from '../figures.ts';
import type { DemoNode } from '../node.ts';
import type { Destination } from '../pod-protocol.ts';
import { until } from '../processes.ts';
import {
  CheckError,
  type CheckGroup,
  clusterIpOf,
  expect,
  expectPods,
  type LivePod,
  livePodOn,
  livePods,
  nodeAt,
  untilAllApplied,
  untilAnswered,
  volley,
} from './check.ts';
import { scaleBackend, waitForBackends } from './rollout.ts';
import { shop } from './shop.ts';

const recoveryDeadlineMs = 60_000;
const streamTimeoutMs = 3000;
/** Enough to hear of all five: 5 (4/5)^100 is 10^-9. */
const catchUpCount = 100;
/** One of three replicas at least is elsewhere: (2/3)^40 is 10^-7. */
const streamAttempts = 40;
/** The daemon forwards nothing: its death must not even delay a packet. Scheduling noise aside. */
const gapMaxMs = 1000;
/** Lines to see before and after, so that a gap is a gap in something that runs. */
const linesBefore = 50;

/** Every part of a node may die; what the others do meanwhile is the point. */
export const crashes: CheckGroup = {
  title: 'Crashes',
  why: 'packets are forwarded by VPP alone: the router or GoBGP may die without losing one',
  checks: [
    {
      name: 'kill -9 of the router: a running connection does not notice',
      async run(cluster) {
        const node = nodeAt(cluster, 0);
        const { read, pod } = await openRemoteStream(cluster, node);
        const lines = async (more: number) => {
          const { lines: now } = await read(false);
          await until('lines of the stream', recoveryDeadlineMs, cluster.signal, async () =>
            (await read(false)).lines >= now + more ? true : undefined,
          );
        };
        await lines(linesBefore);
        await node.part('router').kill('SIGKILL');
        await lines(linesBefore);
        const restarted = realClock.monotonic();
        node.start('router');
        await untilReady(cluster, node);
        const backMs = realClock.monotonic() - restarted;
        await lines(linesBefore);
        const state = await read(true);
        expect(state.ended === '', `the connection ended: ${state.ended}`);
        expect(state.disordered === 0, `${plural(state.disordered, 'line')} out of order`);
        expect(state.longestGapMs <= gapMaxMs, `longest gap ${formatMs(state.longestGapMs)}`);
        return `${state.lines} lines from ${pod} through the ClusterIP, longest gap ${formatMs(state.longestGapMs)}; router ready again ${formatMs(backMs)} after its restart`;
      },
    },
    {
      name: 'pods come and go while the router is away: it catches up',
      async run(cluster) {
        const node = nodeAt(cluster, 0);
        const from = await livePodOn(cluster, node, shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend');
        const before = await livePods(cluster, shop, 'backend');
        const figures: string[] = [];
        for (const count of [before.length + 2, before.length]) {
          await node.part('router').kill('SIGKILL');
          await scaleBackend(cluster, count);
          const restarted = realClock.monotonic();
          node.start('router');
          await waitForBackends(cluster, count);
          await untilReady(cluster, node);
          const pods = await livePods(cluster, shop, 'backend');
          await until(
            `${count} pods behind ${to.address}`,
            recoveryDeadlineMs,
            cluster.signal,
            async () => {
              expectPods((await volley(from.agent, to, catchUpCount)).answers, pods);
              return true;
            },
          );
          figures.push(`${formatMs(realClock.monotonic() - restarted)} for ${count} pods`);
        }
        return `${figures.join(', then ')}, each after a kill -9`;
      },
    },
    {
      name: 'kill -9 of GoBGP: routes stay, the session comes back',
      async run(cluster) {
        const node = nodeAt(cluster, 1);
        const other = nodeAt(cluster, 0);
        const { from, to } = await openPath(cluster, other);
        const { load } = await from.agent.call('startLoad', {
          to,
          intervalMs: 50,
          timeoutMs: streamTimeoutMs,
        });
        await node.part('gobgpd').kill('SIGKILL');
        const killed = realClock.monotonic();
        node.start('gobgpd');
        await untilSessions(cluster, [node, other]);
        const backMs = realClock.monotonic() - killed;
        const state = await from.agent.call('readLoad', { load, stop: true });
        const [failure] = state.failures;
        expect(
          failure === undefined,
          `${plural(state.failures.length, 'connection')} of ${state.sent} failed: ${failure}`,
        );
        return `established again after ${formatMs(backMs)}; ${plural(state.sent, 'connection')} between the nodes meanwhile, 0 failed`;
      },
    },
    {
      name: 'kill -9 of the data plane: it is programmed again',
      async run(cluster) {
        const node = nodeAt(cluster, 0);
        const from = await livePodOn(cluster, node, shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend');
        await untilAnswered(cluster, from.agent, to);
        await node.part('dataplane').kill('SIGKILL');
        const restarted = realClock.monotonic();
        node.start('dataplane');
        await untilAnswered(cluster, from.agent, to);
        const firstMs = realClock.monotonic() - restarted;
        await untilReady(cluster, node);
        const { answers } = await volley(from.agent, to, 40);
        return `first answer ${formatMs(firstMs)} after its restart, then ${answers.length} of 40`;
      },
    },
    {
      name: 'afterwards every row is in force on every node',
      async run(cluster) {
        const rows = await untilAllApplied(cluster, recoveryDeadlineMs);
        return `${plural(rows, 'row')}, none failed`;
      },
    },
  ],
};

/** Opens streams through the ClusterIP until one is served by another node's pod. */
async function openRemoteStream(cluster: Cluster, node: DemoNode) {
  const from = await livePodOn(cluster, node, shop, 'frontend');
  const to = await clusterIpOf(cluster, shop, 'backend');
  const remote = (await livePods(cluster, shop, 'backend')).filter((pod) => pod.node !== from.node);
  for (const { ips } of remote) {
    await untilAnswered(cluster, from.agent, {
      protocol: 'TCP',
      address: ips[0] ?? '',
      port: 8080,
    });
  }
  for (let attempt = 0; attempt < streamAttempts; attempt++) {
    const { stream } = await from.agent.call('startStream', { to, timeoutMs: streamTimeoutMs });
    const read = (stop: boolean) => from.agent.call('readStream', { stream, stop });
    const { pod } = await until('the first line', streamTimeoutMs, cluster.signal, async () => {
      const state = await read(false);
      return state.pod === '' ? undefined : state;
    });
    if (remote.some(({ name }) => name === pod)) return { read, pod };
    await read(true);
  }
  throw new CheckError(`none of ${streamAttempts} connections went to another node`);
}

/** A pod on `node`, and the address of a pod on another node. */
async function openPath(
  cluster: Cluster,
  node: DemoNode,
): Promise<{ from: LivePod; to: Destination }> {
  const from = await livePodOn(cluster, node, shop, 'frontend');
  const remote = (await livePods(cluster, shop, 'backend')).find((pod) => pod.node !== from.node);
  expect(remote !== undefined, 'no back-end pod on another node');
  const to = { protocol: 'TCP', address: remote.ips[0] ?? '', port: 8080 } as const;
  await untilAnswered(cluster, from.agent, to);
  return { from, to };
}

function untilReady(cluster: Cluster, node: DemoNode): Promise<boolean> {
  return until(`${node.machine.name} to be ready`, recoveryDeadlineMs, cluster.signal, async () => {
    const { ready, checks } = await node.control.status();
    if (!ready) {
      const bad = checks.filter((check) => !check.ok);
      throw new Error(bad.map((check) => `${check.name}: ${check.reason}`).join('; '));
    }
    return true;
  });
}

async function untilSessions(cluster: Cluster, nodes: readonly DemoNode[]): Promise<void> {
  const expected = cluster.nodes.length - 1;
  for (const { machine, control } of nodes) {
    await until(`BGP sessions of ${machine.name}`, recoveryDeadlineMs, cluster.signal, async () => {
      const peers = await control.peers();
      const up = peers.filter((peer) => peer.state === 'established').length;
      // The site's router may be a neighbour, too.
      return up >= expected && up === peers.length ? true : undefined;
    });
  }
}
