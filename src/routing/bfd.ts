import { familyOf, hostPrefix, type Ip } from '../core/ip.ts';
import { uplinkName } from '../desired/names.ts';
import type { BfdSessionRow, NatExclusionRow } from '../desired/rows.ts';
import type { BgpPeerConfig } from '../model/bgp-config.ts';
import type { Uplink } from '../model/facts.ts';
import { isOnLink } from './uplink.ts';

/**
 * The BFD session with a neighbour (RFC 5882): its row, or why there is none. Only neighbours on
 * the wire have one (RFC 5881): VPP sends its packets with the uplink's own addresses.
 */
export function planBfd(
  peer: BgpPeerConfig,
  uplink: Uplink,
  local: Ip,
): BfdSessionRow | string | undefined {
  const { enabled, minTxMs, minRxMs, multiplier } = peer.bfd;
  if (!enabled || peer.address === '') return undefined;
  if (!isOnLink(uplink, peer.address))
    return `${peer.address} is not on the uplink's wire; there is no BFD with it`;
  if (uplink.addresses.some((own) => familyOf(own.ip) === 6))
    return `the uplink has IPv6, with which VPP spoils BFD's packets; there is no BFD with ${peer.address}`;
  // What has another address of ours is masqueraded with the first one on its way out.
  const first = uplink.addresses.find((own) => familyOf(own.ip) === familyOf(local))?.ip;
  if (local !== first)
    return `${local} is not the uplink's first address; there is no BFD with ${peer.address}`;
  return { interface: uplinkName, local, peer: peer.address, minTxMs, minRxMs, multiplier };
}

/**
 * VPP 26.06 masquerades its own BFD packets, with a wrong checksum: cnat's output node takes them
 * for new flows, because their buffers have the state of whoever used them before, and VPP's own
 * interface local0, in whose name they go, must be in the map of masqueraded ones
 * (src/vpp/drivers/nat.ts). So nothing to such a neighbour's own address is masqueraded.
 *
 * That is enough without IPv6 on the uplink. A neighbour solicitation, too, is such a packet, and
 * nothing exempts it; it leaves a translation at flow number 0, which then spoils BFD's packets
 * (observed). Until VPP is mended, a node with IPv6 has no BFD.
 */
export function unmasked(sessions: readonly BfdSessionRow[]): NatExclusionRow[] {
  return sessions.map(({ peer }) => ({ prefix: hostPrefix(peer) }));
}
