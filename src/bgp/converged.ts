import type { PeerState } from './dialect.ts';

/**
 * Whether GoBGP knows again what its neighbours have to say, so that a route which it does not
 * name is really gone.
 *
 * Every neighbour that was up before (`expected`; all configured ones when that is unknown)
 * must be up again and have said that its table is complete. The sign for that is End-of-RIB
 * (RFC 4724), which a neighbour without graceful restart never sends; being up for
 * `settleSeconds` counts too. No peers at all prove nothing: a fresh gobgpd has none until the
 * reconciler has written them.
 */
export function isConverged(
  peers: readonly PeerState[],
  expected: ReadonlySet<string> | undefined,
  nowSeconds: number,
  settleSeconds: number,
): boolean {
  if (peers.length === 0) return false;
  const ready = (peer: PeerState) =>
    peer.session === 'established' && (peer.endOfRib || nowSeconds - peer.upSince >= settleSeconds);
  if (expected === undefined) return peers.every(ready);
  const readyPeers = new Set(peers.filter(ready).map((peer) => peer.row.address as string));
  return [...expected].every((address) => readyPeers.has(address));
}
