import { hostPrefix, prefixContains, prefixOf } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { emptyPlan, type Plan, type Planner } from '../desired/plan.ts';
import type { Backend, RouteRow, SessionPauseRow, TranslationRow } from '../desired/rows.ts';
import type { Service, ServicePort } from '../model/facts.ts';
import { type Frontend, frontendProblems, frontendsOfPort } from '../model/frontends.ts';
import { hasChanged } from '../model/node-parts.ts';
import { servicesAt } from '../model/outside.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { backendsOfPort, maxBackends, type PortBackends, refusal, silence } from './backends.ts';

/**
 * Services and their EndpointSlices become translations: one row per frontend, which is
 * (address, protocol, port) (KP-04). Who may use a frontend is in gate.ts.
 */
export const servicePlanner: Planner<Facts, ChangedKeys> = {
  name: 'services',
  kind: 'Service',
  owners: (facts) => facts.services.keys(),
  touched(facts, changed) {
    if (changed.config || changed.uplink) return 'all';
    if (hasChanged(changed, 'zone', facts.config.get('config')?.nodeName ?? '')) return 'all';
    const epochs = [...(changed.affinityEpochs ?? [])].map(serviceOfEpoch);
    return new Set([
      ...(changed.services ?? []),
      ...(changed.slicesOf ?? []),
      ...epochs,
      // Whether an outside address is that of another node.
      ...servicesAt(facts.outside, changed.nodeOf),
    ]);
  },
  plan(facts, owner) {
    const service = facts.services.get(owner);
    if (service === undefined || service.type === 'ExternalName') return emptyPlan;
    const rows = { translations: [], routes: [], sessionPauses: [] } as MutableRows;
    const problems = frontendProblems(facts, service);
    for (const port of service.ports)
      for (const family of [4, 6] as const) planPort(facts, service, port, family, rows, problems);
    return { rows, problems } satisfies Plan;
  },
};

interface MutableRows {
  readonly translations: TranslationRow[];
  readonly routes: RouteRow[];
  readonly sessionPauses: SessionPauseRow[];
}

/** Key of the fact that counts how often a Service's port forgot its clients. */
export function epochKey(service: Service, port: ServicePort): string {
  return `${service.key} ${port.name}/${port.protocol}`;
}

function serviceOfEpoch(key: string): string {
  return key.slice(0, key.indexOf(' '));
}

function planPort(
  facts: Facts,
  service: Service,
  port: ServicePort,
  family: 4 | 6,
  rows: MutableRows,
  problems: Problem[],
): void {
  const frontends = frontendsOfPort(facts, service, port, family);
  if (frontends.length === 0) return;
  const backends = backendsOfPort(facts, service, port, family);
  const common = {
    protocol: port.protocol,
    affinityEpoch:
      service.affinitySeconds > 0
        ? (facts.affinityEpochs.get(epochKey(service, port)) ?? 0)
        : undefined,
    service: port.name === '' ? service.key : `${service.key}:${port.name}`,
  };
  for (const frontend of frontends) {
    const { vip, port: number, nodeAddress } = frontend;
    const chosen = choose(service, frontend, backends, family);
    rows.translations.push({ vip, port: number, ...common, nodeAddress, backends: chosen });
    // Other ports of the address must not follow the default route back to where they came from.
    if (needsRoute(facts, frontend) && !hasRoute(rows.routes, frontend))
      rows.routes.push({ prefix: hostPrefix(vip), paths: [{ kind: 'reject' }] });
  }
  const drainSeconds = facts.config.get('config')?.services.drainSeconds ?? 0;
  // A datagram has no connection that could go on.
  if (backends.draining && port.protocol !== 'UDP' && drainSeconds > 0)
    if (rows.sessionPauses.length === 0) rows.sessionPauses.push({ reason: 'draining' });
  if (backends.surplus)
    problems.push({
      object: `Service/${service.key}`,
      field: `spec.ports[${service.ports.indexOf(port)}]`,
      // Without their number, which changes all the time: each reason is an Event of its own.
      reason: `has more than ${maxBackends} endpoints; this node uses ${maxBackends} of them`,
    });
}

/** Not where somebody is: a node's address, of this node or another, or one on the uplink's link. */
function needsRoute(facts: Facts, { kind, vip, nodeAddress }: Frontend): boolean {
  if (kind === 'ClusterIP' || nodeAddress || facts.nodeOf.has(vip)) return false;
  const uplink = facts.uplink.get('uplink')?.addresses ?? [];
  return !uplink.some(({ ip, length }) => prefixContains(prefixOf(ip, length), vip));
}

function hasRoute(routes: readonly RouteRow[], { vip }: Frontend): boolean {
  return routes.some((route) => route.prefix === hostPrefix(vip));
}

/** The endpoints that a frontend uses, or the sink that answers in their place (KP-13 to KP-22). */
function choose(
  service: Service,
  { kind }: Frontend,
  { cluster, local }: PortBackends,
  family: 4 | 6,
): readonly Backend[] {
  const internal = kind === 'ClusterIP';
  const policy = internal ? service.internalTrafficPolicy : service.externalTrafficPolicy;
  if (policy === 'Local' && local.length > 0) return local;
  if (cluster.length === 0) return refusal(family);
  if (policy === 'Local' && internal) return silence(family);
  // Policy Local from outside without an endpoint here: the gate drops it. What comes from inside
  // goes on as if it had left the cluster and come back (KP-21).
  return cluster;
}
