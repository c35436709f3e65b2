import { parseCommunity } from '../core/community.ts';
import {
  compareText,
  familyOf,
  hostPrefix,
  type Ip,
  type Prefix,
  prefixContains,
} from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Problem } from '../core/problem.ts';
import { pathRow } from '../desired/bgp.ts';
import { peerMarker, servicesMarker } from '../desired/markers.ts';
import { uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { BgpPathRow } from '../desired/rows.ts';
import { annotationReader, parseList, parseNumber } from '../model/annotations.ts';
import { asnOf } from '../model/bgp-annotations.ts';
import type { AdvertiseConfig } from '../model/bgp-config.ts';
import type { Config } from '../model/config.ts';
import { usableEndpoints } from '../model/endpoints.ts';
import type { Service } from '../model/facts.ts';
import { externalIps, loadBalancerIps } from '../model/frontends.ts';
import { hasLabels } from '../model/labels.ts';
import { hasChanged } from '../model/node-parts.ts';
import { servicesAt } from '../model/outside.ts';
import { endpointsOfPort } from '../model/service-endpoints.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { externalPeers } from './external-peers.ts';
import { poolOf } from './pool-of.ts';

/** Addresses of Services become paths that this node announces. One owner is one Service. */
export const advertisementPlanner: Planner<Facts, ChangedKeys> = {
  name: 'advertisements',
  kind: 'Service',
  owners: (facts) => facts.services.keys(),
  touched(facts, changed) {
    if (changed.config || changed.uplink) return 'all';
    const own = facts.config.get('config')?.nodeName ?? '';
    if (hasChanged(changed, 'role', own) || hasChanged(changed, 'neighbours', own)) return 'all';
    return new Set([
      ...(changed.services ?? []),
      ...(changed.slicesOf ?? []),
      ...(changed.heldDown ?? []),
      // Whether an outside address is that of another node.
      ...servicesAt(facts.outside, changed.nodeOf),
    ]);
  },
  plan(facts, owner) {
    const service = facts.services.get(owner);
    const config = facts.config.get('config');
    if (service === undefined || config === undefined || !config.bgp.enabled) return emptyPlan;
    if (hasNoWish(config.bgp.advertise, service)) return emptyPlan;
    const read = readWishes(facts, config, service);
    if (read.kinds.size === 0 && read.problems.length === 0) return emptyPlan;
    const rows = decide(facts, config, service, read).flatMap(({ row }) => row ?? []);
    return { rows: { bgpPaths: distinct(rows) }, problems: read.problems };
  },
};

export type AddressKind = 'ClusterIP' | 'ExternalIP' | 'LoadBalancer';

/** Whether one address of a Service is announced by this node, and why or why not. */
export interface Advertisement {
  readonly kind: AddressKind;
  readonly vip: Ip;
  /** Absent: not announced. Of an aggregate: the aggregate's. */
  readonly row: BgpPathRow | undefined;
  /** One clause. */
  readonly reason: string;
}

/** For `kvr explain`: the decisions about all addresses of a Service. */
export function explainAdvertisements(facts: Facts, service: Service): readonly Advertisement[] {
  const config = facts.config.get('config');
  if (config === undefined || !config.bgp.enabled) return [];
  return decide(facts, config, service, readWishes(facts, config, service));
}

/** What configuration, pool and annotations say of a Service's routes. */
interface Wishes {
  /** The kinds of addresses that are wanted, each with who wants it. */
  readonly kinds: ReadonlyMap<AddressKind, string>;
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Undefined: every neighbour. */
  readonly peers: readonly string[] | undefined;
  readonly problems: readonly Problem[];
}

const kubeRouter = 'kube-router.io/service.advertise.';
const ours = 'kube-vpp-router.io/bgp.';
const flags: readonly (readonly [AddressKind, keyof AdvertiseConfig, string])[] = [
  ['ClusterIP', 'clusterIps', 'clusterip'],
  ['ExternalIP', 'externalIps', 'externalip'],
  ['LoadBalancer', 'loadBalancerIps', 'loadbalancerip'],
];

/** Nearly every Service of most clusters. */
function hasNoWish(advertise: AdvertiseConfig, { annotations }: Service): boolean {
  if (flags.some(([, flag]) => advertise[flag] === true)) return false;
  for (const name in annotations)
    if (name.startsWith(kubeRouter) || name.startsWith(ours)) return false;
  return true;
}

function readWishes(facts: Facts, config: Config, service: Service): Wishes {
  const problems: Problem[] = [];
  const { annotations } = service;
  const read = annotationReader(`Service/${service.key}`, annotations, problems);
  const { advertise } = config.bgp;
  const selected = hasLabels(service.labels, advertise.serviceSelector);
  const kinds = new Map<AddressKind, string>();
  for (const [kind, flag, name] of flags) {
    const said = read(`${kubeRouter}${name}`, parseFlag);
    if (said === true) kinds.set(kind, `the annotation ${kubeRouter}${name}`);
    else if (said === undefined && advertise[flag] === true && selected)
      kinds.set(kind, `bgp.advertise.${flag}`);
  }
  const of = poolOf(config, service);
  const pool = of?.bgp;
  const own = read(`${ours}communities`, (text) => parseList(text, parseCommunity)) ?? [];
  const named = read(`${ours}peers`, (text) => parseList(text, parsed<string>));
  const peers = named ?? (pool?.peers.length ? pool.peers : undefined);
  // Whose word it is, and who has to mend it.
  const origin =
    named === undefined
      ? { object: 'config', field: `loadBalancer.pools[${of?.name}].bgp.peers` }
      : { object: `Service/${service.key}`, field: `metadata.annotations[${ours}peers]` };
  return {
    kinds,
    communities: [...advertise.communities, ...(pool?.communities ?? []), ...own],
    localPreference:
      read(`${ours}local-preference`, parseU32) ??
      pool?.localPreference ??
      advertise.localPreference,
    med: read(`${ours}med`, parseU32) ?? pool?.med ?? advertise.med,
    peers: peers === undefined ? undefined : knownPeers(facts, config, peers, origin, problems),
    problems,
  };
}

function parseFlag(text: string): Parsed<boolean> {
  if (text === 'true' || text === 'false') return parsed(text === 'true');
  return rejected(`${JSON.stringify(text)} is neither true nor false`);
}

function parseU32(text: string): Parsed<number> {
  return parseNumber(text, 0, 0xffffffff);
}

/** A name that nobody has is a problem only when it is in no configuration at all. */
function knownPeers(
  facts: Facts,
  config: Config,
  names: readonly string[],
  origin: Pick<Problem, 'object' | 'field'>,
  problems: Problem[],
): readonly string[] {
  const mine = externalPeers(config, facts.nodes.get(config.nodeName)).map(
    (one) => one.config.name,
  );
  for (const name of names)
    if (!mine.includes(name) && !config.bgp.peers.some((peer) => peer.name === name))
      problems.push({
        ...origin,
        reason: `there is no neighbour ${JSON.stringify(name)} in bgp.peers`,
      });
  return names.filter((name) => mine.includes(name));
}

function decide(facts: Facts, config: Config, service: Service, wishes: Wishes): Advertisement[] {
  const uplink = facts.uplink.get(uplinkName);
  const own = uplink?.addresses.map((address) => address.ip) ?? [];
  const usable = usableByFamily(facts, service, config.nodeName);
  return addressesOf(facts, service).map(([kind, vip]) => {
    const family = familyOf(vip);
    const nextHop = own.find((address) => familyOf(address) === family);
    const no = (reason: string): Advertisement => ({ kind, vip, row: undefined, reason });
    const wantedBy = wishes.kinds.get(kind);
    if (wantedBy === undefined) return no(`neither flag nor annotation announces its ${kind}`);
    if (nextHop === undefined) return no(`this node has no IPv${family} address`);
    if (own.includes(vip) || facts.nodeOf.has(vip)) return no("it is a node's own address");
    const { all, local } = usable[family];
    const policy = kind === 'ClusterIP' ? 'internalTrafficPolicy' : 'externalTrafficPolicy';
    if (service[policy] === 'Local' && local === 0)
      return no(`${policy} is Local and no usable endpoint is on this node`);
    if (config.bgp.advertise.needEndpoints && all === 0) return no('no endpoint is usable');
    if (facts.heldDown.has(service.key)) return no('held down: it was withdrawn too often');
    if (wishes.peers?.length === 0) return no('none of the neighbours that it names is here');
    const row = rowOf(facts, config, wishes, { vip, nextHop, local });
    const inside = row.prefix === hostPrefix(vip) ? '' : `, inside of ${row.prefix}`;
    return { kind, vip, row, reason: `announced by ${wantedBy}${inside}` };
  });
}

function addressesOf(facts: Facts, service: Service): (readonly [AddressKind, Ip])[] {
  if (service.type === 'ExternalName') return [];
  return [
    ...service.clusterIps.map((vip) => ['ClusterIP', vip] as const),
    ...loadBalancerIps(facts, service).map((vip) => ['LoadBalancer', vip] as const),
    ...externalIps(facts, service).map((vip) => ['ExternalIP', vip] as const),
  ];
}

interface Usable {
  readonly all: number;
  readonly local: number;
}

/** The endpoints that take traffic, of the port that has most of them. */
function usableByFamily(
  facts: Facts,
  service: Service,
  node: string,
): Readonly<Record<4 | 6, Usable>> {
  const count = (family: 4 | 6): Usable => {
    let [all, local] = [0, 0];
    for (const port of service.ports) {
      const { endpoints } = endpointsOfPort(facts, service, port, family);
      all = Math.max(all, usableEndpoints(endpoints).length);
      const here = endpoints.filter((endpoint) => endpoint.node === node);
      local = Math.max(local, usableEndpoints(here).length);
    }
    return { all, local };
  };
  return { 4: count(4), 6: count(6) };
}

function rowOf(
  facts: Facts,
  config: Config,
  wishes: Wishes,
  { vip, nextHop, local }: { readonly vip: Ip; readonly nextHop: Ip; readonly local: number },
): BgpPathRow {
  const { advertise } = config.bgp;
  const aggregate = advertise.aggregates.find((prefix) => prefixContains(prefix, vip));
  if (aggregate !== undefined && wishes.peers === undefined)
    return aggregateRow(advertise, aggregate, nextHop);
  const markers = wishes.peers?.map(peerMarker) ?? [servicesMarker];
  const weight = linkBandwidth(facts, config, local);
  return pathRow(hostPrefix(vip), nextHop, {
    communities: sorted([...wishes.communities, ...markers, ...weight]),
    localPreference: wishes.localPreference,
    med: wishes.med,
  });
}

/** The same for every Service inside, so that they share one path. */
function aggregateRow(advertise: AdvertiseConfig, prefix: Prefix, nextHop: Ip): BgpPathRow {
  return pathRow(prefix, nextHop, {
    communities: sorted([...advertise.communities, servicesMarker]),
    localPreference: advertise.localPreference,
    med: advertise.med,
  });
}

/** The type has room for an AS of two bytes; AS_TRANS stands for a larger one (RFC 6793). */
const asTrans = 23_456;

function linkBandwidth(facts: Facts, config: Config, local: number): string[] {
  const each = config.bgp.advertise.linkBandwidth;
  if (each === 0 || local === 0) return [];
  const asn = asnOf(config, facts.nodes.get(config.nodeName));
  return [`lb:${asn > 0xffff ? asTrans : asn}:${Math.min(each * local, 0xffffffff)}`];
}

function sorted(communities: readonly string[]): string[] {
  return [...new Set(communities)].toSorted(compareText);
}

/** An address may be of two kinds; the first counts. */
function distinct(rows: readonly BgpPathRow[]): BgpPathRow[] {
  return [...new Map([...rows].reverse().map((row) => [row.prefix, row])).values()];
}
