import type { Ip, Prefix } from '../core/ip.ts';
import { passwordDigest } from '../core/password-digest.ts';
import type { BgpPeerRow } from '../desired/rows.ts';
import { equalRows } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import type { Change, Driver, Held } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import { eachInTurn } from './drivers.ts';
import { GobgpError, GrpcCode } from './error.ts';
import { groupName, isRange, type PeerContext } from './peer-codec.ts';

/** The password of a key; undefined when there is none. */
export type PasswordOf = (key: string) => string | undefined;

export interface PeerDriver extends Driver<BgpPeerRow> {
  /** Takes a neighbour back that GoBGP shut down because it exceeded its prefix limit. */
  takeBack(address: Ip, signal: AbortSignal): Promise<void>;
}

/**
 * Neighbours and ranges of neighbours.
 *
 * UpdatePeer bounces the session for nearly any difference, even a description, so this side
 * decides what is done. What is for people or known to this side only (a description, the key
 * of a password) is not worth a session: it is written when the peer is added, a later change
 * stays here.
 */
export function createPeerDriver(client: GobgpClient, passwordOf: PasswordOf): PeerDriver {
  const latest = new Map<string, BgpPeerRow>();
  const ranges = createRanges(client);
  const inTurn = createTurns();

  async function put({ key, from, to }: Change<BgpPeerRow>, signal: AbortSignal): Promise<void> {
    if (to === undefined) return remove(key as Ip | Prefix, signal);
    const update = from === undefined ? 'session' : await updateOf(from, to, signal);
    if (update !== 'nothing') {
      const context = await contextOf(to, signal);
      if (update === 'hitless') await client.call('UpdatePeer', (d) => d.peer(to, context), signal);
      else {
        if (from !== undefined) await remove(to.address, signal);
        await (isRange(to) ? ranges.add(to, context, signal) : add(to, context, signal));
      }
    }
    latest.set(key, to);
  }

  /** A neighbour that exceeded its limit is lost until it is put anew: another limit does that. */
  async function updateOf(from: BgpPeerRow, to: BgpPeerRow, signal: AbortSignal) {
    const update = peerUpdate(from, to);
    if (update !== 'hitless' || from.maxPrefixes === to.maxPrefixes) return update;
    return (await isShut(to.address, signal)) ? 'session' : update;
  }

  /** True when it exceeded its prefix limit and GoBGP shut it down. */
  async function isShut(address: Ip | Prefix, signal: AbortSignal): Promise<boolean> {
    const peers = await client.listSessions(signal);
    return peers.some((peer) => peer.row.address === address && peer.overLimit);
  }

  /** Throws when there is no password under the key: a session without it is not wanted. */
  async function contextOf(row: BgpPeerRow, signal: AbortSignal): Promise<PeerContext> {
    const { asn } = await client.getBgp(signal);
    if (row.password === undefined) return { localAsn: asn, password: '' };
    const { key, digest } = row.password;
    if (isRange(row) && client.version === 3) throw refusal(noRangePasswords);
    const password = passwordOf(key);
    if (password === undefined) throw refusal(`there is no password under ${key}`);
    if (passwordDigest(password) !== digest) throw refusal(`the password under ${key} changed`);
    return { localAsn: asn, password };
  }

  async function add(row: BgpPeerRow, context: PeerContext, signal: AbortSignal): Promise<void> {
    const addPeer = () => client.call('AddPeer', (d) => d.peer(row, context), signal);
    const { address } = row;
    try {
      await addPeer();
    } catch (error) {
      // It may be there already, left by a call whose reply was lost: put it anew.
      if (error instanceof GobgpError && error.isConnectionLoss) throw error;
      if (!(await hasPeer(address, signal))) throw error;
      await client.call('DeletePeer', (d) => d.deletePeer(address), signal);
      await addPeer();
    }
  }

  async function remove(address: Ip | Prefix, signal: AbortSignal): Promise<void> {
    if (address.includes('/')) await ranges.remove(address, signal);
    else {
      try {
        await client.call('DeletePeer', (d) => d.deletePeer(address), signal);
      } catch (error) {
        if (error instanceof GobgpError && error.isConnectionLoss) throw error;
        if (await hasPeer(address, signal)) throw error;
      }
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
      const peers = (await client.listPeers(signal)).filter((peer) => peer.group === '');
      const rows = peers.map(({ row }) => ({ key: row.address, row }));
      return [...rows, ...(await ranges.dump(signal))].map(({ key, row }): Held<BgpPeerRow> => {
        const known = latest.get(key);
        const same = row && known !== undefined && peerUpdate(row, known) === 'nothing';
        return { key, row: same ? known : row };
      });
    },
    apply: (changes, signal) => inTurn(() => eachInTurn(changes, (change) => put(change, signal))),
    takeBack: (address, signal) =>
      inTurn(async () => {
        const peers = await client.listSessions(signal);
        const peer = peers.find(({ row }) => row.address === address);
        if (peer?.overLimit !== true) return;
        const row = latest.get(address) ?? peer.row;
        const context = await contextOf(row, signal);
        // GoBGP 4 keeps its routes as those of a graceful restart, and counts them with the next
        // session's: only a neighbour that is put anew has room.
        await remove(address, signal);
        await add(row, context, signal);
        latest.set(address, row);
      }),
  };
}

