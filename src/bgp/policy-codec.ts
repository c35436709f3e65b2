import { createHash } from 'node:crypto';
import { type CommunityKind, communityKind } from '../core/community.ts';
import {
  hostPrefix,
  type Ip,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixAddress,
  prefixContains,
  prefixLength,
} from '../core/ip.ts';
import type { BgpPolicyRow, BgpStatement } from '../desired/rows.ts';
import { GobgpError, GrpcCode } from './error.ts';

/**
 * A policy row in the words of GoBGP: sets that statements name, and statements.
 *
 * All names begin with the policy's own, which is a digest of its content. So the name tells
 * whether GoBGP has it already, and the new policy stands beside the old one until it is
 * assigned in its place.
 */
export interface CompiledPolicy {
  readonly sets: readonly DefinedSet[];
  readonly policy: Policy;
}

export type Direction = BgpPolicyRow['direction'];

/** PolicyDirection is the same in both versions. */
export const directionNumber = { import: 1, export: 2 } as const;

/** What decides about the paths from or to all neighbours. */
export interface AssignedPolicy {
  readonly direction: Direction;
  /** Undefined when there is none. */
  readonly name: string | undefined;
  readonly otherwise: BgpPolicyRow['otherwise'];
}

/** DefinedType, counted from its first value. */
export const setKinds = { prefix: 0, neighbor: 1, standard: 4, extended: 5, large: 6 } as const;

export interface DefinedSet {
  readonly kind: keyof typeof setKinds;
  readonly name: string;
  /** Addresses of neighbours as prefixes, or regular expressions of communities. */
  readonly list: readonly string[];
  readonly prefixes: readonly MaskedPrefix[];
}

interface MaskedPrefix {
  readonly ipPrefix: string;
  readonly maskLengthMin: number;
  readonly maskLengthMax: number;
}

export interface Policy {
  readonly name: string;
  /** `first`: the number of the first value of enums. */
  readonly statements: readonly ((first: 0 | 1) => ReturnType<typeof statementRequest>)[];
}

interface Statement {
  readonly sets: Partial<Record<DefinedSet['kind'], Omit<DefinedSet, 'kind' | 'name'>>>;
  readonly routeType: BgpStatement['routeType'];
  /** Undefined to go on with the next statement. */
  readonly accept: boolean | undefined;
  readonly communities: Partial<Record<CommunityKind, CommunityAction>>;
  readonly localPreference?: number | undefined;
  readonly med?: number | undefined;
  readonly prepend?: BgpStatement['prepend'];
  readonly nextHop?: BgpStatement['nextHop'];
}

interface CommunityAction {
  readonly remove: boolean;
  readonly list: readonly string[];
}

/** What the names of our policies of one direction begin with. */
export function policyPrefix(direction: Direction): string {
  return `kvr-${direction}-`;
}

/** Changes when the same row is compiled to something else than before. */
const format = 1;

/** Throws a GobgpError for what GoBGP cannot do. */
export function compilePolicy(row: BgpPolicyRow): CompiledPolicy {
  const statements = [
    // GoBGP asks the import policy about our own paths, too; they are not its business.
    ...(row.direction === 'import' ? [ownPaths] : []),
    ...row.statements.flatMap(compileStatement),
  ];
  const content = JSON.stringify([format, row.direction, row.otherwise, statements]);
  const digest = createHash('sha256').update(content).digest('hex').slice(0, 16);
  const name = `${policyPrefix(row.direction)}${digest}`;
  const sets = statements.flatMap((statement, i) =>
    setEntries(statement).map(([kind, set]) => ({ kind, name: setName(name, i, kind), ...set })),
  );
  return {
    sets,
    policy: {
      name,
      statements: statements.map((one, i) => (first) => statementRequest(one, name, i, first)),
    },
  };
}

const ownPaths: Statement = { sets: {}, routeType: 'local', accept: true, communities: {} };

function setName(policy: string, index: number, kind: string): string {
  return `${policy}-${index}-${kind}`;
}

function setEntries(statement: Statement) {
  return Object.entries(statement.sets) as [
    DefinedSet['kind'],
    Omit<DefinedSet, 'kind' | 'name'>,
  ][];
}

