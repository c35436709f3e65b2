import { compareText, familyOf, type Ip, ip, type Prefix, parseIp } from '../core/ip.ts';
import type { BgpPathRow, BgpServerRow } from '../desired/rows.ts';
import { equalRows } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import { type Change, type Driver, done, failed, type Held } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import type { ServerState } from './dialect.ts';
import { GobgpError, GrpcCode } from './error.ts';
import { communityOnWire, createAttributeEncoder } from './path-attributes.ts';
import type { PathChange } from './path-codec.ts';
import { eachAtOnce, eachInTurn } from './pipeline.ts';

/**
 * GoBGP's global state and the paths that we originate.
 *
 * GoBGP is careless with what it has: a second StartBgp can wipe the table. So this side decides
 * whether a call is needed at all.
 */
export function createServerDriver(
  client: GobgpClient,
  /** Called when GoBGP lost its peers and paths because it was stopped. */
  onStopped: () => void,
): Driver<BgpServerRow> {
  let latest: BgpServerRow | undefined;

  async function put(row: BgpServerRow, signal: AbortSignal): Promise<void> {
    const state = await client.getBgp(signal);
    if (state.asn !== 0) {
      if (sameServer(serverRow(state), row)) return;
      if (client.version === 4) throw new GobgpError('StartBgp', GrpcCode.unimplemented, finalStop);
      await client.stopBgp(signal);
      onStopped();
    }
    await client.startBgp(row, signal);
  }
  return {
    table: tables.bgpServer,
    async dump(signal) {
      const state = await client.getBgp(signal);
      if (state.asn === 0) return [];
      const row = serverRow(state);
      // What was written: other addresses to listen on are no difference.
      const same = latest !== undefined && sameServer(row, latest);
      return [{ key: 'server', row: same ? latest : row }];
    },
    apply: (changes, signal) =>
      eachInTurn(changes, async ({ to }) => {
        if (to !== undefined) {
          await put(to, signal);
          latest = to;
          return;
        }
        latest = undefined;
        // Peers and paths are tables of their own. A GoBGP 4 that was stopped never starts again,
        // so it stays as it is, without them, until BGP is wanted again.
        if ((await client.getBgp(signal)).asn === 0 || client.version === 4) return;
        await client.stopBgp(signal);
        onStopped();
      }),
  };
}

/**
 * Wherever it listens: GoBGP cannot be told other addresses without the end of all sessions, which
 * an address more or less on the node is not worth. They count when gobgpd starts again.
 */
export function sameServer(a: BgpServerRow, b: BgpServerRow): boolean {
  return a.asn === b.asn && a.routerId === b.routerId && a.port === b.port;
}

function serverRow(state: ServerState): BgpServerRow {
  return {
    asn: state.asn,
    routerId: (parseIp(state.routerId) ?? state.routerId) as Ip,
    port: state.port,
    listenAddresses: state.listenAddresses.map((text) => (parseIp(text) ?? text) as Ip),
  };
}

/** GoBGP 4.8 answers "server stopped" for ever after StopBgp (observed). */
const finalStop =
  'GoBGP 4 cannot start BGP again in one process; restart gobgpd to change AS, id or port';

/** Paths that were added through the API; those of peers are not ours. */
export function createPathDriver(client: GobgpClient): Driver<BgpPathRow> {
  /** The latest rows with communities that lose precision on the way. */
  const rounded = new Map<string, BgpPathRow>();

  function remember(change: Change<BgpPathRow>): void {
    const inexact = change.to?.communities.some((text) => communityOnWire(text) !== text);
    if (change.to !== undefined && inexact === true) rounded.set(change.key, change.to);
    else rounded.delete(change.key);
  }

  function asWritten(prefix: Prefix, row: BgpPathRow | undefined): BgpPathRow | undefined {
    const written = rounded.get(prefix);
    if (written === undefined) return row;
    const communities = written.communities.map(communityOnWire).toSorted(compareText);
    return equalRows({ ...written, communities }, row) ? written : row;
  }

  return {
    table: tables.bgpPaths,
    async dump(signal) {
      if ((await client.getBgp(signal)).asn === 0) return [];
      const held: Held<BgpPathRow>[] = [];
      for (const family of [4, 6] as const) {
        for (const { prefix, row } of await client.listOwnPaths(family, signal))
          held.push({ key: prefix, row: asWritten(prefix, row) });
      }
      return held;
    },
    async apply(changes, signal) {
      const refusals = changes.map(tooLong);
      const outcomes = await send(
        changes.filter((_, i) => refusals[i] === undefined),
        signal,
      );
      const sent = outcomes.values();
      return refusals.map((refusal) =>
        refusal === undefined ? (sent.next().value ?? done) : failed(refusal),
      );
    },
  };

  async function send(changes: readonly Change<BgpPathRow>[], signal: AbortSignal) {
    if (changes.length === 0) return [];
    for (const change of changes) remember(change);
    try {
      await client.applyPaths(changes.map(pathChange), signal);
      return changes.map(() => done);
    } catch (error) {
      const hopeless = error instanceof GobgpError && error.isConnectionLoss;
      if (hopeless || changes.length === 1) return changes.map(() => failed(error));
    }
    // GoBGP ends the stream at the first path it refuses, without saying which.
    return eachAtOnce(changes, (change) => client.applyPaths([pathChange(change)], signal));
  }
}

/**
 * A message of BGP has 4,096 bytes (RFC 4271 section 4.1), of which the AS path and what policies
 * add need some. GoBGP 3.10 dies of a path with 2,000 communities (observed).
 */
const attributesMax = 3_000;

function tooLong({ to }: Change<BgpPathRow>): GobgpError | undefined {
  // A community has 12 bytes at most: few are not worth the encoding.
  if (to === undefined || to.communities.length < 100) return undefined;
  const attributes = createAttributeEncoder()(to.prefix, familyOf(to.prefix), to);
  const size = attributes.reduce((sum, one) => sum + one.length, 0);
  if (size <= attributesMax) return undefined;
  const why = `the attributes of ${to.prefix} have ${size} bytes, more than ${attributesMax}`;
  return new GobgpError('AddPathStream', GrpcCode.invalidArgument, why);
}

function pathChange({ key, from, to }: Change<BgpPathRow>): PathChange {
  if (to !== undefined) return { ...to, withdraw: false };
  const prefix = from?.prefix ?? (key as Prefix);
  const nextHop = from?.nextHop ?? ip(familyOf(prefix) === 4 ? '0.0.0.0' : '::');
  return { prefix, nextHop, withdraw: true };
}
