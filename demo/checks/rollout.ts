import type { Cluster } from '../cluster.ts';
import { isReady, type List, type Pod } from '../objects.ts';
import { until } from '../processes.ts';
import { shop } from './shop.ts';

/** Longest time for pods to start or to leave. */
export const rolloutDeadlineMs = 30_000;

/** What `kubectl scale` does. */
export function scaleBackend(cluster: Cluster, replicas: number): Promise<void> {
  return cluster.kube.patch(`/apis/apps/v1/namespaces/${shop}/deployments/backend`, {
    spec: { replicas },
  });
}

/** Waits until the API has exactly so many back-end pods, all ready: those that leave have left. */
export async function waitForBackends(cluster: Cluster, count: number): Promise<void> {
  await until(`${count} back-end pods`, rolloutDeadlineMs, cluster.signal, async () => {
    const { items } = await cluster.kube.get<List<Pod>>(`/api/v1/namespaces/${shop}/pods`);
    const pods = items.filter((pod) => pod.metadata.labels?.app === 'backend');
    return pods.length === count && pods.every(isReady) ? true : undefined;
  });
}
