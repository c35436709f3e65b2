import type { Ip, Prefix } from '../core/ip.ts';
import type { BgpPeerRow } from '../desired/rows.ts';
import type { Held } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import { groupName, type PeerContext } from './peer-codec.ts';
import { allAtOnce } from './pipeline.ts';

/**
 * A range is a peer group, and a dynamic neighbour that names it. GoBGP 3 dies of a dynamic
 * neighbour whose group is not there, so nothing is assumed here.
 */
export function createRanges(client: GobgpClient) {
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
      const peers = await client.listSessions(signal);
      await allAtOnce(
        peers.filter((peer) => peer.group === group),
        ({ row }) => client.call('DeletePeer', (d) => d.deletePeer(row.address), signal),
      );
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
