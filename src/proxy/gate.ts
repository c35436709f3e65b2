import { compareText, familyOf, hostPrefix, type Prefix, prefix } from '../core/ip.ts';
import { everybody, permitAll } from '../desired/filters.ts';
import { edgeName, hostName, uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { FilterListRow, FilterRow, FilterRule } from '../desired/rows.ts';
import type { Service } from '../model/facts.ts';
import { type Frontend, frontendsOfPort, sourceRangesOf } from '../model/frontends.ts';
import { type GateReason, gateBucket, gateFilterName, gateFilterNames } from '../model/gated.ts';
import { hasChanged } from '../model/node-parts.ts';
import { nodePortPlace, servicesAt } from '../model/outside.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { backendsOfPort } from './backends.ts';

/**
 * The gate: who may use a frontend, decided before the packet is translated.
 *
 * VPP translates before its filters look (ip4-unicast: cnat-input, then acl-plugin-in), and after
 * that a load balancer's address cannot be told from a NodePort or a ClusterIP. So while a
 * Service needs it, packets meet the filters on the interface on which they arrive and are
 * received a second time on a loopback, where translation happens: src/routing/uplink.ts.
 *
 * Two reasons: `loadBalancerSourceRanges` (KP-32), on every interface; and externalTrafficPolicy
 * Local without an endpoint on this node (KP-20), on the uplink only, because what comes from
 * inside the cluster is served (KP-21).
 *
 * A Service has a say only about frontends that are its own: of two that name one address and
 * port, the one that src/desired/desired.ts gives it to.
 */
export const gatePlanner: Planner<Facts, ChangedKeys> = {
  name: 'gate',
  kind: 'Gate',
  *owners(facts) {
    yield listsOwner;
    for (const reason of reasons)
      for (const bucket of facts.gated[reason].keys()) yield gateFilterName(reason, bucket);
  },
  touched(facts, changed) {
    if (changed.config || changed.uplink || changed.complete) return 'all';
    if (hasChanged(changed, 'zone', facts.config.get('config')?.nodeName ?? '')) return 'all';
    const touched = new Set<string>();
    if (changed.gated) touched.add(listsOwner);
    // Those that share an address with one that changed: a frontend may have become theirs.
    for (const key of [...(changed.services ?? []), ...servicesAt(facts.outside, changed.outside)])
      for (const reason of reasons) touched.add(gateFilterName(reason, gateBucket(key)));
    // Endpoints decide about policy Local only.
    for (const key of changed.slicesOf ?? [])
      if (facts.gated.local.get(gateBucket(key))?.has(key))
        touched.add(gateFilterName('local', gateBucket(key)));
    return touched;
  },
  plan(facts, owner) {
    if (owner === listsOwner) return { rows: planLists(facts), problems: [] };
    for (const reason of reasons)
      for (const [bucket, keys] of facts.gated[reason])
        if (gateFilterName(reason, bucket) === owner)
          return { rows: { filters: [planFilter(facts, owner, reason, keys)] }, problems: [] };
    return emptyPlan;
  },
};

const reasons: readonly GateReason[] = ['ranges', 'local'];
const listsOwner = 'lists';
/** Until these are complete, nobody knows who is let in. */
const known = ['services', 'slices'] as const;

/** The Service on whose behalf a filter drops what is sent to a frontend, and why; for people. */
export function gatedBy(
  facts: Facts,
  filter: string,
  to: Destination,
): { readonly service: string; readonly why: string } | undefined {
  for (const reason of reasons)
    for (const [bucket, keys] of facts.gated[reason]) {
      if (gateFilterName(reason, bucket) !== filter) continue;
      const service = [...keys].find(
        (key) => answersAt(facts, facts.services.get(key), to) && isOwn(facts, key, to),
      );
      if (service !== undefined) return { service, why: whyTexts[reason] };
    }
  return undefined;
}

type Destination = Pick<Frontend, 'vip' | 'port'> & { readonly protocol: string };

const whyTexts: { readonly [R in GateReason]: string } = {
  ranges: 'loadBalancerSourceRanges',
  local: 'externalTrafficPolicy Local without an endpoint on this node',
};

function answersAt(facts: Facts, service: Service | undefined, to: Destination): boolean {
  return (service?.ports ?? []).some(
    (port) =>
      service !== undefined &&
      port.protocol === to.protocol &&
      frontendsOfPort(facts, service, port, familyOf(to.vip)).some(
        (one) => one.vip === to.vip && one.port === to.port,
      ),
  );
}

/** Whether no Service that goes before this one has the frontend, too. */
function isOwn(facts: Facts, key: string, to: Destination): boolean {
  const places = [to.vip, nodePortPlace(to.port)];
  const before = places
    .flatMap((place) => [...(facts.outside.get(place) ?? [])])
    .filter((other) => compareText(other, key) < 0);
  return !before.some((other) => answersAt(facts, facts.services.get(other), to));
}

function permit(
  source: Prefix,
  destination: Prefix,
  protocol: FilterRule['protocol'],
  ports?: readonly [number, number],
): FilterRule {
  return {
    action: 'permit',
    source,
    destination,
    protocol,
    ...(ports === undefined ? {} : { ports }),
  };
}

function planFilter(
  facts: Facts,
  name: string,
  reason: GateReason,
  keys: ReadonlySet<string>,
): FilterRow {
  const rules: FilterRule[] = [];
  for (const key of [...keys].sort()) {
    const service = facts.services.get(key);
    if (service === undefined) continue;
    for (const port of service.ports)
      for (const family of [4, 6] as const) {
        const { protocol } = port;
        const frontends = frontendsOfPort(facts, service, port, family).filter(
          ({ kind, vip, port: number }) =>
            kind !== 'ClusterIP' && isOwn(facts, key, { vip, port: number, protocol }),
        );
        if (frontends.length === 0) continue;
        const forbidden =
          reason === 'ranges'
            ? rangeRules(facts, service, family, frontends)
            : localRules(frontends, backendsOfPort(facts, service, port, family));
        for (const rule of forbidden) rules.push(withProtocol(rule, protocol, reason));
      }
  }
  // A filter without rules denies everything.
  return { name, rules: rules.length === 0 ? permitNothing : rules };
}

/**
 * VPP's filters see no ports of SCTP, so a rule with one matches nothing. Ranges are asked of all
 * SCTP to the address, which may let in less and never more.
 */
function withProtocol(
  { ports, ...rule }: FilterRule,
  protocol: FilterRule['protocol'],
  reason: GateReason,
): FilterRule {
  const isBlind = protocol === 'SCTP' && reason === 'ranges';
  return { ...rule, protocol, ...(ports === undefined || isBlind ? {} : { ports }) };
}

/** Matches no packet that could arrive: a source of all ones (RFC 919) to itself. */
const permitNothing: readonly FilterRule[] = [
  permit(prefix('255.255.255.255/32'), prefix('255.255.255.255/32'), 'any'),
];

/** The ranges, then nobody: for the addresses of the load balancer, never for others (KP-32). */
function rangeRules(
  facts: Facts,
  service: Service,
  family: 4 | 6,
  frontends: readonly Frontend[],
): FilterRule[] {
  const ranges = sourceRangesOf(facts, service, family);
  if (ranges === undefined) return [];
  return frontends
    .filter((frontend) => frontend.kind === 'LoadBalancer')
    .flatMap((frontend) => [
      ...ranges.map((range) => toFrontend(true, range, frontend)),
      toFrontend(false, everybody[family], frontend),
    ]);
}

/** Dropped, not refused, so that a load balancer's health check moves the traffic (KP-20). */
function localRules(
  frontends: readonly Frontend[],
  { cluster, local }: ReturnType<typeof backendsOfPort>,
): FilterRule[] {
  if (local.length > 0 || cluster.length === 0) return [];
  return frontends.map((frontend) =>
    toFrontend(false, everybody[familyOf(frontend.vip)], frontend),
  );
}

function toFrontend(allow: boolean, source: Prefix, { vip, port }: Frontend): FilterRule {
  return {
    action: allow ? 'permit' : 'deny',
    source,
    destination: hostPrefix(vip),
    protocol: 'any',
    ports: [port, port],
  };
}

/** Which interfaces have which filters; those of pods are src/policy's. */
function planLists(facts: Facts): { filters?: FilterRow[]; filterLists?: FilterListRow[] } {
  if (!facts.uplink.has(uplinkName)) return {};
  const isKnown = known.every((kind) => facts.complete.has(kind));
  const ranges = isKnown ? gateFilterNames(facts.gated, 'ranges') : [];
  const local = isKnown ? gateFilterNames(facts.gated, 'local') : [];
  const filterLists: FilterListRow[] = [
    {
      interface: uplinkName,
      // Policy Local only forbids, and so comes first: ranges permit, and the first match decides.
      input: [edgeName, ...local, ...ranges, permitAll.name],
      output: [],
    },
  ];
  if (ranges.length > 0)
    filterLists.push({ interface: hostName, input: [...ranges, permitAll.name], output: [] });
  return { filters: [permitAll], filterLists };
}
