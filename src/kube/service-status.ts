import type { Ip } from '../core/ip.ts';
import type { KubeClient } from './request.ts';

/**
 * Writes the addresses of a load balancer into the status of a Service, and nothing else. The
 * patch carries the version of the Service about which was decided, so a Service that changed
 * meanwhile is not written (409): who asked decides again with the new one.
 */
export async function writeServiceStatus(
  client: Pick<KubeClient, 'request'>,
  key: string,
  status: { readonly ips: readonly Ip[]; readonly resourceVersion: string },
  signal: AbortSignal,
): Promise<void> {
  const { ips, resourceVersion } = status;
  const slash = key.indexOf('/');
  const path = `/api/v1/namespaces/${key.slice(0, slash)}/services/${key.slice(slash + 1)}`;
  const body = {
    metadata: { resourceVersion },
    // ipMode VIP: packets arrive with the address as their destination (KEP-1860).
    status: { loadBalancer: { ingress: ips.map((ip) => ({ ip, ipMode: 'VIP' })) } },
  };
  await client.request({ method: 'PATCH', path: `${path}/status`, body }, signal);
}
