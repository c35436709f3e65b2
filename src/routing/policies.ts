import { parseRange, prefixesOf } from '../core/address-range.ts';
import { communityKind, gracefulShutdown } from '../core/community.ts';
import {
  addressBits,
  compareText,
  familyOf,
  type Ip,
  type Prefix,
  prefix,
  prefixContains,
  prefixLength,
} from '../core/ip.ts';
import { everyMarker, peerMarker, podsMarker, servicesMarker } from '../desired/markers.ts';
import type { BgpPolicyRow, BgpStatement } from '../desired/rows.ts';
import { asnOf, nodeBgp } from '../model/bgp-annotations.ts';
import type { BgpPeerConfig, ImportConfig, PrefixFilter } from '../model/bgp-config.ts';
import type { Config } from '../model/config.ts';
import type { Node } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { type DeparturePhase, departurePhase } from './departure.ts';
import type { ExternalPeer } from './external-peers.ts';

/**
 * What passes between GoBGP's table and its neighbours.
 *
 * Out: to a neighbour outside of the mesh our own paths, by their marks; to the mesh the prefixes
 * of our pods, and from a route reflector what other nodes told. A node is no transit for others.
 * In: everything from the mesh, and from others what the configuration lets in, but never what
 * is ours.
 */
export function planPolicies(
  facts: Facts,
  config: Config,
  self: Node,
  peers: readonly ExternalPeer[],
): readonly BgpPolicyRow[] {
  const configs = peers.map((peer) => peer.config);
  const mesh = meshInside(facts, config, self, configs);
  return [
    {
      direction: 'export',
      otherwise: 'reject',
      statements: exportStatements(
        { config, self, mesh },
        configs,
        departurePhase(facts, config, self),
      ),
    },
    {
      direction: 'import',
      otherwise: 'accept',
      statements: importStatements({ config, self, mesh }, configs),
    },
  ];
}

type Target = Ip | Prefix;

interface Site {
  readonly config: Config;
  readonly self: Node;
  /** Nodes of the mesh that a range of dynamic neighbours would take for its own. */
  readonly mesh: readonly Ip[];
}

function meshInside(
  facts: Facts,
  config: Config,
  self: Node,
  peers: readonly BgpPeerConfig[],
): readonly Ip[] {
  const ranges = peers.flatMap(({ range }) => (range === '' ? [] : [range]));
  if (ranges.length === 0 || !config.bgp.nodeMesh) return [];
  const nodes = [...facts.nodeOf].filter(([, node]) => node !== self.key).map(([ip]) => ip);
  return nodes
    .filter((ip) => ranges.some((range) => prefixContains(range, ip)))
    .toSorted(compareText);
}

function targetOf(peer: BgpPeerConfig): Target[] {
  const target = peer.address === '' ? peer.range : peer.address;
  return target === '' ? [] : [target];
}

function exportStatements(
  { config, self, mesh }: Site,
  peers: readonly BgpPeerConfig[],
  phase: DeparturePhase,
): BgpStatement[] {
  const toNodes = statementsToNodes(self);
  // Before the ranges around them, which would speak for them otherwise.
  const first = mesh.length === 0 ? [] : toNodes.map((one) => ({ ...one, ...toMesh(one, mesh) }));
  const nothingElse = { name: 'nothing else to nodes in ranges', peers: mesh, accept: false };
  return [
    ...first,
    ...(mesh.length === 0 ? [] : [nothingElse]),
    ...peers.flatMap((peer) => exportsTo(peer, config, self, phase)),
    ...toNodes,
  ];
}

function statementsToNodes(self: Node): BgpStatement[] {
  const pods: BgpStatement = {
    name: 'pods to nodes',
    communities: [podsMarker],
    routeType: 'local',
    accept: true,
    removeCommunities: [everyMarker],
  };
  if (nodeBgp(self).reflector === undefined) return [pods];
  return [pods, { name: 'reflected', routeType: 'internal', accept: true }];
}

function toMesh(statement: BgpStatement, mesh: readonly Ip[]) {
  return { name: `${statement.name}, in ranges`, peers: mesh };
}

function exportsTo(
  peer: BgpPeerConfig,
  config: Config,
  self: Node,
  phase: DeparturePhase,
): BgpStatement[] {
  const targets = targetOf(peer);
  if (targets.length === 0) return [];
  const { advertise } = peer;
  const own = nodeBgp(self);
  const added = [...own.communities, ...advertise.communities];
  const prepend = prependOf(peer, config, self);
  const common = {
    peers: targets,
    routeType: 'local' as const,
    accept: true,
    removeCommunities: [everyMarker],
    ...(advertise.med === undefined ? {} : { med: advertise.med }),
    ...(prepend === undefined ? {} : { prepend }),
  };
  const preference = advertise.localPreference;
  const withAttributes = (communities: readonly string[], localPreference: number | undefined) => ({
    ...(communities.length === 0 ? {} : { addCommunities: unique(communities) }),
    ...(localPreference === undefined ? {} : { localPreference }),
  });
  const statements: BgpStatement[] = [];
  if (advertise.services && phase !== 'gone') {
    const leaving = phase === 'graceful';
    const services: BgpStatement = {
      name: `services to ${peer.name}`,
      communities: [servicesMarker, peerMarker(peer.name)].toSorted(),
      ...common,
      // RFC 8326 section 4: with the community and, inside of an AS, the least preference.
      ...withAttributes(
        leaving ? [...added, gracefulShutdown] : added,
        leaving ? leastPreference : preference,
      ),
    };
    statements.push(...withNextHop(peer, services));
  }
  if (advertise.podCidrs && config.bgp.advertise.podCidrs) {
    const pods: BgpStatement = {
      name: `pods to ${peer.name}`,
      communities: [podsMarker],
      ...common,
      ...withAttributes(added, preference),
    };
    statements.push(...withNextHop(peer, pods));
  }
  statements.push({ name: `nothing else to ${peer.name}`, peers: targets, accept: false });
  return statements;
}

