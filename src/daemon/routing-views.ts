import type { PeerStatus } from '../bgp/target.ts';
import type {
  AdvertisementView,
  HearerView,
  PathView,
  PeerView,
  RouteView,
} from '../core/control-routing.ts';
import {
  familyOf,
  type Ip,
  type Prefix,
  parseIp,
  prefixAddress,
  prefixContains,
} from '../core/ip.ts';
import { evaluatePolicy, type PolicyPath, type PolicyVerdict } from '../desired/bgp-policy.ts';
import type { Claim } from '../desired/desired.ts';
import { isMarker, podsMarker } from '../desired/markers.ts';
import type { BgpPathRow, BgpPeerRow, BgpPolicyRow, RouteRow } from '../desired/rows.ts';
import { formatPath } from '../desired/tables.ts';
import type { Facts } from '../model/store.ts';
import type { Loop } from './loop.ts';
import { errorsOf, statusOf } from './row-status.ts';

/** Rows of routing, for people. Decides nothing: it asks the rows, and the policies about paths. */
type Looked = Pick<Loop, 'desired' | 'reconciler'>;

/** All rows that are desired in a table. */
export function desiredRows<Row>(
  loop: Looked,
  stage: 'bgpPeers' | 'bgpPaths' | 'bgpPolicies' | 'routes',
): Row[] {
  return [...loop.desired.keys(stage)].map((key) => loop.desired.row(stage, key) as Row);
}

/** The export or import policy; undefined while BGP is off. */
export function policyOf(
  loop: Looked,
  direction: BgpPolicyRow['direction'],
): BgpPolicyRow | undefined {
  return loop.desired.row('bgpPolicies', direction) as BgpPolicyRow | undefined;
}

/**
 * What is wanted and what GoBGP says of it, in one list: neighbours that are wanted first, those
 * that called from inside a range after it, those that nobody wants last.
 */
export function peerViews(
  rows: readonly BgpPeerRow[],
  errors: ReadonlyMap<string, string>,
  statuses: readonly PeerStatus[],
): PeerView[] {
  const left = new Map(statuses.map((status) => [status.address, status]));
  const named = new Set<string>(rows.map((row) => row.address));
  const views: PeerView[] = [];
  for (const row of rows) {
    const error = errors.get(row.address) ?? '';
    const callers = isRange(row.address)
      ? [...left.values()].filter(
          (status) => !named.has(status.address) && isCaller(row.address, status.address),
        )
      : [];
    const status = left.get(row.address);
    views.push(
      isRange(row.address)
        ? viewOf(row, { ...silent, state: error === '' ? 'waiting' : 'not configured' }, error)
        : viewOf(row, status ?? { ...silent, state: 'not configured' }, error),
      ...callers.map((caller) => ({
        ...viewOf(row, caller, ''),
        address: caller.address,
        kind: 'peer' as const,
      })),
    );
    left.delete(row.address);
    for (const caller of callers) left.delete(caller.address);
  }
  const unknown = [...left.values()].map((status) => ({
    ...status,
    kind: 'unknown' as const,
    passwordKey: '',
  }));
  return [...views, ...unknown];
}

const silent = {
  uptimeSeconds: 0,
  received: 0,
  accepted: 0,
  advertised: 0,
  flaps: 0,
  lastError: '',
};

function viewOf(
  row: BgpPeerRow,
  status: Omit<PeerView, 'address' | 'kind' | 'asn' | 'description' | 'passwordKey'>,
  error: string,
): PeerView {
  return {
    ...status,
    address: row.address,
    kind: isRange(row.address) ? 'range' : row.description.startsWith('node/') ? 'node' : 'peer',
    asn: row.asn,
    description: row.description,
    lastError: error === '' ? status.lastError : error,
    passwordKey: row.password?.key ?? '',
  };
}

function isRange(address: Ip | Prefix): address is Prefix {
  return address.includes('/');
}

function isCaller(range: Ip | Prefix, address: string): boolean {
  const caller = parseIp(address);
  return caller !== undefined && isRange(range) && prefixContains(range, caller);
}

export function routeViews(facts: Facts, loop: Looked): RouteView[] {
  const errors = errorsOf(loop, 'routes');
  const names = neighbourNames(loop);
  return [...loop.desired.keys('routes')].map((key) => routeView(facts, loop, key, errors, names));
}

export function routeView(
  facts: Facts,
  loop: Looked,
  key: string,
  errors: ReadonlyMap<string, string>,
  names: ReadonlyMap<string, string>,
): RouteView {
  const row = loop.desired.row('routes', key) as RouteRow;
  const claims = loop.desired.claimsOn('routes', key);
  const learned = claims[0]?.kind === 'Route' ? facts.learnedRoutes.get(key) : undefined;
  const nameOf = (address: Ip) => facts.nodeOf.get(address) ?? names.get(address);
  return {
    prefix: row.prefix,
    paths: row.paths.map(formatPath),
    origin: learned === undefined ? 'own' : 'learned',
    from:
      learned === undefined
        ? claims.slice(0, 1).map((claim) => ownerText(facts, claim))
        : learned.nextHops.map((hop) =>
            nameOf(hop) === undefined ? hop : `${hop} (${nameOf(hop)})`,
          ),
    ...statusOf(loop, 'routes', key, errors),
  };
}

