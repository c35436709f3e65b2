import { whyNotBest } from '../bgp/best-path.ts';
import type { GobgpClient } from '../bgp/client.ts';
import type { Candidate } from '../bgp/lookup.ts';
import { realClock } from '../core/clock.ts';
import type {
  AnnouncedServiceView,
  CandidateView,
  NextHopView,
  RouteExplanation,
  RouteView,
} from '../core/control-routing.ts';
import { errorText } from '../core/error-text.ts';
import {
  compareText,
  hostPrefix,
  type Ip,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../core/ip.ts';
import { evaluatePolicy } from '../desired/bgp-policy.ts';
import { uplinkName } from '../desired/names.ts';
import type { BgpPeerRow, BgpServerRow } from '../desired/rows.ts';
import { formatPath } from '../desired/tables.ts';
import type { Service } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { explainAdvertisements } from '../routing/advertise.ts';
import { learnedRoutePlanner } from '../routing/learned.ts';
import type { Loop } from './loop.ts';
import {
  desiredRows,
  hearersOf,
  neighbourNames,
  ownerText,
  policyOf,
  routeView,
} from './routing-views.ts';
import { errorsOf } from './row-status.ts';

/**
 * `kvr explain route`: which route packets to an address take and why, which paths GoBGP knows
 * and why they are not used, and who hears of a Service's address. Decides nothing: it asks the
 * rows, the planners and the policies.
 */
export interface RouteParts {
  readonly facts: Facts;
  readonly loop: Pick<Loop, 'desired' | 'reconciler'>;
  /** Undefined while BGP is off. */
  readonly lookup: GobgpClient['lookup'] | undefined;
}

/** Undefined when the text is neither an address nor a prefix. */
export async function explainRoute(
  parts: RouteParts,
  asked: string,
  signal: AbortSignal,
): Promise<RouteExplanation | undefined> {
  const address = parseIp(asked);
  const prefix = address === undefined ? parsePrefix(asked) : hostPrefix(address);
  if (prefix === undefined) return undefined;
  const { known, notes } = await askGobgp(parts, prefix, signal);
  // Nothing is awaited from here on, so that all of it is of one moment.
  const key = longestMatch(parts.loop, prefix);
  const names = neighbourNames(parts.loop);
  const errors = errorsOf(parts.loop, 'routes');
  const route =
    key === undefined ? undefined : routeView(parts.facts, parts.loop, key, errors, names);
  const claims = key === undefined ? [] : parts.loop.desired.claimsOn('routes', key);
  const nextHops =
    key !== undefined && route?.origin === 'learned' ? nextHopViews(parts.facts, key) : [];
  return {
    asked,
    verdict: verdictOf(asked, route, nextHops),
    route,
    overruled: claims.slice(1).map((claim) => ownerText(parts.facts, claim)),
    nextHops,
    candidates: candidateViews(parts, known, names),
    services: servicesAt(parts, prefix),
    notes: [...notes, ...notesOf(parts.facts, key, route)],
  };
}

/** The longest prefix with a route that has all of `prefix` inside. */
export function longestMatch(loop: Pick<Loop, 'desired'>, prefix: Prefix): Prefix | undefined {
  const address = prefixAddress(prefix);
  for (let length = prefixLength(prefix); length >= 0; length--) {
    const key = prefixOf(address, length);
    if (loop.desired.row('routes', key) !== undefined) return key;
  }
  return undefined;
}

function verdictOf(
  asked: string,
  route: RouteView | undefined,
  nextHops: readonly NextHopView[],
): string {
  if (route === undefined) return `${asked}: this node has no route for it; VPP drops its packets`;
  const force = { done: 'in force', pending: 'not in force yet', failed: 'refused by VPP' };
  const ways = nextHops.map((one) => `${one.nextHop} by ${one.way}`).join(', ');
  const how = ways === '' ? route.paths.join(', ') : ways;
  return `${asked}: by ${route.prefix} of ${route.from.join(', ')}, ${how}; ${force[route.status]}`;
}

function notesOf(facts: Facts, key: string | undefined, route: RouteView | undefined): string[] {
  const learned = key === undefined ? undefined : facts.learnedRoutes.get(key);
  if (learned === undefined || route === undefined || route.origin === 'learned') return [];
  return [`BGP has a route for ${learned.prefix}, too; what this node itself wants is used`];
}

/** How each next hop of a learned route is reached: the planner is asked about it alone. */
function nextHopViews(facts: Facts, key: string): NextHopView[] {
  const learned = facts.learnedRoutes.get(key);
  if (learned === undefined) return [];
  return learned.nextHops.map((nextHop): NextHopView => {
    const alone = new Map([[key, { ...learned, nextHops: [nextHop] }]]);
    const plan = learnedRoutePlanner.plan({ ...facts, learnedRoutes: alone }, key);
    const path = plan.rows.routes?.[0]?.paths[0];
    const node = facts.nodeOf.get(nextHop) ?? '';
    const base = { nextHop, node, path: path === undefined ? '' : formatPath(path) };
    if (path?.kind !== 'forward')
      return { ...base, way: 'none', reason: plan.problems[0]?.reason ?? 'the route is not used' };
    if (path.interface !== uplinkName)
      return { ...base, way: 'tunnel', reason: tunnelReason(facts) };
    if (path.nextHop === nextHop)
      return { ...base, way: 'direct', reason: 'it is in a subnet of this node' };
    const reason = `it is in no subnet of this node and no node's; ${path.nextHop} is the gateway`;
    const untunnelled = `it is in no subnet of this node, and overlay.mode is none`;
    return { ...base, way: 'gateway', reason: node === '' ? reason : untunnelled };
  });
}

function tunnelReason(facts: Facts): string {
  const mode = facts.config.get('config')?.overlay.mode;
  return mode === 'full'
    ? 'it is a node, and overlay.mode is full'
    : `it is a node in no subnet of this node, and overlay.mode is ${mode}`;
}

interface Known {
  readonly table: readonly Candidate[];
  /** What neighbours say, whether or not it is used. */
  readonly told: readonly Candidate[];
}

/** So many neighbours are asked for what they say; those outside of the mesh come first. */
const askedMax = 64;
const askMaxMs = 3_000;

async function askGobgp(
  { loop, lookup }: RouteParts,
  prefix: Prefix,
  signal: AbortSignal,
): Promise<{ readonly known: Known; readonly notes: readonly string[] }> {
  const none = { table: [], told: [] };
  if (lookup === undefined) return { known: none, notes: ['BGP is off'] };
  const stop = new AbortController();
  const deadline = realClock.after(askMaxMs, () => stop.abort(new Error('GoBGP is slow')));
  const both = AbortSignal.any([signal, stop.signal]);
  const peers = desiredRows<BgpPeerRow>(loop, 'bgpPeers')
    .flatMap(({ address, description }) => {
      const peer = parseIp(address);
      return peer === undefined ? [] : [{ peer, node: description.startsWith('node/') }];
    })
    .toSorted((a, b) => Number(a.node) - Number(b.node) || compareText(a.peer, b.peer));
  try {
    const table = await lookup(prefix, { kind: 'best' }, both);
    const told = await Promise.allSettled(
      peers.slice(0, askedMax).map(({ peer }) => lookup(prefix, { kind: 'from', peer }, both)),
    );
    const silent = told.filter((one) => one.status === 'rejected').length;
    const unasked = peers.length - Math.min(peers.length, askedMax) + silent;
    const note = `${unasked} of ${peers.length} neighbours were not asked for what they say`;
    return {
      known: { table, told: told.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])) },
      notes: unasked > 0 ? [note] : [],
    };
  } catch (error) {
    return { known: none, notes: [`GoBGP does not answer: ${errorText(error)}`] };
  } finally {
    deadline.cancel();
  }
}

