import type { PeerState } from './peer-codec.ts';

/**
 * Whether GoBGP knows again what its neighbours have to say, so that a route which it does not
 * name is really gone.
 *
 * Every neighbour that was up before (`expected`; all configured ones when that is unknown)
 * must be up again and have said that its table is complete. The sign for that is End-of-RIB
 * (RFC 4724), which a neighbour without graceful restart never sends; being up for
 * `settleSeconds` counts too. A neighbour that is not configured proves nothing, as a fresh
 * gobgpd has none until the reconciler has written them; when that must be over (`replayed`),
 * it is one that is no longer wanted.
 */
export function isConverged(
  peers: readonly PeerState[],
  expected: ReadonlySet<string> | undefined,
  time: { readonly nowSeconds: number; readonly settleSeconds: number; readonly replayed: boolean },
): boolean {
  if (peers.length === 0) return time.replayed;
  const ready = (peer: PeerState) =>
    peer.session === 'established' &&
    (peer.endOfRib || time.nowSeconds - peer.upSince >= time.settleSeconds);
  if (expected === undefined) return peers.every(ready);
  const listed = new Map<string, PeerState>(peers.map((peer) => [peer.row.address, peer]));
  return [...expected].every((address) => {
    const peer = listed.get(address);
    return peer === undefined ? time.replayed : ready(peer);
  });
}
