import { familyOf, type Ip, ip, type Prefix, parseIp } from '../core/ip.ts';
import { pathRow } from '../desired/bgp.ts';
import type { BgpPathRow, BgpPeerRow, BgpServerRow } from '../desired/rows.ts';
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
import type { PathChange } from './path-codec.ts';

/**
 * GoBGP's tables: its global state, its peers, and the paths that we originate.
 *
 * GoBGP is careless with what it has: a second StartBgp can wipe the table, UpdatePeer bounces
 * the session for nearly any difference, even a description. So this side decides whether a
 * call is needed at all.
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

/** What of a peer can change without a new session, in words of GoBGP's UpdatePeer. */
type PeerUpdate = 'nothing' | 'timers' | 'session';

/**
 * A description is for people and not worth a session: it is written when the peer is added,
 * a later change stays here.
 */
export function createPeerDriver(client: GobgpClient): Driver<BgpPeerRow> {
  /** The latest rows, for their descriptions. */
  const latest = new Map<string, BgpPeerRow>();

  async function put({ key, from, to }: Change<BgpPeerRow>, signal: AbortSignal): Promise<void> {
    if (to === undefined) return remove(key as Ip, signal);
    const update = from === undefined ? 'session' : peerUpdate(from, to);
    if (update === 'timers') await client.updatePeer(to, signal);
    if (update === 'session') {
      if (from !== undefined) await remove(to.address, signal);
      await add(to, signal);
    }
    latest.set(key, to);
  }

  async function add(row: BgpPeerRow, signal: AbortSignal): Promise<void> {
    try {
      await client.addPeer(row, signal);
    } catch (error) {
      // It may be there already, left by a call whose reply was lost: put it anew.
      if (error instanceof GobgpError && error.isConnectionLoss) throw error;
      if (!(await hasPeer(row.address, signal))) throw error;
      await client.deletePeer(row.address, signal);
      await client.addPeer(row, signal);
    }
  }

  async function remove(address: Ip | Prefix, signal: AbortSignal): Promise<void> {
    try {
      await client.deletePeer(address, signal);
    } catch (error) {
      if (error instanceof GobgpError && error.isConnectionLoss) throw error;
      if (await hasPeer(address, signal)) throw error;
    }
    latest.delete(address);
  }

  async function hasPeer(address: Ip | Prefix, signal: AbortSignal): Promise<boolean> {
    return (await client.listPeers(signal)).some((peer) => peer.row.address === address);
  }

  return {
    table: tables.bgpPeers,
    async dump(signal) {
      if ((await client.getBgp(signal)).asn === 0) return [];
      const peers = await client.listPeers(signal);
      return peers.map(({ row }): Held<BgpPeerRow> => {
        const known = latest.get(row.address);
        const same = known !== undefined && peerUpdate(row, known) === 'nothing';
        return { key: row.address, row: same ? known : row };
      });
    },
    apply: (changes, signal) => eachInTurn(changes, (change) => put(change, signal)),
  };
}

/** Pure: what has to be done to turn one peer into the other. */
export function peerUpdate(from: BgpPeerRow, to: BgpPeerRow): PeerUpdate {
  const { description: _from, holdTimeSeconds: fromHold, ...fromSession } = from;
  const { description: _to, holdTimeSeconds: toHold, ...toSession } = to;
  if (!equalRows(fromSession, toSession)) return 'session';
  return fromHold === toHold ? 'nothing' : 'timers';
}

/** Paths that were added through the API; those of peers are not ours. */
export function createPathDriver(client: GobgpClient): Driver<BgpPathRow> {
  return {
    table: tables.bgpPaths,
    async dump(signal) {
      if ((await client.getBgp(signal)).asn === 0) return [];
      const held: Held<BgpPathRow>[] = [];
      for (const family of [4, 6] as const) {
        for (const path of await client.listPaths(family, signal)) {
          if (path.neighbor !== undefined || path.withdrawn) continue;
          const { prefix, nextHop } = path;
          held.push({
            key: prefix,
            row: nextHop === undefined ? undefined : pathRow(prefix, nextHop),
          });
        }
      }
      return held;
    },
    async apply(changes, signal) {
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
  const prefix = to?.prefix ?? from?.prefix ?? (key as Prefix);
  const nextHop = to?.nextHop ?? from?.nextHop ?? ip(familyOf(prefix) === 4 ? '0.0.0.0' : '::');
  return { prefix, nextHop, withdraw: to === undefined };
}

/** One outcome per change. After a lost connection the rest fails without being tried. */
async function eachInTurn<Row>(
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
