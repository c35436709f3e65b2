import { compareText } from '../core/ip.ts';
import { dropAddresses, refuseAddresses, refusePort } from '../core/link-addresses.ts';
import type { Backend } from '../desired/rows.ts';
import { chooseEndpoints, hasDraining } from '../model/endpoints.ts';
import type { Endpoint, Service, ServicePort } from '../model/facts.ts';
import { endpointsOfPort, type PortOf, placeOf } from '../model/service-endpoints.ts';
import type { Facts } from '../model/store.ts';

/**
 * From the slices of a Service to the backends of one of its ports, in one IP family.
 *
 * A frontend always has a backend. Where no endpoint may take a packet it is a sink: `refuse`,
 * where the host's own network stack says no (KP-22), or `drop` (KP-19).
 */
export interface PortBackends {
  /** For traffic policy Cluster. Empty: no endpoint takes traffic. */
  readonly cluster: readonly Backend[];
  /** For traffic policy Local. */
  readonly local: readonly Backend[];
  /** Whether connections go on to endpoints that take no new ones. */
  readonly draining: boolean;
  /** How many endpoints there are beyond those that fit a frontend; 0 for nearly all. */
  readonly surplus: number;
}

/**
 * Endpoints of one frontend. VPP compares each path with each when it updates a translation, on
 * the thread that forwards: 2,000 take about 10 ms, and from 65,536 on it dies.
 */
export const maxBackends = 2_000;

/** The backends of one port of a Service in one family. */
export function backendsOfPort(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
): PortBackends {
  const place = placeOf(facts);
  const { endpoints, portOf } = endpointsOfPort(facts, service, port, family);
  const sets = chooseEndpoints(endpoints, place);
  const cluster = backendsOf(sets.cluster, portOf, place.node);
  return {
    cluster: cluster.backends,
    local: backendsOf(sets.local, portOf, place.node).backends,
    draining: hasDraining(endpoints, sets),
    surplus: cluster.surplus,
  };
}

/** The client is told at once: TCP RST, or ICMP port unreachable (KP-22). */
export function refusal(family: 4 | 6): readonly Backend[] {
  return [{ ip: refuseAddresses[family], port: refusePort }];
}

/** The client hears nothing (KP-19). */
export function silence(family: 4 | 6): readonly Backend[] {
  return [{ ip: dropAddresses[family], port: refusePort }];
}

/** Sorted, because VPP's default load balancer reshuffles clients when the order changes. */
function backendsOf(
  endpoints: readonly Endpoint[],
  portOf: PortOf,
  node: string,
): { readonly backends: readonly Backend[]; readonly surplus: number } {
  const backends = endpoints.map((endpoint) => ({ ip: endpoint.ip, port: portOf(endpoint) }));
  backends.sort((a, b) => compareText(a.ip, b.ip) || a.port - b.port);
  const isRepeated = (backend: Backend, i: number) =>
    backend.ip === backends[i - 1]?.ip && backend.port === backends[i - 1]?.port;
  const distinct = backends.some(isRepeated)
    ? backends.filter((backend, i) => !isRepeated(backend, i))
    : backends;
  const surplus = Math.max(0, distinct.length - maxBackends);
  return { backends: surplus === 0 ? distinct : someOf(distinct, node), surplus };
}

/** Other ones on each node, so that all endpoints together take the traffic of the cluster. */
function someOf(backends: readonly Backend[], node: string): readonly Backend[] {
  let hash = 0;
  for (let i = 0; i < node.length; i++) hash = (Math.imul(hash, 31) + node.charCodeAt(i)) >>> 0;
  const start = hash % backends.length;
  const chosen = new Set(
    Array.from({ length: maxBackends }, (_, i) => (start + i) % backends.length),
  );
  return backends.filter((_, i) => chosen.has(i));
}
