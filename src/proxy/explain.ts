import { chooseEndpoints, type Place } from '../model/endpoints.ts';
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../model/facts.ts';
import { endpointsOfPort, placeOf } from '../model/service-endpoints.ts';
import type { Facts } from '../model/store.ts';
import { backendsOfPort, maxBackends } from './backends.ts';

/** One endpoint of a Service's port, and what this node makes of it. */
export interface ExplainedEndpoint {
  readonly ip: string;
  /** 0 when its slice gives no number for the port. */
  readonly port: number;
  readonly node: string;
  /** Takes new connections under traffic policy Cluster, and under Local. */
  readonly cluster: boolean;
  readonly local: boolean;
  /** One clause: why it is used, or why not. */
  readonly reason: string;
}

/** What was decided about the endpoints of one port in one family. */
interface Decision {
  readonly place: Place;
  readonly cluster: ReadonlySet<Endpoint>;
  readonly local: ReadonlySet<Endpoint>;
  readonly anyReady: boolean;
}

/**
 * Why each endpoint of a port is used or not, in one family. Law: who is used is what
 * `chooseEndpoints` says, less those beyond `maxBackends`. First come the endpoints that the
 * choice was made from, then those that never reached it.
 */
export function explainEndpoints(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
): ExplainedEndpoint[] {
  const place = placeOf(facts);
  const { endpoints, portOf } = endpointsOfPort(facts, service, port, family);
  const sets = chooseEndpoints(endpoints, place);
  const decision: Decision = {
    place,
    cluster: new Set(sets.cluster),
    local: new Set(sets.local),
    anyReady: endpoints.some((endpoint) => endpoint.ready),
  };
  const fits = fittingOf(facts, service, port, family, sets.cluster.length);
  const explained = endpoints.map((endpoint): ExplainedEndpoint => {
    const { ip, node } = endpoint;
    const number = portOf(endpoint);
    const chosen = decision.cluster.has(endpoint);
    const cluster = chosen && fits(ip, number);
    const local = decision.local.has(endpoint);
    const reason =
      chosen && !cluster && !local
        ? `beyond the ${maxBackends} that this node uses`
        : reasonOf(endpoint, decision);
    return { ip, port: number, node, cluster, local, reason };
  });
  return [...explained, ...leftOut(facts, service, port, family, new Set(endpoints))];
}

/** Whether an endpoint is among those that VPP gets: nearly always all. */
function fittingOf(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
  count: number,
): (ip: string, port: number) => boolean {
  if (count <= maxBackends) return () => true;
  const { cluster } = backendsOfPort(facts, service, port, family);
  const kept = new Set(cluster.map((backend) => `${backend.ip} ${backend.port}`));
  return (ip, number) => kept.has(`${ip} ${number}`);
}

function reasonOf(endpoint: Endpoint, decision: Decision): string {
  const { cluster, local, place, anyReady } = decision;
  if (cluster.has(endpoint) || local.has(endpoint)) {
    if (!endpoint.ready) return lastResort(endpoint, decision);
    return cluster.has(endpoint) ? 'ready' : `ready, for policy Local only: ${hintText(endpoint)}`;
  }
  if (endpoint.ready) return `${hintText(endpoint)}, and this node is ${placeText(place)}`;
  if (!endpoint.terminating) return 'not ready';
  if (!endpoint.serving) return 'terminating, and no longer serving';
  return anyReady
    ? 'terminating: open connections go on, new ones go to ready endpoints'
    : 'terminating';
}

function lastResort(endpoint: Endpoint, { cluster }: Decision): string {
  return cluster.has(endpoint)
    ? 'terminating, but no ready endpoint is left'
    : 'terminating, but no ready endpoint is left on this node: for policy Local only';
}

function hintText({ nodeHints, zoneHints }: Endpoint): string {
  const hints = [
    ...(nodeHints.length === 0 ? [] : [`node ${nodeHints.join(', ')}`]),
    ...(zoneHints.length === 0 ? [] : [`zone ${zoneHints.join(', ')}`]),
  ];
  return `hinted for ${hints.join(' and ')}`;
}

function placeText({ node, zone }: Place): string {
  return zone === '' ? node : `${node} in zone ${zone}`;
}

/** Endpoints in slices of the Service that were no candidates for this port and family. */
function leftOut(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
  candidates: ReadonlySet<Endpoint>,
): ExplainedEndpoint[] {
  const slices = [...(facts.slicesOf.get(service.key) ?? [])]
    .sort()
    .flatMap((key) => facts.slices.get(key) ?? [])
    .filter((slice) => slice.family === family);
  return slices.flatMap((slice) => {
    const numbers = slice.ports
      .filter((one) => one.name === port.name && one.protocol === port.protocol)
      .map((one) => one.port);
    const reason =
      numbers.length === 0
        ? noPortText(slice, port)
        : `repeated: another slice than ${slice.key} has the same address and port`;
    return slice.endpoints
      .filter((endpoint) => !candidates.has(endpoint))
      .map(({ ip, node }) => {
        return { ip, port: numbers[0] ?? 0, node, cluster: false, local: false, reason };
      });
  });
}

function noPortText(slice: EndpointSlice, { name, protocol }: ServicePort): string {
  const what = name === '' ? `unnamed ${protocol} port` : `${protocol} port named ${name}`;
  return `slice ${slice.key} has no ${what}`;
}
