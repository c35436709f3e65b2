import { compareText, familyOf, type Ip, ip, type Prefix, parseIp } from '../core/ip.ts';
import type { BgpPathRow, BgpServerRow } from '../desired/rows.ts';
import { equalRows } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import {
  type Change,
  type Driver,
  done,
  failed,
  type Held,
  type Outcome,
} from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import type { ServerState } from './dialect.ts';
import { GobgpError, GrpcCode } from './error.ts';
import { communityOnWire } from './path-attributes.ts';
import type { PathChange } from './path-codec.ts';

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
  async function put(row: BgpServerRow, signal: AbortSignal): Promise<void> {
    const state = await client.getBgp(signal);
    if (state.asn !== 0) {
      if (equalRows(serverRow(state), row)) return;
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
      return state.asn === 0 ? [] : [{ key: 'server', row: serverRow(state) }];
    },
    apply: (changes, signal) =>
      eachInTurn(changes, async ({ to }) => {
        if (to !== undefined) return put(to, signal);
        if ((await client.getBgp(signal)).asn === 0) return;
        await client.stopBgp(signal);
        onStopped();
      }),
  };
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
  'GoBGP 4 cannot start BGP again in one process; restart gobgpd to change AS, id or addresses';

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
      for (const change of changes) remember(change);
      try {
        await client.applyPaths(changes.map(pathChange), signal);
        return changes.map(() => done);
      } catch (error) {
        const hopeless = error instanceof GobgpError && error.isConnectionLoss;
        if (hopeless || changes.length === 1) return changes.map(() => failed(error));
      }
      // GoBGP ends the stream at the first path it refuses, without saying which.
      return eachInTurn(changes, (change) => client.applyPaths([pathChange(change)], signal));
    },
  };
}

function pathChange({ key, from, to }: Change<BgpPathRow>): PathChange {
  if (to !== undefined) return { ...to, withdraw: false };
  const prefix = from?.prefix ?? (key as Prefix);
  const nextHop = from?.nextHop ?? ip(familyOf(prefix) === 4 ? '0.0.0.0' : '::');
  return { prefix, nextHop, withdraw: true };
}

/** One outcome per change. After a lost connection the rest fails without being tried. */
export async function eachInTurn<Row>(
  changes: readonly Change<Row>[],
  apply: (change: Change<Row>) => Promise<void>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let lost: GobgpError | undefined;
  for (const change of changes) {
    if (lost !== undefined) {
      outcomes.push(failed(lost));
      continue;
    }
    try {
      await apply(change);
      outcomes.push(done);
    } catch (error) {
      if (error instanceof GobgpError && error.isConnectionLoss) lost = error;
      outcomes.push(failed(error));
    }
  }
  return outcomes;
}
