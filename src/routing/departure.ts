import type { Config } from '../model/config.ts';
import type { Node } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';

/** KEP-1143: the label that takes a node out of the load balancers' sight. */
const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

/**
 * How the routes of Services stand: as always, avoided (RFC 8326), or withdrawn. A node that was
 * leaving when the daemon started is gone: nobody is asked to come back for a few seconds.
 */
export type DeparturePhase = 'staying' | 'graceful' | 'gone';

export function departurePhase(facts: Facts, config: Config, self: Node): DeparturePhase {
  if (departureReason(config, self) === undefined)
    return config.bgp.drain.onCordon && self.unschedulable ? 'graceful' : 'staying';
  return facts.departure.get('departure')?.isOver === false ? 'graceful' : 'gone';
}

/** Why the routes of Services should not lead to this node any more; undefined: they may. */
export function departureReason(config: Config, self: Node | undefined): string | undefined {
  if (self === undefined) return undefined;
  const taint = config.bgp.drain.taints.find((key) => self.taints.includes(key));
  if (taint !== undefined) return `it has the taint ${taint}`;
  if (self.terminating) return 'it is being deleted';
  if (self.shuttingDown) return 'it shuts down';
  if (self.networkUnavailable) return 'it has the condition NetworkUnavailable';
  return excludeLabel in self.labels ? `it has the label ${excludeLabel}` : undefined;
}