/** One after the other: the next begins when the one before has ended, well or not. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next;
    return next;
  };
}

const noRangePasswords = 'GoBGP 3 knows no passwords for ranges of neighbours';

function refusal(why: string): GobgpError {
  return new GobgpError('AddPeer', GrpcCode.unknown, why);
}

/**
 * A range is a peer group, and a dynamic neighbour that names it. GoBGP 3 dies of a dynamic
 * neighbour whose group is not there, so nothing is assumed here.
 */
function createRanges(client: GobgpClient) {
  const listGroups = (signal: AbortSignal) =>
    client.list(
      'ListPeerGroup',
      (d) => d.listPeerGroups(),
      (d) => d.decodePeerGroup,
      signal,
    );
  const listNeighbors = (signal: AbortSignal) =>
    client.list(
      'ListDynamicNeighbor',
      (d) => d.listDynamicNeighbors(),
      (d) => d.decodeDynamicNeighbor,
      signal,
    );

  /** Whatever of it is there; sessions that came from the range end. */
  async function remove(address: Ip | Prefix, signal: AbortSignal): Promise<void> {
    const groups = (await listGroups(signal)).filter((group) => group.row.address === address);
    for (const { group } of groups) {
      const neighbors = await listNeighbors(signal);
      for (const range of neighbors.filter((one) => one.peerGroup === group))
        await client.call('DeleteDynamicNeighbor', (d) => d.deleteDynamicNeighbor(range), signal);
      const peers = await client.listPeers(signal);
      for (const { row } of peers.filter((peer) => peer.group === group))
        await client.call('DeletePeer', (d) => d.deletePeer(row.address), signal);
      await client.call('DeletePeerGroup', (d) => d.deletePeerGroup(group), signal);
    }
  }

  return {
    remove,
    async add(row: BgpPeerRow, context: PeerContext, signal: AbortSignal): Promise<void> {
      await remove(row.address, signal);
      const range = { prefix: row.address, peerGroup: groupName(row) };
      await client.call('AddPeerGroup', (d) => d.peerGroup(row, context), signal);
      await client.call('AddDynamicNeighbor', (d) => d.addDynamicNeighbor(range), signal);
    },
    async dump(signal: AbortSignal): Promise<Held<BgpPeerRow>[]> {
      const groups = await listGroups(signal);
      const complete = new Set((await listNeighbors(signal)).map((range) => range.peerGroup));
      return groups.map(({ group, row }) => ({
        key: row.address,
        row: complete.has(group) ? row : undefined,
      }));
    },
  };
}

/**
 * What has to be done to turn one peer into the other: nothing, an UpdatePeer that keeps the
 * session, or a new session. Timers count from the next session on.
 */
export type PeerUpdate = 'nothing' | 'hitless' | 'session';

/** Pure: the smallest update. */
export function peerUpdate(from: BgpPeerRow, to: BgpPeerRow): PeerUpdate {
  const before = split(from);
  const after = split(to);
  if (!equalRows(before.session, after.session)) return 'session';
  if (equalRows(before.hitless, after.hitless)) return 'nothing';
  // GoBGP takes an update of a group only for neighbours that are configured one by one.
  return isRange(to) ? 'session' : 'hitless';
}

function split(row: BgpPeerRow) {
  const { description: _, password, holdTimeSeconds, keepaliveSeconds, ...rest } = row;
  const { connectRetrySeconds, maxPrefixes, passive, ...session } = rest;
  return {
    hitless: [holdTimeSeconds, keepaliveSeconds, connectRetrySeconds, maxPrefixes],
    // Whoever calls from inside a range finds us waiting, always.
    session: { ...session, passive: passive || isRange(row), password: password?.digest },
  };
}
