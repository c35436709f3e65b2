import { realClock, sleep } from '../../src/core/clock.ts';
import type { Cluster } from '../cluster.ts';
import { formatMs } from '../figures.ts';
import { type PartName, partNames } from '../node.ts';
import { until } from '../processes.ts';
import {
  type CheckGroup,
  clusterIpOf,
  expectPods,
  livePods,
  nodeAt,
  untilAllApplied,
  volley,
} from './check.ts';
import { scaleBackend, waitForBackends } from './rollout.ts';
import { frontendNodePort, shop } from './shop.ts';

/** Kills in one round, replicas at least and at most, and pauses between kills in ms. */
const killsMax = 3;
const replicas = { min: 2, max: 7 };
const pauseMaxMs = 1500;
/** A GoBGP that was killed needs up to 10 s to connect again, and its neighbour as long. */
const healDeadlineMs = 60_000;
const requestCount = 120;

/**
 * Rounds of random kills and changes of scale, one on top of the other, and after each round the
 * whole must be well again. The same seed makes the same rounds, up to the timing of processes.
 */
export function randomCrashes(rounds: number, seed: number): CheckGroup {
  const random = createRandom(seed);
  return {
    title: 'Random crashes',
    why: `whatever is killed, in whatever order, the cluster heals (seed ${seed})`,
    checks: Array.from({ length: rounds }, (_, round) => ({
      name: `round ${round + 1}: every pod is reached over every way`,
      async run(cluster) {
        const said = await disturb(cluster, random);
        const started = realClock.monotonic();
        await untilHealed(cluster);
        return `${said.join(', ')}; well again ${formatMs(realClock.monotonic() - started)} later`;
      },
    })),
  };
}

async function disturb(cluster: Cluster, random: (below: number) => number): Promise<string[]> {
  const said: string[] = [];
  for (let kill = random(killsMax); kill >= 0; kill--) {
    if (random(2) === 0) {
      const count = replicas.min + random(replicas.max - replicas.min + 1);
      await scaleBackend(cluster, count);
      said.push(`${count} replicas`);
    }
    const node = nodeAt(cluster, random(cluster.nodes.length));
    const part: PartName = partNames[random(partNames.length)] ?? 'router';
    const signal = random(2) === 0 ? 'SIGTERM' : 'SIGKILL';
    await node.part(part).kill(signal);
    await sleep(realClock, random(pauseMaxMs), cluster.signal);
    node.start(part);
    said.push(`${signal} ${part} of ${node.machine.name}`);
    await sleep(realClock, random(pauseMaxMs), cluster.signal);
  }
  return said;
}

async function untilHealed(cluster: Cluster): Promise<void> {
  const scaled = await cluster.kube.get<{ spec: { replicas: number } }>(
    `/apis/apps/v1/namespaces/${shop}/deployments/backend`,
  );
  await waitForBackends(cluster, scaled.spec.replicas);
  const backends = await livePods(cluster, shop, 'backend');
  const frontends = await livePods(cluster, shop, 'frontend');
  for (const family of [4, 6] as const) {
    const to = await clusterIpOf(cluster, shop, 'backend', family);
    for (const { agent, node } of frontends) {
      await until(`IPv${family} from ${node}`, healDeadlineMs, cluster.signal, async () => {
        expectPods((await volley(agent, to, requestCount)).answers, backends);
        return true;
      });
    }
  }
  for (const { machine } of cluster.nodes) {
    const to = { protocol: 'TCP', address: machine.ip4, port: frontendNodePort } as const;
    await until(`NodePort of ${machine.name}`, healDeadlineMs, cluster.signal, async () => {
      expectPods((await volley(cluster.client, to, requestCount)).answers, frontends);
      return true;
    });
  }
  await untilAllApplied(cluster, healDeadlineMs);
}

/** Whole numbers below a bound; mulberry32, the same for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) % below;
  };
}
