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

/**
 * Neighbours and ranges of neighbours.
 *
 * UpdatePeer bounces the session for nearly any difference, even a description, so this side
 * decides what is done. What is for people or known to this side only (a description, the key
 * of a password) is not worth a session: it is written when the peer is added, a later change
 * stays here.
 */
export function createPeerDriver(client: GobgpClient, passwordOf: PasswordOf): Driver<BgpPeerRow> {
  const latest = new Map<string, BgpPeerRow>();
  const ranges = createRanges(client);

  async function put({ key, from, to }: Change<BgpPeerRow>, signal: AbortSignal): Promise<void> {
    if (to === undefined) return remove(key as Ip | Prefix, signal);
    const update = from === undefined ? 'session' : peerUpdate(from, to);
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
    apply: (changes, signal) => eachInTurn(changes, (change) => put(change, signal)),
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
