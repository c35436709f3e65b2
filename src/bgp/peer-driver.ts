import type { Ip, Prefix } from '../core/ip.ts';
import { passwordDigest } from '../core/password-digest.ts';
import type { BgpPeerRow } from '../desired/rows.ts';
import { equalRows } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import { type Change, type Driver, done, type Held } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import { GobgpError, GrpcCode } from './error.ts';
import { isRange, type PeerContext } from './peer-codec.ts';
import { createRanges } from './peer-ranges.ts';
import { eachAtOnce, eachInTurn } from './pipeline.ts';

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
  const neighbors = createNeighbors(client);
  const ranges = createRanges(client);
  const inTurn = createTurns();

  async function put(
    { key, from, to }: Change<BgpPeerRow>,
    batch: Batch,
    signal: AbortSignal,
  ): Promise<void> {
    if (to === undefined) return remove(key as Ip | Prefix, signal);
    const update = from === undefined ? 'session' : await updateOf(from, to, batch);
    if (update !== 'nothing') {
      const context = await contextOf(to, batch);
      if (update === 'hitless') await client.call('UpdatePeer', (d) => d.peer(to, context), signal);
      else {
        if (from !== undefined) await remove(to.address, signal);
        await (isRange(to) ? ranges : neighbors).add(to, context, signal);
      }
    }
    latest.set(key, to);
  }

  /** A neighbour that exceeded its limit is lost until it is put anew: another limit does that. */
  async function updateOf(from: BgpPeerRow, to: BgpPeerRow, batch: Batch) {
    const update = peerUpdate(from, to);
    if (update !== 'hitless' || from.maxPrefixes === to.maxPrefixes) return update;
    return (await batch.shut()).has(to.address) ? 'session' : update;
  }

  /** Throws when there is no password under the key: a session without it is not wanted. */
  async function contextOf(row: BgpPeerRow, batch: Batch): Promise<PeerContext> {
    const localAsn = await batch.localAsn();
    if (row.password === undefined) return { localAsn, password: '' };
    const { key, digest } = row.password;
    if (isRange(row) && client.version === 3) throw refusal(noRangePasswords);
    const password = passwordOf(key);
    if (password === undefined) throw refusal(`there is no password under ${key}`);
    if (passwordDigest(password) !== digest) throw refusal(`the password under ${key} changed`);
    return { localAsn, password };
  }

  async function remove(address: Ip | Prefix, signal: AbortSignal): Promise<void> {
    await (address.includes('/') ? ranges : neighbors).remove(address, signal);
    latest.delete(address);
  }

  return {
    table: tables.bgpPeers,
    async dump(signal) {
      if ((await client.getBgp(signal)).asn === 0) return [];
      const peers = (await client.listSessions(signal)).filter((peer) => peer.group === '');
      const rows = peers.map(({ row }) => ({ key: row.address, row }));
      return [...rows, ...(await ranges.dump(signal))].map(({ key, row }): Held<BgpPeerRow> => {
        const known = latest.get(key);
        const same = row && known !== undefined && peerUpdate(row, known) === 'nothing';
        return { key, row: same ? known : row };
      });
    },
    apply: (changes, signal) =>
      inTurn(async () => {
        const batch = askOnce(client, signal);
        const write = (change: Change<BgpPeerRow>) => put(change, batch, signal);
        const one = await eachAtOnce(
          changes.filter((change) => !concernsRange(change)),
          write,
        );
        // A range finds out whom it let in, and a group must be there before its neighbours.
        const range = await eachInTurn(changes.filter(concernsRange), write);
        const rest = { one: one.values(), range: range.values() };
        return changes.map(
          (change) => (concernsRange(change) ? rest.range : rest.one).next().value ?? done,
        );
      }),
    takeBack: (address, signal) =>
      inTurn(async () => {
        const peers = await client.listSessions(signal);
        const peer = peers.find(({ row }) => row.address === address);
        if (peer?.overLimit !== true) return;
        const row = latest.get(address) ?? peer.row;
        const context = await contextOf(row, askOnce(client, signal));
        // GoBGP 4 keeps its routes as those of a graceful restart, and counts them with the next
        // session's: only a neighbour that is put anew has room.
        await remove(address, signal);
        await neighbors.add(row, context, signal);
        latest.set(address, row);
      }),
  };
}

function concernsRange({ key }: Change<BgpPeerRow>): boolean {
  return key.includes('/');
}

/** Neighbours with an address of their own. */
function createNeighbors(client: GobgpClient) {
  async function isThere(address: Ip | Prefix, signal: AbortSignal): Promise<boolean> {
    return (await client.listSessions(signal)).some((peer) => peer.row.address === address);
  }

  return {
    async add(row: BgpPeerRow, context: PeerContext, signal: AbortSignal): Promise<void> {
      const addPeer = () => client.call('AddPeer', (d) => d.peer(row, context), signal);
      const { address } = row;
      try {
        await addPeer();
      } catch (error) {
        // It may be there already, left by a call whose reply was lost: put it anew.
        if (error instanceof GobgpError && error.isConnectionLoss) throw error;
        if (!(await isThere(address, signal))) throw error;
        await client.call('DeletePeer', (d) => d.deletePeer(address), signal);
        await addPeer();
      }
    },
    async remove(address: Ip | Prefix, signal: AbortSignal): Promise<void> {
      try {
        await client.call('DeletePeer', (d) => d.deletePeer(address), signal);
      } catch (error) {
        if (error instanceof GobgpError && error.isConnectionLoss) throw error;
        if (await isThere(address, signal)) throw error;
      }
    },
  };
}

/** What a batch of changes needs to know of GoBGP, asked when it is needed and only once. */
interface Batch {
  localAsn(): Promise<number>;
  /** The neighbours that exceeded their prefix limits, so that GoBGP shut them down. */
  shut(): Promise<ReadonlySet<string>>;
}

function askOnce(client: GobgpClient, signal: AbortSignal): Batch {
  let localAsn: Promise<number> | undefined;
  let shut: Promise<ReadonlySet<string>> | undefined;
  return {
    localAsn() {
      localAsn ??= client.getBgp(signal).then(({ asn }) => asn);
      return localAsn;
    },
    shut() {
      shut ??= client
        .listSessions(signal)
        .then(
          (peers) => new Set(peers.filter((one) => one.overLimit).map((one) => one.row.address)),
        );
      return shut;
    },
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