/** Descriptions of neighbours by address. */
export function neighbourNames(loop: Looked): ReadonlyMap<string, string> {
  const rows = desiredRows<BgpPeerRow>(loop, 'bgpPeers');
  return new Map(rows.map((row) => [row.address, row.description]));
}

/** Who wants a row, in words: `pod shop/web-1`, `Service shop/web`, `this node`. */
export function ownerText(facts: Facts, { kind, owner }: Pick<Claim, 'kind' | 'owner'>): string {
  if (kind === 'Attachment') return `pod ${facts.attachments.get(owner)?.pod ?? owner}`;
  if (kind === 'Uplink') return 'this node';
  return kind === 'Route' ? `BGP ${owner}` : `${kind} ${owner}`;
}

/** What this node announces; with neighbours, also who hears it. */
export function advertisementViews(
  facts: Facts,
  loop: Looked,
  withNeighbours: boolean,
): AdvertisementView[] {
  const errors = errorsOf(loop, 'bgpPaths');
  const hearers = withNeighbours ? hearersOf(loop) : undefined;
  return desiredRows<BgpPathRow>(loop, 'bgpPaths').map((row) => {
    const claims = loop.desired.claimsOn('bgpPaths', row.prefix);
    return {
      prefix: row.prefix,
      nextHop: row.nextHop,
      communities: row.communities.filter((one) => !isMarker(one)),
      localPreference: row.localPreference,
      med: row.med,
      ...purposeOf(facts, row, claims),
      ...statusOf(loop, 'bgpPaths', row.prefix, errors),
      ...(hearers === undefined
        ? {}
        : { neighbours: hearers(row).flatMap(({ heard }) => heard ?? []) }),
    };
  });
}

/** What a path is for, by who wants it. */
export function purposeOf(
  facts: Facts,
  row: BgpPathRow,
  claims: readonly Claim[],
): Pick<AdvertisementView, 'kind' | 'for'> {
  const services = claims.filter((claim) => claim.kind === 'Service').map((claim) => claim.owner);
  if (services.length > 0) {
    const length = familyOf(row.prefix) === 4 ? '/32' : '/128';
    return { kind: row.prefix.endsWith(length) ? 'service' : 'aggregate', for: services };
  }
  const node = facts.config.get('config')?.nodeName ?? '';
  return row.communities.includes(podsMarker)
    ? { kind: 'pods', for: [`pods of ${node}`] }
    : { kind: 'other', for: claims.map((claim) => ownerText(facts, claim)) };
}

/** One neighbour and one of our paths. */
export interface Hearing {
  readonly peer: BgpPeerRow;
  /** How it hears the path; undefined when it does not. */
  readonly heard: HearerView | undefined;
  /** Why it does not; '' when it does. */
  readonly reason: string;
}

/**
 * Who hears a path of ours, as the export policy says. Neighbours that the policy's statements
 * do not tell apart are asked about once: most of a large mesh is alike.
 */
export function hearersOf(loop: Looked): (row: BgpPathRow) => Hearing[] {
  const policy = policyOf(loop, 'export');
  const groups = [...groupByStatements(policy, desiredRows<BgpPeerRow>(loop, 'bgpPeers')).values()];
  return (row) =>
    groups.flatMap(([first, ...others]) => {
      const verdict = policy && first && evaluatePolicy(policy, ownPath(row), first);
      return [...(first === undefined ? [] : [first]), ...others].map((peer) =>
        hearing(peer, row, verdict),
      );
    });
}

/** A path of this node, as the export policy meets it. */
function ownPath({ prefix, nextHop, communities, localPreference, med }: BgpPathRow): PolicyPath {
  return { prefix, nextHop, communities, localPreference, med, asPath: [], routeType: 'local' };
}

function hearing(peer: BgpPeerRow, row: BgpPathRow, verdict: PolicyVerdict | undefined): Hearing {
  const family = familyOf(row.prefix);
  const no = (reason: string): Hearing => ({ peer, heard: undefined, reason });
  if (verdict === undefined) return no('there is no export policy yet');
  if (!peer.families.includes(family)) return no(`its session does not carry IPv${family}`);
  if (!verdict.accept)
    return no(
      verdict.statement === undefined
        ? 'no statement of the export policy is about it'
        : `the export policy says: ${verdict.statement}`,
    );
  const heard = { peer: peer.description, address: peer.address, ...pathView(verdict.path) };
  return { peer, heard, reason: '' };
}

function pathView(path: PolicyPath): PathView {
  const { nextHop, communities, localPreference, med } = path;
  return { nextHop, communities, localPreference, med, asPath: path.asPath.map(String) };
}

/** Neighbours that meet the same statements, and have the same end here. */
function groupByStatements(
  policy: BgpPolicyRow | undefined,
  peers: readonly BgpPeerRow[],
): Map<string, BgpPeerRow[]> {
  const groups = new Map<string, BgpPeerRow[]>();
  const named = [...new Set(policy?.statements.flatMap((one) => one.peers ?? []) ?? [])];
  for (const peer of peers) {
    const met = named.filter((one) => one === peer.address || covers(one, peer.address));
    const signature = `${peer.localAddress} ${met.join(' ')}`;
    const group = groups.get(signature);
    if (group === undefined) groups.set(signature, [peer]);
    else group.push(peer);
  }
  return groups;
}

function covers(outer: Ip | Prefix, inner: Ip | Prefix): boolean {
  if (!isRange(outer)) return false;
  return prefixContains(outer, isRange(inner) ? prefixAddress(inner) : inner);
}
