import type { Endpoint } from './facts.ts';

/**
 * Which endpoints a Service's frontends use.
 *
 * Reference: k8s.io/kubernetes pkg/proxy/topology.go and KEP-1669, KEP-2433, KEP-3015; rules
 * KP-12 to KP-16.
 */
export interface EndpointSets {
  /** For frontends with traffic policy Cluster. */
  readonly cluster: readonly Endpoint[];
  /** For frontends with traffic policy Local: endpoints on this node. */
  readonly local: readonly Endpoint[];
}

export interface Place {
  readonly node: string;
  /** '' when the node has no zone label: then zone hints are ignored (KP-18). */
  readonly zone: string;
}

/** The two sets are chosen independently (KP-13). */
export function chooseEndpoints(all: readonly Endpoint[], place: Place): EndpointSets {
  const usable = usableEndpoints(all);
  const ready = all.some((endpoint) => endpoint.ready);
  return {
    // Hints count only while there are ready endpoints (KP-16).
    cluster: ready ? nearEndpoints(usable, place) : usable,
    local: usableEndpoints(all.filter((endpoint) => endpoint.node === place.node)),
  };
}

/** The ready ones; when there is none, those that still serve while they terminate (KP-13). */
export function usableEndpoints(all: readonly Endpoint[]): readonly Endpoint[] {
  const ready = all.filter((endpoint) => endpoint.ready);
  if (ready.length > 0) return ready;
  return all.filter((endpoint) => endpoint.serving && endpoint.terminating);
}

/** Whether an endpoint takes no new connections, but may have open ones, which it serves (KP-46). */
export function hasDraining(all: readonly Endpoint[], { cluster }: EndpointSets): boolean {
  const terminating = all.filter((endpoint) => endpoint.terminating && endpoint.serving);
  if (terminating.length === 0) return false;
  const used = new Set(cluster);
  return terminating.some((endpoint) => !used.has(endpoint));
}

/** Same node before same zone, and only when every endpoint carries such a hint (KP-15). */
function nearEndpoints(ready: readonly Endpoint[], place: Place): readonly Endpoint[] {
  if (ready.every((endpoint) => endpoint.nodeHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.nodeHints.includes(place.node));
    if (here.length > 0) return here;
  }
  if (place.zone !== '' && ready.every((endpoint) => endpoint.zoneHints.length > 0)) {
    const here = ready.filter((endpoint) => endpoint.zoneHints.includes(place.zone));
    if (here.length > 0) return here;
  }
  return ready;
}