/**
 * One statement or two: GoBGP does one thing to the communities of a kind, so where some are
 * added and some removed, a statement before adds and goes on. It adds first, because what is
 * removed may be what both look for.
 */
function compileStatement(from: BgpStatement): readonly Statement[] {
  const { peers, prefixes, communities, routeType, accept } = from;
  // A path is in no empty set; GoBGP would take an empty set of neighbours for all of them.
  if ([peers, prefixes, communities].some((given) => given?.length === 0)) return [];
  const sets = {
    ...(peers && { neighbor: { list: peers.map(asPrefix), prefixes: [] } }),
    ...(prefixes && { prefix: { list: [], prefixes: inheritRanges(prefixes) } }),
    ...(communities && communitySet(communities)),
  };
  if (!accept) return [{ sets, routeType, accept, communities: {} }];
  const { localPreference, med, prepend, nextHop } = from;
  if (localPreference === 0) throw cannot('set a local preference of 0');
  const added = from.addCommunities ?? [];
  const adds = byKind(added, false);
  const removes = byKind(
    (from.removeCommunities ?? []).filter((text) => !added.includes(text)),
    true,
  );
  const last = { sets, routeType, accept, localPreference, med, prepend, nextHop };
  const both = (Object.keys(adds) as CommunityKind[]).some((kind) => kind in removes);
  if (!both) return [{ ...last, communities: { ...adds, ...removes } }];
  return [
    { sets, routeType, accept: undefined, communities: adds },
    { ...last, communities: removes },
  ];
}

function asPrefix(address: Ip | Prefix): string {
  const alone = parseIp(address);
  return alone === undefined ? address : hostPrefix(alone);
}

/**
 * GoBGP 3 looks only at the longest prefix of the set that contains the route. So each prefix
 * gets the ranges of those that contain it.
 */
function inheritRanges(prefixes: NonNullable<BgpStatement['prefixes']>): readonly MaskedPrefix[] {
  const found = new Map<string, MaskedPrefix>();
  for (const { prefix } of prefixes) {
    for (const outer of prefixes) {
      const inside =
        prefixLength(outer.prefix) <= prefixLength(prefix) &&
        prefixContains(outer.prefix, prefixAddress(prefix));
      if (!inside) continue;
      const entry = { ipPrefix: prefix, maskLengthMin: outer.min, maskLengthMax: outer.max };
      found.set(Object.values(entry).join(), entry);
    }
  }
  return [...found.values()];
}

function communitySet(communities: readonly string[]) {
  if (communities.some((text) => text.startsWith('lb:'))) throw cannot('match a link bandwidth');
  const [one = ''] = communities;
  return { [communityKind(one)]: { list: communities.map(exactly), prefixes: [] } };
}

/** GoBGP takes communities in sets and in removals for regular expressions; `*` is any number. */
function exactly(community: string): string {
  const text = gobgpText(community);
  const at = communityKind(community) === 'extended' ? text.indexOf(':') + 1 : 0;
  const pattern = text.slice(at).replaceAll('.', '\\.').replaceAll('*', '\\d+');
  return `${text.slice(0, at)}^${pattern}$`;
}

/** GoBGP writes the two halves of an AS of four bytes in an extended community. */
function gobgpText(community: string): string {
  const [name, asn, value] = community.split(':');
  if (communityKind(community) !== 'extended' || Number(asn) <= 0xffff) return community;
  return `${name}:${Math.floor(Number(asn) / 0x10000)}.${Number(asn) % 0x10000}:${value}`;
}

function byKind(communities: readonly string[], remove: boolean): Statement['communities'] {
  const kinds: Partial<Record<CommunityKind, CommunityAction>> = {};
  for (const text of communities) {
    const kind = communityKind(text);
    const list = [...(kinds[kind]?.list ?? []), remove ? exactly(text) : gobgpText(text)];
    kinds[kind] = { remove, list };
  }
  return kinds;
}

function cannot(what: string): GobgpError {
  return new GobgpError('AddPolicy', GrpcCode.unimplemented, `GoBGP cannot ${what}`);
}

const routeTypes = { internal: 1, external: 2, local: 3 } as const;

