import { fnv1a } from '../core/hash.ts';
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
  /** Whether there are endpoints beyond those that fit a frontend. */
  readonly surplus: boolean;
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
): { readonly backends: readonly Backend[]; readonly surplus: boolean } {
  const all = endpoints.map((endpoint) => ({ ip: endpoint.ip, port: portOf(endpoint) }));
  const { backends, surplus } =
    all.length > maxBackends ? someOf(all, node) : { backends: all, surplus: false };
  backends.sort((a, b) => compareText(a.ip, b.ip) || a.port - b.port);
  const isRepeated = (backend: Backend, i: number) =>
    backend.ip === backends[i - 1]?.ip && backend.port === backends[i - 1]?.port;
  const distinct = backends.some(isRepeated)
    ? backends.filter((backend, i) => !isRepeated(backend, i))
    : backends;
  return { backends: distinct, surplus };
}

/** Places of endpoints in a list fit below this; with a hash of 32 bits a number stays exact. */
const placesMax = 2 ** 21;

/**
 * Those with the smallest hashes of node and endpoint (rendezvous hashing): other ones on each
 * node, so that all endpoints together take the traffic of the cluster, and an endpoint that comes
 * or goes takes the place of one other at most.
 */
function someOf(all: readonly Backend[], node: string) {
  const seed = fnv1a(node);
  const keys = Float64Array.from(
    all,
    ({ ip, port }, i) => mix(fnv1a(ip, seed) ^ port) * placesMax + i,
  );
  keys.sort();
  const backends = new Map<string, Backend>();
  let surplus = false;
  for (const key of keys) {
    const backend = all[key % placesMax];
    if (backend === undefined) continue;
    const name = `${backend.ip} ${backend.port}`;
    if (backends.has(name)) continue;
    surplus = backends.size === maxBackends;
    if (surplus) break;
    backends.set(name, backend);
  }
  return { backends: [...backends.values()], surplus };
}

/** Spreads what is alike: addresses differ in their last digits (the finalizer of MurmurHash3). */
function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
