import { compareText } from '../core/ip.ts';
import { dropAddresses, refuseAddresses, refusePort } from '../core/link-addresses.ts';
import type { Backend } from '../desired/rows.ts';
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { chooseEndpoints, hasDraining, type Place } from './endpoints.ts';

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

/** This node, as endpoint choice sees it. */
export function placeOf(facts: Facts): Place {
  const node = facts.config.get('config')?.nodeName ?? '';
  return { node, zone: facts.nodes.get(node)?.labels['topology.kubernetes.io/zone'] ?? '' };
}

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

/** An endpoint's port number, as its slice gives it (KP-05). */
type PortOf = (endpoint: Endpoint) => number;

interface Candidates {
  readonly endpoints: readonly Endpoint[];
  readonly portOf: PortOf;
}

/**
 * Endpoints of one Service port. The same address and port in two slices counts once; a local
 * one replaces another (KP-07). Slices are visited in the order of their names, so the order of
 * events does not show.
 */
export function endpointsOfPort(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
): Candidates {
  const parts = slicesOf(facts, service, family).flatMap((slice) =>
    slice.ports
      .filter((one) => one.name === port.name && one.protocol === port.protocol)
      .map((one) => ({ endpoints: slice.endpoints, port: one.port })),
  );
  const [only] = parts;
  // Nearly every Service: one slice, one number, nothing to merge.
  if (parts.length === 1 && only !== undefined)
    return { endpoints: only.endpoints, portOf: () => only.port };
  const node = facts.config.get('config')?.nodeName ?? '';
  const chosen = new Map<string, readonly [Endpoint, number]>();
  for (const part of parts)
    for (const endpoint of part.endpoints) {
      const key = `${endpoint.ip} ${part.port}`;
      const before = chosen.get(key);
      if (before !== undefined && (before[0].node === node || endpoint.node !== node)) continue;
      chosen.set(key, [endpoint, part.port]);
    }
  const ports = new Map(chosen.values());
  return { endpoints: [...ports.keys()], portOf: (endpoint) => ports.get(endpoint) ?? 0 };
}

function slicesOf(facts: Facts, service: Service, family: 4 | 6): EndpointSlice[] {
  const slices: EndpointSlice[] = [];
  for (const key of facts.slicesOf.get(service.key) ?? []) {
    const slice = facts.slices.get(key);
    if (slice !== undefined && slice.family === family) slices.push(slice);
  }
  return slices.length < 2 ? slices : slices.sort((a, b) => compareText(a.key, b.key));
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
