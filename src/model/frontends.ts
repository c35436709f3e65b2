import { familyOf, type Ip, type Prefix, parsePrefix, prefixContains } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Service, ServicePort } from './facts.ts';
import type { Facts } from './store.ts';

/**
 * Where a Service answers: one frontend is (address, protocol, port) (KP-04).
 */
export interface Frontend {
  readonly kind: 'ClusterIP' | 'NodePort' | 'ExternalIP' | 'LoadBalancer';
  readonly vip: Ip;
  readonly port: number;
  /** One of the node's own addresses. */
  readonly nodeAddress: boolean;
}

/** The frontends of one port of a Service, in one IP family, without repetitions. */
export function frontendsOfPort(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
): Frontend[] {
  if (service.type === 'ExternalName') return [];
  const clusterIps = service.clusterIps.filter((vip) => familyOf(vip) === family);
  // A Service of one family has no frontend in the other (KP-26), a headless one has none.
  if (clusterIps.length === 0) return [];
  // Nearly every Service.
  if (port.nodePort === 0 && isInternal(service))
    return clusterIps.map((vip) => ({
      kind: 'ClusterIP',
      vip,
      port: port.port,
      nodeAddress: false,
    }));
  const own = ownAddresses(facts);
  const frontends = new Map<string, Frontend>();
  const add = (kind: Frontend['kind'], vips: readonly Ip[], number: number) => {
    for (const vip of vips)
      if (familyOf(vip) === family && !frontends.has(`${vip} ${number}`))
        frontends.set(`${vip} ${number}`, {
          kind,
          vip,
          port: number,
          nodeAddress: own.includes(vip),
        });
  };
  add('ClusterIP', clusterIps, port.port);
  if (port.nodePort !== 0) add('NodePort', nodePortAddresses(facts), port.nodePort);
  add('LoadBalancer', loadBalancerIps(facts, service), port.port);
  add('ExternalIP', externalIps(facts, service), port.port);
  return [...frontends.values()];
}

function isInternal({ ingress, externalIps }: Service): boolean {
  return ingress.length + externalIps.length === 0;
}

/** Addresses of the node. */
export function ownAddresses(facts: Facts): readonly Ip[] {
  return facts.uplink.get('uplink')?.addresses.map((address) => address.ip) ?? [];
}

/** The node's own addresses on which NodePorts answer (KP-27). */
export function nodePortAddresses(facts: Facts): readonly Ip[] {
  const allowed = facts.config.get('config')?.services.nodePortAddresses ?? [];
  const own = ownAddresses(facts);
  return allowed.length === 0 ? own : own.filter((address) => isInside(address, allowed));
}

/** Addresses with ipMode VIP (KP-30), whatever the class of the load balancer (KP-31). */
export function loadBalancerIps(facts: Facts, service: Service): readonly Ip[] {
  if (service.type !== 'LoadBalancer') return [];
  const vips = service.ingress.filter((entry) => entry.mode === 'VIP').map((entry) => entry.ip);
  return vips.filter((vip) => !isInside(vip, clusterRanges(facts)));
}

/** Only where the administrator said so (KP-33). */
export function externalIps(facts: Facts, service: Service): readonly Ip[] {
  const allowed = facts.config.get('config')?.services.externalIpRanges ?? [];
  return service.externalIps.filter(
    (vip) => isInside(vip, allowed) && !isInside(vip, clusterRanges(facts)),
  );
}

/** Nobody's external address may stand before a ClusterIP or a pod. */
function clusterRanges(facts: Facts): readonly Prefix[] {
  const config = facts.config.get('config');
  return config === undefined ? [] : [...config.services.cidrs, ...config.pods.clusterCidrs];
}

function isInside(address: Ip, ranges: readonly Prefix[]): boolean {
  return ranges.some((range) => prefixContains(range, address));
}

/** What the users of a Service should know about its addresses. */
export function frontendProblems(facts: Facts, service: Service): Problem[] {
  const problems: Problem[] = [];
  if (isInternal(service)) return problems;
  const object = `Service/${service.key}`;
  const served = new Set(externalIps(facts, service));
  for (const [i, vip] of service.externalIps.entries())
    if (!served.has(vip))
      problems.push({
        object,
        field: `spec.externalIPs[${i}]`,
        reason: `${vip} is not served: it is outside of services.externalIpRanges, or belongs to the cluster`,
      });
  const vips = service.type === 'LoadBalancer' ? service.ingress : [];
  const usable = new Set(loadBalancerIps(facts, service));
  for (const [i, { ip, mode }] of vips.entries())
    if (mode === 'VIP' && !usable.has(ip))
      problems.push({
        object,
        field: `status.loadBalancer.ingress[${i}].ip`,
        reason: `${ip} is not served: it belongs to the cluster's Services or pods`,
      });
  for (const family of [4, 6] as const) {
    const open = openFamily(service, family) && [...usable].some((ip) => familyOf(ip) === family);
    if (open && facts.config.get('config')?.services.strictSourceRanges !== true)
      problems.push({
        object,
        field: 'spec.loadBalancerSourceRanges',
        reason: `names no IPv${family} prefix, so the IPv${family} address is open to all`,
      });
  }
  return problems;
}

/** Source ranges are given, but none for this family (KP-32). */
function openFamily(service: Service, family: 4 | 6): boolean {
  return (
    service.sourceRanges.length > 0 &&
    service.sourceRanges.every((text) => text.includes(':') !== (family === 6))
  );
}

/**
 * Who may use the addresses of the load balancer in one family (KP-32); undefined: everybody. A
 * range that is none lets nobody in.
 */
export function sourceRangesOf(
  facts: Facts,
  service: Service,
  family: 4 | 6,
): readonly Prefix[] | undefined {
  if (service.type !== 'LoadBalancer' || service.sourceRanges.length === 0) return undefined;
  const strict = facts.config.get('config')?.services.strictSourceRanges === true;
  if (openFamily(service, family) && !strict) return undefined;
  return service.sourceRanges.flatMap((text) => {
    const range = parsePrefix(text);
    return range !== undefined && familyOf(range) === family ? [range] : [];
  });
}
