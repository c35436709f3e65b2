import type { Ip } from '../core/ip.ts';
import { isObject, objectOf, textOf } from './json.ts';
import type { KubeClient } from './request.ts';

/**
 * Writes the addresses of a load balancer into the status of a Service, and nothing else. The
 * patch carries the version that was read, so a Service that changed meanwhile is not written
 * (409): who asked decides again with the new one.
 */
export async function writeServiceStatus(
  client: KubeClient,
  key: string,
  ips: readonly Ip[],
  signal: AbortSignal,
): Promise<void> {
  const slash = key.indexOf('/');
  const path = `/api/v1/namespaces/${key.slice(0, slash)}/services/${key.slice(slash + 1)}`;
  const value = await client.request({ method: 'GET', path }, signal);
  const service = isObject(value) ? value : {};
  const resourceVersion = textOf(objectOf(service.metadata).resourceVersion);
  const body = {
    metadata: { resourceVersion },
    // ipMode VIP: packets arrive with the address as their destination (KEP-1860).
    status: { loadBalancer: { ingress: ips.map((ip) => ({ ip, ipMode: 'VIP' })) } },
  };
  await client.request({ method: 'PATCH', path: `${path}/status`, body }, signal);
}