/** The paths of the table with their order explained, then those that did not get into it. */
export function candidateViews(
  parts: Pick<RouteParts, 'loop'>,
  { table, told }: Known,
  names: ReadonlyMap<string, string>,
): CandidateView[] {
  const peers = new Map<string, BgpPeerRow>(
    desiredRows<BgpPeerRow>(parts.loop, 'bgpPeers').map((row) => [row.address, row]),
  );
  const server = parts.loop.desired.row('bgpServer', 'server') as BgpServerRow | undefined;
  const isExternal = ({ neighbor }: Candidate) =>
    neighbor !== undefined && peers.get(neighbor)?.asn !== server?.asn;
  const best = new Map<Prefix, Candidate>();
  for (const one of table) if (!best.has(one.prefix)) best.set(one.prefix, one);
  const place = ({ prefix, neighbor }: Candidate) => `${prefix} ${neighbor}`;
  const used = new Set(table.map(place));
  const views = table.map((one) => {
    const first = best.get(one.prefix) ?? one;
    if (first === one) return candidateView(one, names, 'best', '');
    const why = whyNotBest(first, one, isExternal);
    return why === undefined
      ? candidateView(one, names, 'equal', 'as good as the best: both are used')
      : candidateView(one, names, 'worse', why);
  });
  const rejected = told
    .filter((one) => !used.has(place(one)))
    .map((one) => {
      const peer = peers.get(one.neighbor ?? '');
      const reason = rejection(parts.loop, one, { peer, server, external: isExternal(one) });
      return candidateView(one, names, 'rejected', reason);
    });
  return [...views, ...rejected].toSorted(
    (a, b) => lengthOf(b.prefix) - lengthOf(a.prefix) || order[a.verdict] - order[b.verdict],
  );
}

