import { compareText, familyOf, type Ip, prefixContains } from '../core/ip.ts';
import { emptyPlan, type Plan, type Planner } from '../desired/plan.ts';
import type { Backend, TranslationRow } from '../desired/rows.ts';
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../model/facts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { chooseEndpoints, type Place } from './endpoints.ts';

/**
 * Services and their EndpointSlices become translations: one row per frontend, which is
 * (address, protocol, port) (KP-04). A frontend without a usable endpoint has no row: VPP aborts
 * on a translation without paths, and the reject route of the service range answers instead.
 */
export const servicePlanner: Planner<Facts, ChangedKeys> = {
  name: 'services',
  kind: 'Service',
  owners: (facts) => facts.services.keys(),
  touched(facts, changed) {
    if (changed.config || changed.uplink) return 'all';
    const own = facts.config.get('config')?.nodeName;
    if (own !== undefined && changed.nodes?.has(own)) return 'all';
    return new Set([...(changed.services ?? []), ...(changed.slicesOf ?? [])]);
  },
  plan(facts, owner) {
    const service = facts.services.get(owner);
    if (service === undefined || service.type === 'ExternalName') return emptyPlan;
    const translations = service.ports.flatMap((port) => planPort(facts, service, port));
    return { rows: { translations }, problems: [] } satisfies Plan;
  },
};

/** This node, as endpoint choice sees it. */
export function placeOf(facts: Facts): Place {
  const node = facts.config.get('config')?.nodeName ?? '';
  return { node, zone: facts.nodes.get(node)?.labels['topology.kubernetes.io/zone'] ?? '' };
}

function planPort(facts: Facts, service: Service, port: ServicePort): TranslationRow[] {
  const rows: TranslationRow[] = [];
  const place = placeOf(facts);
  for (const family of [4, 6] as const) {
    const vips = service.clusterIps.filter((vip) => familyOf(vip) === family);
    const nodeIps = port.nodePort === 0 ? [] : nodePortAddresses(facts, family);
    if (vips.length === 0 && nodeIps.length === 0) continue;
    const candidates = endpointsOfPort(facts, service, port, family);
    const sets = chooseEndpoints(candidates.endpoints, place);
    const internal = service.internalTrafficPolicy === 'Local' ? sets.local : sets.cluster;
    const external = service.externalTrafficPolicy === 'Local' ? sets.local : sets.cluster;
    const base = {
      protocol: port.protocol,
      affinity: service.affinitySeconds > 0,
      service: port.name === '' ? service.key : `${service.key}:${port.name}`,
    };
    const inside = backendsOf(internal, candidates.portOf);
    if (inside.length > 0)
      for (const vip of vips)
        rows.push({ vip, port: port.port, ...base, nodeAddress: false, backends: inside });
    // A Service of one family has no NodePort in the other (KP-26).
    const outside = vips.length === 0 ? [] : backendsOf(external, candidates.portOf);
    if (outside.length > 0)
      for (const vip of nodeIps)
        rows.push({ vip, port: port.nodePort, ...base, nodeAddress: true, backends: outside });
  }
  return rows;
}

/** The node's own addresses on which NodePorts answer (KP-27). */
function nodePortAddresses(facts: Facts, family: 4 | 6): Ip[] {
  const allowed = facts.config.get('config')?.services.nodePortAddresses ?? [];
  const own = facts.uplink.get('uplink')?.addresses.map((address) => address.ip) ?? [];
  return own.filter(
    (address) =>
      familyOf(address) === family &&
      (allowed.length === 0 || allowed.some((range) => prefixContains(range, address))),
  );
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
function endpointsOfPort(
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
function backendsOf(endpoints: readonly Endpoint[], portOf: PortOf): Backend[] {
  const backends = endpoints.map((endpoint) => ({ ip: endpoint.ip, port: portOf(endpoint) }));
  backends.sort((a, b) => compareText(a.ip, b.ip) || a.port - b.port);
  const isRepeated = (backend: Backend, i: number) =>
    backend.ip === backends[i - 1]?.ip && backend.port === backends[i - 1]?.port;
  return backends.some(isRepeated)
    ? backends.filter((backend, i) => !isRepeated(backend, i))
    : backends;
}
