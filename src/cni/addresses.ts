import {
  addressBits,
  familyOf,
  type Ip,
  ipFromBigInt,
  ipToBigInt,
  type Prefix,
  prefixAddress,
  prefixContains,
  prefixLength,
} from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';

/**
 * Which addresses a new pod gets. Pure.
 *
 * From each of the node's podCIDRs one address, never the first (network), the second (other
 * tools take it for a gateway) or the last (broadcast). An address that was never used is
 * preferred; after those, the one that was given back longest ago, so that a peer's stale
 * connection does not meet a new pod.
 *
 * IPv6: VPP's cnat takes pod A and pod B for the same pod when the low 32 bits of their IPv6
 * addresses are equal, and then masquerades between them (observed on VPP 26.06,
 * cnat_snat_policy_k8s compares the IPv4 part for both families). So these bits are unique in
 * the cluster:
 * - dual stack: they are the pod's IPv4 address (needs a podCIDR of at most /96);
 * - IPv6 only: 16 bits of the node's place in the cluster and 16 bits of the pod's place on the
 *   node. The former are the 16 bits in front of the host part of the podCIDR, which differ
 *   between nodes because Kubernetes carves at most 2^16 podCIDRs out of a cluster CIDR
 *   (nodeipam cidrset, clusterSubnetMaxDiff).
 */
export interface AddressUse {
  readonly used: ReadonlySet<Ip>;
  /** Given back, oldest first. */
  readonly freed: readonly Ip[];
}

const firstPlace = 2n;
const nodeBits = 16n;
/** Pods of an IPv6-only node: 16 bits, without the places that are never given. */
const placesMax6 = 1n << 16n;
const embedLengthMax = 96;

/** One address of each podCIDR, in their order; a problem when one of them is used up. */
export function planAddresses(podCidrs: readonly Prefix[], use: AddressUse): Parsed<readonly Ip[]> {
  if (podCidrs.length === 0) return rejected('the Node has no podCIDRs yet');
  const cidr4 = podCidrs.find((cidr) => familyOf(cidr) === 4);
  const embedding = podCidrs.filter((cidr) => cidr4 !== undefined && canEmbed(cidr));
  const range4 = cidr4 === undefined ? undefined : rangeOf(cidr4);
  const ip4 =
    range4 === undefined ? undefined : choose(range4, use, (ip) => isFree(embedding, ip, use));
  if (cidr4 !== undefined && ip4 === undefined) return usedUp(cidr4);
  const ips: Ip[] = [];
  for (const cidr of podCidrs) {
    const ip = cidr === cidr4 ? ip4 : addressIn(cidr, ip4, use);
    if (ip === undefined) return usedUp(cidr);
    ips.push(ip);
  }
  return parsed(ips);
}

/** The IPv6 address in `cidr` whose low 32 bits are `ip4`. */
export function embedIp4(cidr: Prefix, ip4: Ip): Ip {
  return ipFromBigInt(ipToBigInt(prefixAddress(cidr)) | ipToBigInt(ip4), 6);
}

function addressIn(cidr: Prefix, ip4: Ip | undefined, use: AddressUse): Ip | undefined {
  if (ip4 !== undefined && canEmbed(cidr)) return embedIp4(cidr, ip4);
  return choose(rangeOf(cidr), use, () => true);
}

function canEmbed(cidr: Prefix): boolean {
  return familyOf(cidr) === 6 && prefixLength(cidr) <= embedLengthMax;
}

/** An IPv4 address is free for us when the IPv6 addresses made from it are, too. */
function isFree(embedding: readonly Prefix[], ip4: Ip, use: AddressUse): boolean {
  return embedding.every((cidr) => !use.used.has(embedIp4(cidr, ip4)));
}

/** The addresses that may be given out of one podCIDR, by place. */
interface Range {
  readonly cidr: Prefix;
  readonly places: bigint;
  at(place: bigint): Ip;
}

function rangeOf(cidr: Prefix): Range {
  const family = familyOf(cidr);
  const hostBits = BigInt(addressBits(family) - prefixLength(cidr));
  const network = ipToBigInt(prefixAddress(cidr));
  const size = 1n << hostBits;
  if (family === 4) return { cidr, places: size, at: (place) => ipFromBigInt(network + place, 4) };
  const places = size < placesMax6 ? size : placesMax6;
  // The node's bits that are not in the low 32 already go in front of the pod's 16.
  const outside = hostBits <= nodeBits ? 0n : hostBits >= 32n ? nodeBits : hostBits - nodeBits;
  const node = (network >> hostBits) & ((1n << nodeBits) - 1n);
  const front = (node >> (nodeBits - outside)) << nodeBits;
  return { cidr, places, at: (place) => ipFromBigInt(network + front + place, 6) };
}

function choose(range: Range, use: AddressUse, accept: (ip: Ip) => boolean): Ip | undefined {
  const freed = new Set(use.freed);
  for (let place = firstPlace; place < range.places - 1n; place++) {
    const ip = range.at(place);
    if (!use.used.has(ip) && !freed.has(ip) && accept(ip)) return ip;
  }
  return use.freed.find((ip) => prefixContains(range.cidr, ip) && !use.used.has(ip) && accept(ip));
}

function usedUp(cidr: Prefix): Parsed<readonly Ip[]> {
  return rejected(`no free address in podCIDR ${cidr}`);
}