/** All prefixes of a family. */
const allOf: { readonly [F in 4 | 6]: PrefixFilter } = {
  4: { prefix: prefix('0.0.0.0/0'), min: 0, max: 32 },
  6: { prefix: prefix('::/0'), min: 0, max: 128 },
};

/**
 * Another next hop, for the paths of its own family: one of the other would lead nowhere. `self`
 * is our end of the session, so of the family of the neighbour's address.
 */
function withNextHop(peer: BgpPeerConfig, statement: BgpStatement): BgpStatement[] {
  const { nextHop } = peer.advertise;
  if (nextHop === '') return [statement];
  const end = nextHop === 'self' ? targetOf(peer)[0] : nextHop;
  if (end === undefined) return [statement];
  const name = `${statement.name} by ${nextHop}`;
  return [{ ...statement, name, prefixes: [allOf[familyOf(end)]], nextHop }, statement];
}

function prependOf({ advertise }: BgpPeerConfig, config: Config, self: Node) {
  if (advertise.prepend === 0) return nodeBgp(self).prepend;
  const asn = advertise.prependAsn === 0 ? asnOf(config, self) : advertise.prependAsn;
  return { asn, times: advertise.prepend };
}

function importStatements(
  { config, self, mesh }: Site,
  peers: readonly BgpPeerConfig[],
): BgpStatement[] {
  const mine = nodeBgp(self).importReject.map(within);
  const statements = [
    ...byFamily(oursOf(config, self), { name: 'ours', accept: false }),
    ...byFamily(mine, { name: 'rejected by the node', accept: false }),
  ];
  if (mesh.length > 0) statements.push({ name: 'from nodes in ranges', peers: mesh, accept: true });
  for (const [rules, targets] of groupByRules(config, peers))
    statements.push(...importsFrom(rules, targets));
  return statements;
}

/** Neighbours with the same rules share statements. */
function groupByRules(
  config: Config,
  peers: readonly BgpPeerConfig[],
): readonly (readonly [ImportConfig, Target[]])[] {
  const [addresses, ranges] = [
    new Map<ImportConfig, Target[]>(),
    new Map<ImportConfig, Target[]>(),
  ];
  for (const peer of peers) {
    const groups = peer.range === '' ? addresses : ranges;
    const rules = peer.import ?? config.bgp.import;
    const group = groups.get(rules);
    if (group === undefined) groups.set(rules, targetOf(peer));
    else group.push(...targetOf(peer));
  }
  // Who has an address is judged before the range around it.
  return [...addresses, ...ranges];
}

/** The default routes, and nothing else. */
const defaultRoutes: readonly PrefixFilter[] = [
  { prefix: prefix('0.0.0.0/0'), min: 0, max: 0 },
  { prefix: prefix('::/0'), min: 0, max: 0 },
];

function importsFrom(rules: ImportConfig, peers: readonly Target[]): BgpStatement[] {
  const from = peers.toSorted(compareText);
  const preference =
    rules.localPreference === undefined ? {} : { localPreference: rules.localPreference };
  const label = from.join(' ');
  const refused = (what: string) => ({
    name: `${what} from ${label}`,
    peers: from,
    accept: false,
  });
  const accepted = (what: string) => ({
    name: `${what} from ${label}`,
    peers: from,
    accept: true,
    ...preference,
  });
  return [
    ...(rules.defaultRoute ? [] : byFamily(defaultRoutes, refused('default route'))),
    ...byFamily(rules.reject, refused('rejected prefixes')),
    ...byKind(rules.rejectCommunities, refused('rejected communities')),
    ...byFamily(rules.accept, accepted('accepted prefixes')),
    ...byKind(rules.acceptCommunities, accepted('accepted communities')),
    rules.default === 'accept' ? accepted('all else') : refused('all else'),
  ];
}

/** A set of GoBGP holds prefixes of one family. */
function byFamily(filters: readonly PrefixFilter[], statement: BgpStatement): BgpStatement[] {
  return ([4, 6] as const).flatMap((family) => {
    const prefixes = filters.filter((filter) => familyOf(filter.prefix) === family);
    if (prefixes.length === 0) return [];
    return [{ ...statement, name: `${statement.name}, IPv${family}`, prefixes }];
  });
}

/** A set of GoBGP holds communities of one kind. */
function byKind(communities: readonly string[], statement: BgpStatement): BgpStatement[] {
  return (['standard', 'large', 'extended'] as const).flatMap((kind) => {
    const some = communities.filter((community) => communityKind(community) === kind);
    if (some.length === 0) return [];
    return [{ ...statement, name: `${statement.name}, ${kind}`, communities: unique(some) }];
  });
}

/** What nobody else may tell us: our Services' addresses and our own pods. */
function oursOf(config: Config, self: Node): PrefixFilter[] {
  const pools = config.loadBalancer.pools.flatMap((pool) =>
    pool.addresses.flatMap((text) => {
      const range = parseRange(text);
      return range.ok ? prefixesOf(range.value) : [];
    }),
  );
  const { cidrs, externalIpRanges } = config.services;
  const all = [...cidrs, ...externalIpRanges, ...self.podCidrs, ...pools];
  return [...new Set(all)].toSorted(compareText).map(within);
}

/** GoBGP takes a preference of 0 for none. */
const leastPreference = 1;

/** A prefix and all inside. */
function within(of: Prefix): PrefixFilter {
  return { prefix: of, min: prefixLength(of), max: addressBits(familyOf(of)) };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].toSorted(compareText);
}
