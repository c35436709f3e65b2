import { changes } from './changes.ts';
import type { CheckGroup } from './check.ts';
import { crashes } from './crashes.ts';
import { denials } from './denials.ts';
import { explain } from './explain.ts';
import { host } from './host.ts';
import { loadBalancer } from './load-balancer.ts';
import { policies } from './policies.ts';
import { overlay, routing } from './routing.ts';
import { nodePorts, services } from './services.ts';
import { upstream } from './upstream.ts';

/** The checks of demo/manifests, in the order in which they are run. */
export function shopChecks(nodeCount: number): readonly CheckGroup[] {
  const extra = nodeCount > 2 ? [overlay] : [];
  return [
    routing,
    ...extra,
    services,
    nodePorts,
    loadBalancer,
    upstream,
    host,
    explain,
    changes,
    policies,
    denials,
    crashes,
  ];
}
