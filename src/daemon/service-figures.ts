import { formatFrontend, type tables } from '../desired/tables.ts';
import { frontendsOfPort } from '../model/frontends.ts';
import { gateReasons } from '../model/gated.ts';
import type { Store } from '../model/store.ts';
import { backendsOfPort } from '../proxy/backends.ts';
import type { Reconciler } from '../reconcile/reconciler.ts';
import type { VppTarget } from '../vpp/target.ts';
import type { FrontendConnections, ServiceFigures } from './view.ts';
import { packetsAt, type VppStats } from './vpp-stats.ts';

/** Figures about Services, computed when somebody asks. */
export function serviceFigures(store: Store): ServiceFigures {
  const noLocalEndpoints = ([4, 6] as const).map((family) => ({
    family,
    internal: 0,
    external: 0,
  }));
  for (const service of store.facts.services.values()) {
    const internal = service.internalTrafficPolicy === 'Local' && !service.headless;
    const external = gateReasons(service).includes('local');
    if (!internal && !external) continue;
    for (const port of service.ports)
      for (const found of noLocalEndpoints) {
        const { family } = found;
        if (frontendsOfPort(store.facts, service, port, family).length === 0) continue;
        const { cluster, local } = backendsOfPort(store.facts, service, port, family);
        if (local.length > 0 || cluster.length === 0) continue;
        if (internal) found.internal++;
        if (external) found.external++;
      }
  }
  return {
    pendingServices: store.pending('services'),
    pendingSlices: store.pending('slices'),
    noLocalEndpoints,
  };
}

/**
 * New connections by frontend, the busiest first. VPP counts the first packet of each session by
 * the id of its translation; it keeps no count of the packets that follow.
 */
export async function frontendConnections(parts: {
  readonly stats: VppStats;
  readonly reconciler: Reconciler;
  readonly vpp: Pick<VppTarget, 'handles'>;
}): Promise<readonly FrontendConnections[]> {
  const counter = '/net/cnat-translation';
  const read = await parts.stats.read([counter]);
  const stat = read?.get(counter);
  if (stat === undefined) return [];
  const all: FrontendConnections[] = [];
  for (const [key, id] of parts.vpp.handles?.translations ?? []) {
    const row = parts.reconciler.applied('translations', key) as TranslationOf | undefined;
    const connections = packetsAt(stat, id);
    if (row === undefined || connections === 0) continue;
    all.push({ service: row.service, frontend: formatFrontend(row), connections });
  }
  return all.sort((a, b) => b.connections - a.connections);
}

type TranslationOf = Parameters<typeof tables.translations.key>[0];
