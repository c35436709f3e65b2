import type { Agent } from '../agent.ts';
import type { Cluster } from '../cluster.ts';
import { countBy, plural } from '../figures.ts';
import type { DemoNode } from '../node.ts';
import { isReady, type List, type Pod, type Service } from '../objects.ts';
import type { Answer, Destination, PodRequests, Volley } from '../pod-protocol.ts';
import { until } from '../processes.ts';

/** One line of the demo's table. */
export interface Check {
  /** What must hold, as a sentence. */
  readonly name: string;
  /** Resolves with the figures; rejects with what is wrong. */
  run(cluster: Cluster): Promise<string>;
}

/** Checks that belong together, and why they matter. */
export interface CheckGroup {
  readonly title: string;
  readonly why: string;
  readonly checks: readonly Check[];
}

/** A check found something wrong. */
export class CheckError extends Error {
  override readonly name = 'CheckError';
}

/** Fails the check unless `holds`. */
export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new CheckError(otherwise);
}

/** A pod that runs, with the process in it. */
export interface LivePod {
  readonly name: string;
  readonly node: string;
  readonly ips: readonly string[];
  readonly agent: Agent;
}

/** The ready pods of an app (label `app`), sorted by name. */
export async function livePods(
  cluster: Cluster,
  namespace: string,
  app: string,
): Promise<LivePod[]> {
  const { items } = await cluster.kube.get<List<Pod>>(`/api/v1/namespaces/${namespace}/pods`);
  return items
    .filter((pod) => pod.metadata.labels?.app === app && isReady(pod))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap((pod) => {
      const agent = cluster.kubelet.agent(`${namespace}/${pod.metadata.name}`);
      if (agent === undefined) return [];
      const ips = (pod.status?.podIPs ?? []).map(({ ip }) => ip);
      return [{ name: pod.metadata.name, node: pod.spec.nodeName ?? '', ips, agent }];
    });
}

/** A ready pod of an app on a node. */
export async function livePodOn(
  cluster: Cluster,
  node: DemoNode,
  namespace: string,
  app: string,
): Promise<LivePod> {
  const pod = (await livePods(cluster, namespace, app)).find((p) => p.node === node.machine.name);
  expect(pod !== undefined, `no ready pod of ${app} on ${node.machine.name}`);
  return pod;
}

export function serviceOf(cluster: Cluster, namespace: string, name: string): Promise<Service> {
  return cluster.kube.get<Service>(`/api/v1/namespaces/${namespace}/services/${name}`);
}

/** A frontend of a Service at its cluster IP of one family. */
export async function clusterIpOf(
  cluster: Cluster,
  namespace: string,
  name: string,
  family: 4 | 6 = 4,
): Promise<Destination> {
  const { spec } = await serviceOf(cluster, namespace, name);
  const address = spec.clusterIPs?.find((ip) => ip.includes(':') === (family === 6));
  const port = spec.ports?.[0];
  expect(
    address !== undefined && port !== undefined,
    `Service ${name} has no IPv${family} cluster IP`,
  );
  return { protocol: port.protocol === 'UDP' ? 'UDP' : 'TCP', address, port: port.port };
}

export function nodeAt(cluster: Cluster, index: number): DemoNode {
  const node = cluster.nodes[index];
  expect(node !== undefined, `there is no node ${index + 1}`);
  return node;
}

/** Limits of an ordinary volley: a connection that takes 3 s has failed. */
const volleyTimeoutMs = 3000;
const volleyConcurrency = 8;
/** The time that a change in the API has to reach the data plane. */
const settleDeadlineMs = 15_000;

/** Sends requests from a pod or the client; fails the check when one gets no answer. */
export async function volley(agent: Agent, to: Destination, count: number): Promise<Volley> {
  const input: PodRequests['volley']['in'] = {
    to,
    count,
    concurrency: Math.min(count, volleyConcurrency),
    timeoutMs: volleyTimeoutMs,
  };
  const result = await agent.call('volley', input);
  const [first] = result.failures;
  expect(
    first === undefined,
    `${plural(result.failures.length, 'request')} of ${count} to ${to.address} port ${to.port} failed: ${first}`,
  );
  return result;
}

/** Waits until one request to `to` is answered: the data plane has followed the API. */
export function untilAnswered(cluster: Cluster, agent: Agent, to: Destination): Promise<Answer> {
  const what = `an answer from ${to.address} port ${to.port} (${to.protocol})`;
  return until(what, settleDeadlineMs, cluster.signal, async () => {
    const result = await agent.call('volley', { to, count: 1, concurrency: 1, timeoutMs: 500 });
    const [failure] = result.failures;
    if (failure !== undefined) throw new CheckError(failure);
    return result.answers[0];
  });
}

/** Waits until nothing waits and nothing has failed on any node; gives the number of rows. */
export async function untilAllApplied(cluster: Cluster, deadlineMs: number): Promise<number> {
  let rows = 0;
  for (const { machine, control } of cluster.nodes) {
    await until(`all rows of ${machine.name}`, deadlineMs, cluster.signal, async () => {
      const tables = await control.tables();
      const open = tables.filter((table) => table.failed > 0 || table.applied !== table.desired);
      expect(open.length === 0, open.map((table) => JSON.stringify(table)).join(' '));
      rows += tables.reduce((sum, table) => sum + table.applied, 0);
      return true;
    });
  }
  return rows;
}

/** How many answers came from each pod. */
export function countPods(answers: readonly Answer[]): Record<string, number> {
  return countBy(answers, (answer) => answer.pod);
}

/** Fails the check unless exactly the expected pods answered. */
export function expectPods(answers: readonly Answer[], expected: readonly LivePod[]): void {
  const answered = new Set(answers.map((answer) => answer.pod));
  const silent = expected.filter((pod) => !answered.has(pod.name)).map((pod) => pod.name);
  expect(silent.length === 0, `no answer came from ${silent.join(', ')}`);
  const names = new Set(expected.map((pod) => pod.name));
  const strangers = [...answered].filter((name) => !names.has(name));
  expect(
    strangers.length === 0,
    `answers came from ${strangers.join(', ')}, which should not serve`,
  );
}