function statementRequest(from: Statement, policy: string, index: number, first: 0 | 1) {
  const set = (kind: DefinedSet['kind']) =>
    kind in from.sets ? { type: first, name: setName(policy, index, kind) } : undefined;
  return {
    name: `${policy}-${index}`,
    conditions: {
      prefixSet: set('prefix'),
      neighborSet: set('neighbor'),
      communitySet: set('standard'),
      extCommunitySet: set('extended'),
      largeCommunitySet: set('large'),
      routeType: from.routeType === undefined ? 0 : routeTypes[from.routeType],
    },
    actions: actionsRequest(from, first),
  };
}

function actionsRequest(from: Statement, first: 0 | 1) {
  const { accept, localPreference, med, prepend, nextHop } = from;
  const communities = (kind: CommunityKind) => {
    const action = from.communities[kind];
    if (action === undefined) return undefined;
    return { type: first + (action.remove ? 1 : 0), communities: [...action.list] };
  };
  return {
    routeAction: accept === undefined ? 0 : accept ? 1 : 2,
    community: communities('standard'),
    extCommunity: communities('extended'),
    largeCommunity: communities('large'),
    med: med === undefined ? undefined : { type: first + 1, value: med },
    localPref: localPreference === undefined ? undefined : { value: localPreference },
    asPrepend: prepend && { asn: prepend.asn, repeat: prepend.times },
    nexthop:
      nextHop === undefined
        ? undefined
        : { self: nextHop === 'self', address: nextHop === 'self' ? '' : nextHop },
  };
}

export function setRequest(set: DefinedSet, first: 0 | 1) {
  return {
    definedType: first + setKinds[set.kind],
    name: set.name,
    list: [...set.list],
    prefixes: [...set.prefixes],
  };
}

/**
 * Whose paths have to be judged again after a change: neighbours by address or prefix of
 * addresses, or all of them.
 */
export function concernedPeers(
  from: BgpPolicyRow,
  to: BgpPolicyRow,
): 'all' | readonly (Ip | Prefix)[] {
  if (from.otherwise !== to.otherwise) return 'all';
  const [before, after] = [from, to].map((row) => row.statements.map(effect));
  const stays = (text: string) => before?.includes(text) === true && after?.includes(text) === true;
  const order = (texts: readonly string[] | undefined) => texts?.filter(stays).join('\n');
  const moved = order(before) !== order(after);
  const concerned = [...from.statements, ...to.statements].filter(
    (statement) => moved || !stays(effect(statement)),
  );
  const peers = concerned.map((statement) => statement.peers);
  return peers.some((list) => list === undefined)
    ? 'all'
    : [...new Set(peers.flatMap((list) => list ?? []))];
}

/** RFC 9494: GoBGP withdraws what has it from neighbours without long-lived graceful restart. */
const longLivedStale = '65535:6';

/**
 * The policy that lets GoBGP 3 withdraw what `row` rejects: its soft reset sends what passes and
 * is silent about the rest (v3.10.0 pkg/server/server.go). A path that passes as stale, though,
 * becomes a withdrawal for a neighbour that does not know of stale paths. Only such neighbours
 * may be in `peers`; for all others this is `row` itself.
 */
export function withdrawingPolicy(row: BgpPolicyRow, peers: readonly Ip[]): BgpPolicyRow {
  const withdraw = (statement: Omit<BgpStatement, 'accept'>): BgpStatement[] => {
    const { peers: among } = statement;
    const meant = peers.filter((peer) => among?.some((one) => covers(one, peer)) ?? true);
    if (meant.length === 0) return [];
    return [{ ...statement, peers: meant, accept: true, addCommunities: [longLivedStale] }];
  };
  return {
    ...row,
    statements: [
      ...row.statements.flatMap((statement) =>
        statement.accept ? [statement] : [...withdraw(statement), statement],
      ),
      ...(row.otherwise === 'reject' ? withdraw({ name: 'otherwise' }) : []),
    ],
  };
}

/** True when the neighbour is meant by an address or a prefix of addresses. */
export function covers(meant: Ip | Prefix, address: Ip): boolean {
  const prefix = parsePrefix(meant);
  return prefix === undefined ? meant === address : prefixContains(prefix, address);
}

/** A statement without its name. */
function effect(statement: BgpStatement): string {
  return JSON.stringify(compileStatement(statement));
}
