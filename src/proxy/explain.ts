import type { Endpoint, Service, ServicePort } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { endpointsOfPort, maxBackends, placeOf } from './backends.ts';
import { chooseEndpoints, type EndpointSets, type Place } from './endpoints.ts';

/** One endpoint of a Service's port, and what this node makes of it. */
export interface ExplainedEndpoint {
  readonly ip: string;
  readonly port: number;
  readonly node: string;
  /** Takes new connections under traffic policy Cluster, and under Local. */
  readonly cluster: boolean;
  readonly local: boolean;
  /** One clause: why it is used, or why not. */
  readonly reason: string;
}

/**
 * Why each endpoint of a port is used or not, in one family. Law: who is used is what
 * `chooseEndpoints` says.
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
  const anyReady = endpoints.some((endpoint) => endpoint.ready);
  return endpoints.map((endpoint) => ({
    ip: endpoint.ip,
    port: portOf(endpoint),
    node: endpoint.node,
    cluster: sets.cluster.includes(endpoint),
    local: sets.local.includes(endpoint),
    reason: reasonOf(endpoint, sets, place, anyReady),
  }));
}

function reasonOf(endpoint: Endpoint, sets: EndpointSets, place: Place, anyReady: boolean): string {
  const used = sets.cluster.includes(endpoint) || sets.local.includes(endpoint);
  if (used && !endpoint.ready) return 'terminating, but no ready endpoint is left';
  if (used && sets.cluster.length > maxBackends)
    return `ready; this node uses ${maxBackends} of ${sets.cluster.length}`;
  if (used) return sets.cluster.includes(endpoint) ? 'ready' : 'ready, for policy Local only';
  if (endpoint.ready) return hintReason(endpoint, place);
  if (!endpoint.terminating) return 'not ready';
  if (!endpoint.serving) return 'terminating, and no longer serving';
  return anyReady
    ? 'terminating: open connections go on, new ones go to ready endpoints'
    : 'terminating';
}

function hintReason(endpoint: Endpoint, place: Place): string {
  if (endpoint.nodeHints.length > 0 && !endpoint.nodeHints.includes(place.node))
    return `hinted for node ${endpoint.nodeHints.join(', ')}, not ${place.node}`;
  return `hinted for zone ${endpoint.zoneHints.join(', ')}, not ${place.zone}`;
}