const order = { best: 0, equal: 1, worse: 2, rejected: 3 } as const;

function lengthOf(prefix: string): number {
  return prefixLength(prefix as Prefix);
}

/** Why what a neighbour says did not get into the table. */
function rejection(
  loop: RouteParts['loop'],
  { prefix, nextHop, communities, localPreference, med, asPath }: Candidate,
  from: {
    readonly peer: BgpPeerRow | undefined;
    readonly server: BgpServerRow | undefined;
    readonly external: boolean;
  },
): string {
  const { peer, server, external } = from;
  if (server !== undefined && asPath.includes(String(server.asn)))
    return 'our own AS is in its AS path';
  const policy = policyOf(loop, 'import');
  if (policy === undefined || peer === undefined || nextHop === undefined)
    return 'GoBGP does not use it';
  const routeType = external ? 'external' : 'internal';
  const path = { prefix, nextHop, communities, localPreference, med, routeType } as const;
  const verdict = evaluatePolicy(policy, { ...path, asPath: asPath.map(Number) }, peer);
  if (verdict.accept) return 'GoBGP does not use it, though the import policy lets it in';
  return `the import policy rejects it: ${verdict.statement ?? 'by default'} (${verdict.because})`;
}

function candidateView(
  one: Candidate,
  names: ReadonlyMap<string, string>,
  verdict: CandidateView['verdict'],
  reason: string,
): CandidateView {
  const { prefix, nextHop, neighbor, communities, localPreference, med, asPath } = one;
  const ageSeconds = Math.max(0, Math.round(realClock.now() / 1000 - one.sinceSeconds));
  return {
    prefix,
    neighbor: neighbor ?? '',
    peer: neighbor === undefined ? 'this node' : (names.get(neighbor) ?? neighbor),
    nextHop: nextHop ?? '',
    asPath,
    origin: one.origin,
    localPreference,
    med,
    communities,
    ageSeconds,
    stale: one.stale,
    verdict,
    reason,
  };
}

/** The Services that have an address, and what this node says of it to whom. */
function servicesAt({ facts, loop }: RouteParts, prefix: Prefix): AnnouncedServiceView[] {
  const address = prefixAddress(prefix);
  if (hostPrefix(address) !== prefix) return [];
  const hearers = hearersOf(loop);
  return [...facts.services.values()]
    .filter((service) => hasAddress(service, address))
    .flatMap((service) =>
      explainAdvertisements(facts, service)
        .filter(({ vip }) => vip === address)
        .map(({ kind, row, reason }) => {
          const hearings = row === undefined ? [] : hearers(row);
          return {
            service: service.key,
            kind,
            announced: row !== undefined,
            reason,
            prefix: row?.prefix ?? '',
            neighbours: hearings.flatMap(({ heard }) => heard ?? []),
            withheld: hearings
              .filter(({ heard }) => heard === undefined)
              .map((one) => ({ peer: one.peer.description, reason: one.reason })),
          };
        }),
    );
}

function hasAddress({ clusterIps, externalIps, ingress }: Service, address: Ip): boolean {
  return (
    clusterIps.includes(address) ||
    externalIps.includes(address) ||
    ingress.some((one) => one.ip === address)
  );
}
