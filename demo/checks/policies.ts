import type { Cluster } from '../cluster.ts';
import { formatMs, plural } from '../figures.ts';
import type { Destination } from '../pod-protocol.ts';
import { until } from '../processes.ts';
import { CheckError, type CheckGroup, expect, type LivePod, livePods, nodeAt } from './check.ts';

/** A namespace of its own: what is closed here closes nothing of the shop. */
const guarded = 'guarded';
const policiesPath = `/apis/networking.k8s.io/v1/namespaces/${guarded}/networkpolicies`;
const podsPath = `/api/v1/namespaces/${guarded}/pods`;

const tcpPort = 8080;
const udpPort = 9090;
const deadlineMs = 15_000;
/** Nothing in so long, with a line every 10 ms: it is cut. */
const silenceMs = 400;
/** A new connection that is not answered by then is not let in: an open one takes some ms. */
const refusedMs = 500;
/** How fine opening is timed. */
const attemptMs = 30;
const probeIntervalMs = 20;
const probeTimeoutMs = 1_000;
/** Addresses of the node that a new pod may get: the next ones. */
const addressesAhead = 8;
const hammerIntervalMs = 5;
/** Answers to hear from the new pod, by whom it lets in. */
const answersWanted = 40;

/** Everybody but the clients. */
const servers = {
  matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['friend', 'stranger'] }],
};

/** Both ways: a pod that may send keeps a connection alive by what it says on it. */
const denyAll = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'deny-all', namespace: guarded },
  spec: { podSelector: servers, policyTypes: ['Ingress', 'Egress'] },
};

const allowFriends = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'allow-friends', namespace: guarded },
  spec: {
    podSelector: servers,
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }],
  },
};

/** Pods closed and opened while they are talked to. */
export const policies: CheckGroup = {
  title: 'Policies',
  why: 'NetworkPolicy says who may talk to a pod, from its first packet on; its node always may',
  checks: [
    {
      name: 'deny all: a pod is closed, and its open connections are cut',
      async run(cluster) {
        const { server, stranger } = await startPods(cluster);
        const to = tcpOf(server);
        return whileProbed(cluster, server, async () => {
          const { stream } = await stranger.agent.call('startStream', {
            to,
            timeoutMs: deadlineMs,
          });
          await untilStreams(cluster, stranger, stream);
          const startMs = performance.now();
          await cluster.kube.post(policiesPath, denyAll);
          const lastMs = await untilSilent(cluster, stranger, stream);
          await expectClosed(stranger, to);
          await stranger.agent.call('readStream', { stream, stop: true });
          return `last line of an open connection ${formatMs(Math.max(0, lastMs - startMs))} after the write; a new one got nothing`;
        });
      },
    },
    {
      name: 'allow by label: one client is let in, another is not',
      async run(cluster) {
        const { server, friend, stranger } = await guardedPods(cluster);
        const to = tcpOf(server);
        await expectClosed(friend, to);
        return whileProbed(cluster, server, async () => {
          const startMs = performance.now();
          await cluster.kube.post(policiesPath, allowFriends);
          await untilOpen(cluster, friend, to);
          const openMs = performance.now() - startMs;
          await expectClosed(stranger, to);
          return `open for the one ${formatMs(openMs)} after the write`;
        });
      },
    },
    {
      name: 'a new pod never answers whom its policies do not let in',
      run: checkNewPod,
    },
    {
      name: 'the last policy is deleted: the pod is open',
      async run(cluster) {
        const { server, stranger } = await guardedPods(cluster);
        return whileProbed(cluster, server, async () => {
          const startMs = performance.now();
          await cluster.kube.delete(`${policiesPath}/${allowFriends.metadata.name}`);
          await cluster.kube.delete(`${policiesPath}/${denyAll.metadata.name}`);
          await untilOpen(cluster, stranger, tcpOf(server));
          return `open ${formatMs(performance.now() - startMs)} after the first of two deletions`;
        });
      },
    },
  ],
};

/** Its address is hammered from before it is there, by one that it lets in and one that it does not. */
async function checkNewPod(cluster: Cluster): Promise<string> {
  const { server, friend, stranger } = await guardedPods(cluster);
  const addresses = nextAddresses(server.ips[0] ?? '');
  const start = async ({ agent }: LivePod) => {
    const input = { addresses, port: udpPort, intervalMs: hammerIntervalMs };
    const { hammer } = await agent.call('startHammer', input);
    return (stop: boolean) => agent.call('readHammer', { hammer, stop });
  };
  const [readFriend, readStranger] = [await start(friend), await start(stranger)];
  await createPod(cluster, 'late', 0);
  const late = await podOf(cluster, 'late');
  const [address = ''] = late.ips;
  expect(addresses.includes(address), `it got ${address}, which nobody hammers`);
  const heard = await until('answers of the new pod', deadlineMs, cluster.signal, async () => {
    const { answeredBy } = await readFriend(false);
    return (answeredBy[address] ?? 0) >= answersWanted ? answeredBy[address] : undefined;
  });
  await readFriend(true);
  const { sent, answeredBy } = await readStranger(true);
  const strangers = Object.values(answeredBy).reduce((sum, one) => sum + one, 0);
  expect(strangers === 0, `${plural(strangers, 'answer')} came to whom nobody lets in`);
  return `${sent / addresses.length} datagrams from before it was there, 0 answered; ${heard} to the one it lets in`;
}

