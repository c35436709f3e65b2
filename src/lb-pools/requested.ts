import { type Ip, parseIp } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Service } from '../model/facts.ts';

/** `kube-vpp-router.io/load-balancer-ips: 203.0.113.7,2001:db8::7`; MetalLB's means the same. */
export const requestAnnotations = [
  'kube-vpp-router.io/load-balancer-ips',
  'metallb.io/loadBalancerIPs',
] as const;

/** The addresses that a Service asks for, and what is wrong with its request. */
export function requestedIps(service: Service): {
  readonly ips: readonly Ip[];
  readonly problems: Problem[];
} {
  const name = requestAnnotations.find((one) => service.annotations[one] !== undefined);
  const text = (name === undefined ? undefined : service.annotations[name]) ?? service.requestedIp;
  const problems: Problem[] = [];
  const ips: Ip[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const ip = parseIp(part);
    if (ip !== undefined) ips.push(ip);
    else
      problems.push({
        object: `Service/${service.key}`,
        field: name === undefined ? 'spec.loadBalancerIP' : `metadata.annotations[${name}]`,
        reason: `${JSON.stringify(part)} is no address; it is not asked for`,
      });
  }
  return { ips, problems };
}
