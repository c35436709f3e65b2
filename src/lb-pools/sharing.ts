import type { Service } from '../model/facts.ts';

/** Services with equal keys may share an address. */
export const sharingAnnotations = [
  'kube-vpp-router.io/sharing-key',
  'metallb.io/allow-shared-ip',
] as const;

/** With whom a Service shares addresses; undefined: with nobody. */
export function sharingKeyOf(service: Service): string | undefined {
  for (const name of sharingAnnotations) {
    const value = service.annotations[name];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Why two Services cannot have one address; undefined when they can. */
export function refusesToShare(a: Service, b: Service): string | undefined {
  const key = sharingKeyOf(a);
  if (key === undefined || key !== sharingKeyOf(b)) return 'they have no sharing key in common';
  const portsOf = (service: Service) => service.ports.map((p) => `${p.port}/${p.protocol}`);
  const ports = portsOf(b);
  const clash = portsOf(a).find((port) => ports.includes(port));
  if (clash !== undefined) return `both have port ${clash}`;
  if (a.externalTrafficPolicy !== 'Cluster' || b.externalTrafficPolicy !== 'Cluster')
    return 'a shared address needs externalTrafficPolicy Cluster';
  const ranges = (service: Service) => [...service.sourceRanges].sort().join();
  return ranges(a) === ranges(b) ? undefined : 'their loadBalancerSourceRanges differ';
}