/** The server on the first node, where the host's agent is; its clients on the second. */
async function startPods(cluster: Cluster) {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: guarded } };
  await cluster.kube.post('/api/v1/namespaces', namespace);
  for (const [name, node] of [
    ['server', 0],
    ['friend', 1],
    ['stranger', 1],
  ] as const)
    await createPod(cluster, name, node);
  const pods = await guardedPods(cluster);
  for (const client of [pods.friend, pods.stranger])
    await untilOpen(cluster, client, tcpOf(pods.server));
  return pods;
}

async function createPod(cluster: Cluster, name: string, node: number): Promise<void> {
  const ports = [
    { containerPort: tcpPort, protocol: 'TCP' },
    { containerPort: udpPort, protocol: 'UDP' },
  ];
  await cluster.kube.post(podsPath, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: guarded, labels: { app: name } },
    spec: {
      nodeName: nodeAt(cluster, node).machine.name,
      containers: [{ name: 'main', image: 'shop.example/guarded:1.0', ports }],
    },
  });
}

async function guardedPods(cluster: Cluster) {
  return {
    server: await podOf(cluster, 'server'),
    friend: await podOf(cluster, 'friend'),
    stranger: await podOf(cluster, 'stranger'),
  };
}

function podOf(cluster: Cluster, app: string): Promise<LivePod> {
  return until(`pod ${app}`, deadlineMs, cluster.signal, async () => {
    const [pod] = await livePods(cluster, guarded, app);
    return pod;
  });
}

function tcpOf({ ips }: LivePod): Destination {
  return { protocol: 'TCP', address: ips[0] ?? '', port: tcpPort };
}

/** A pod gets the lowest address that nobody ever had, so those after the last are next. */
function nextAddresses(last: string): string[] {
  const [a, b, c, d = 0] = last.split('.').map(Number);
  return Array.from({ length: addressesAhead }, (_, i) => `${a}.${b}.${c}.${d + 1 + i}`);
}

/** As kubelet's probes: a connection from the pod's node every 20 ms, of which none may fail. */
async function whileProbed(
  cluster: Cluster,
  pod: LivePod,
  work: () => Promise<string>,
): Promise<string> {
  const input = { to: tcpOf(pod), intervalMs: probeIntervalMs, timeoutMs: probeTimeoutMs };
  const { load } = await cluster.host.call('startLoad', input);
  try {
    const said = await work();
    const { sent: sentBy } = await cluster.host.call('readLoad', { load, stop: false });
    // Those on their way count, and one comes after the last change in any case.
    const { answered, failures } = await until(
      'the answers to all probes',
      deadlineMs,
      cluster.signal,
      async () => {
        const { answeredBy, ...state } = await cluster.host.call('readLoad', { load, stop: false });
        const answered = Object.values(answeredBy).reduce((sum, one) => sum + one, 0);
        return answered + state.failures.length > sentBy ? { ...state, answered } : undefined;
      },
    );
    expect(failures.length === 0, `its node was kept out: ${failures[0]}`);
    return `${said}; ${plural(answered, 'probe')} of its node, 0 failed`;
  } finally {
    await cluster.host.call('readLoad', { load, stop: true });
  }
}

async function untilStreams(cluster: Cluster, { agent }: LivePod, stream: number): Promise<void> {
  await until('lines of the stream', deadlineMs, cluster.signal, async () => {
    const { lines } = await agent.call('readStream', { stream, stop: false });
    return lines > 10 ? true : undefined;
  });
}

/** When the last line came, on the clock of `performance`. */
function untilSilent(cluster: Cluster, { agent }: LivePod, stream: number): Promise<number> {
  return until('the end of the stream', deadlineMs, cluster.signal, async () => {
    const { silentMs } = await agent.call('readStream', { stream, stop: false });
    return silentMs >= silenceMs ? performance.now() - silentMs : undefined;
  });
}

async function expectClosed({ agent, name }: LivePod, to: Destination): Promise<void> {
  const input = { to, count: 1, concurrency: 1, timeoutMs: refusedMs };
  const { answers } = await agent.call('volley', input);
  expect(answers.length === 0, `${name} was let in by ${to.address}`);
}

function untilOpen(cluster: Cluster, { agent }: LivePod, to: Destination): Promise<true> {
  return until(`an answer of ${to.address}`, deadlineMs, cluster.signal, async () => {
    const input = { to, count: 1, concurrency: 1, timeoutMs: attemptMs };
    const { failures } = await agent.call('volley', input);
    if (failures[0] !== undefined) throw new CheckError(failures[0]);
    return true as const;
  });
}
