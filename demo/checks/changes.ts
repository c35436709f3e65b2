import type { Cluster } from '../cluster.ts';
import { formatCounts, formatMs, plural } from '../figures.ts';
import type { LoadState } from '../pod-protocol.ts';
import { until } from '../processes.ts';
import {
  type CheckGroup,
  clusterIpOf,
  expect,
  livePodOn,
  livePods,
  nodeAt,
  untilAnswered,
} from './check.ts';
import { rolloutDeadlineMs, scaleBackend, waitForBackends } from './rollout.ts';
import { shop } from './shop.ts';

const loadIntervalMs = 20;
const loadTimeoutMs = 3000;
/** Requests to see after the last pod has left. */
const requestsAfter = 25;

/** The Deployment grows and shrinks while it serves. */
export const changes: CheckGroup = {
  title: 'Change',
  why: 'an endpoint that comes gets connections at once; one that goes takes no connection with it',
  checks: [
    {
      name: 'scale up: a new pod serves',
      async run(cluster) {
        const before = await livePods(cluster, shop, 'backend');
        const started = performance.now();
        const load = await startLoad(cluster);
        await scaleBackend(cluster, before.length + 2);
        const known = new Set(before.map((pod) => pod.name));
        const first = await until(
          'an answer from a new pod',
          rolloutDeadlineMs,
          cluster.signal,
          async () => {
            const { answeredBy } = await load.read(false);
            return Object.keys(answeredBy).find((name) => !known.has(name));
          },
        );
        const milliseconds = performance.now() - started;
        await waitForBackends(cluster, before.length + 2);
        const state = await load.read(true);
        expectNoFailures(state);
        return `${before.length} to ${before.length + 2}: ${first} answered ${formatMs(milliseconds)} after the patch, pod start included`;
      },
    },
    {
      name: 'scale down: no connection fails',
      async run(cluster) {
        const load = await startLoad(cluster);
        const pods = await livePods(cluster, shop, 'backend');
        await scaleBackend(cluster, 3);
        await waitForBackends(cluster, 3);
        const { sent } = await load.read(false);
        await until(
          'requests after the last pod left',
          rolloutDeadlineMs,
          cluster.signal,
          async () => ((await load.read(false)).sent > sent + requestsAfter ? true : undefined),
        );
        const state = await load.read(true);
        expectNoFailures(state);
        return `${pods.length} to 3: ${plural(state.sent, 'new connection')} meanwhile, 0 failed; ${formatCounts(state.answeredBy)}`;
      },
    },
  ],
};

async function startLoad(cluster: Cluster) {
  const from = await livePodOn(cluster, nodeAt(cluster, 0), shop, 'frontend');
  const to = await clusterIpOf(cluster, shop, 'backend');
  await untilAnswered(cluster, from.agent, to);
  const { load } = await from.agent.call('startLoad', {
    to,
    intervalMs: loadIntervalMs,
    timeoutMs: loadTimeoutMs,
  });
  return { read: (stop: boolean) => from.agent.call('readLoad', { load, stop }) };
}

function expectNoFailures(state: LoadState): void {
  const [first] = state.failures;
  expect(
    first === undefined,
    `${plural(state.failures.length, 'connection')} of ${state.sent} failed: ${first}`,
  );
}
