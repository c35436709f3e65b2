import { compareText } from '../core/ip.ts';
import type { Place } from './endpoints.ts';
import type { Endpoint, EndpointSlice, Service, ServicePort } from './facts.ts';
import { zoneLabel } from './node-parts.ts';
import type { Facts } from './store.ts';

/** This node, as endpoint choice sees it. */
export function placeOf(facts: Facts): Place {
  const node = facts.config.get('config')?.nodeName ?? '';
  return { node, zone: facts.nodes.get(node)?.labels[zoneLabel] ?? '' };
}

/** An endpoint's port number, as its slice gives it (KP-05). */
export type PortOf = (endpoint: Endpoint) => number;

export interface Candidates {
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
