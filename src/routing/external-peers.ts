import { familyOf, type Ip, prefixAddress } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { peerRow } from '../desired/bgp.ts';
import type { BfdSessionRow, BgpPeerRow, NatExclusionRow } from '../desired/rows.ts';
import { asnOf, type NodePeer, nodeBgp } from '../model/bgp-annotations.ts';
import type { BgpConfig, BgpPeerConfig, PeerAdvertiseConfig } from '../model/bgp-config.ts';
import type { Config } from '../model/config.ts';
import type { Node, Uplink } from '../model/facts.ts';
import { hasLabels } from '../model/labels.ts';
import type { Facts } from '../model/store.ts';
import { planBfd, unmasked } from './bfd.ts';

/** Neighbours outside of the mesh that this node has: by configuration, then by annotation. */
export interface ExternalPeer {
  readonly config: BgpPeerConfig;
  /** Where it is written, for problems; by name, for bad entries before it are left out. */
  readonly origin: { readonly object: string; readonly field: string };
}

const plainAdvertise: PeerAdvertiseConfig = {
  podCidrs: true,
  services: true,
  communities: [],
  localPreference: undefined,
  med: undefined,
  prepend: 0,
  prependAsn: 0,
  nextHop: '',
};

/** In the order of precedence: of two with one address the first counts. */
export function externalPeers(config: Config, self: Node | undefined): ExternalPeer[] {
  const labels = self?.labels ?? {};
  const found = config.bgp.peers.flatMap((peer): ExternalPeer[] =>
    hasLabels(labels, peer.nodeSelector)
      ? [{ config: peer, origin: { object: 'config', field: `bgp.peers[${peer.name}]` } }]
      : [],
  );
  if (self === undefined) return found;
  for (const peer of nodeBgp(self).peers)
    found.push({
      config: fromAnnotation(peer),
      origin: {
        object: `Node/${self.key}`,
        field: `metadata.annotations[kube-router.io/peers][${peer.index}]`,
      },
    });
  return found;
}

function fromAnnotation({
  address,
  asn,
  port,
  localAddress,
  passwordKey,
  bfd,
}: NodePeer): BgpPeerConfig {
  return {
    name: `node-${address}`,
    address,
    range: '',
    asn,
    port,
    nodeSelector: {},
    localAddress,
    passwordKey,
    multihopTtl: 0,
    ttlSecurityHops: 0,
    holdTimeSeconds: 0,
    keepaliveSeconds: 0,
    connectRetrySeconds: 0,
    passive: false,
    families: [4, 6],
    gracefulRestartSeconds: -1,
    longLivedSeconds: -1,
    maxPrefixes: 0,
    addPathReceive: false,
    addPathSend: 0,
    bfd,
    advertise: plainAdvertise,
  };
}

/**
 * The sessions with them. A neighbour that cannot be reached is a problem, and the others count.
 * One that BFD saw go down has no BGP session until BFD sees it again: GoBGP forgets its routes
 * and takes those of others, soon after they have left VPP.
 */
export function planExternalPeers(
  facts: Facts,
  config: Config,
  uplink: Uplink,
  self: Node | undefined,
): {
  readonly rows: {
    readonly bgpPeers: BgpPeerRow[];
    readonly bfdSessions: BfdSessionRow[];
    readonly natExclusions: NatExclusionRow[];
  };
  /** Those that have, or will have, a session: addresses first, then ranges. */
  readonly accepted: readonly ExternalPeer[];
  readonly problems: Problem[];
} {
  const accepted: ExternalPeer[] = [];
  const bgpPeers: BgpPeerRow[] = [];
  const bfdSessions: BfdSessionRow[] = [];
  const problems: Problem[] = [];
  const own = uplink.addresses.map((address) => address.ip);
  const taken = new Set<string>();
  for (const external of externalPeers(config, self)) {
    const { config: peer, origin } = external;
    const address = peer.address === '' ? peer.range : peer.address;
    const wrong = (field: string, reason: string) =>
      problems.push({ object: origin.object, field: `${origin.field}${field}`, reason });
    if (address === '') continue;
    if (taken.has(address)) {
      wrong('', `${address} is already the neighbour of an earlier entry; this one is left out`);
      continue;
    }
    if (peer.address !== '' && facts.nodeOf.has(peer.address) && config.bgp.nodeMesh) {
      wrong('.address', `${address} is a node of the mesh; this entry is left out`);
      continue;
    }
    const localAddress = localFor(peer, own);
    if (localAddress === undefined) {
      wrong('.address', `this node has no IPv${familyOf(address)} address; this entry is left out`);
      continue;
    }
    const password = passwordOf(facts, peer.passwordKey);
    if (password === undefined) {
      wrong('.passwordKey', missingPassword(config.bgp, peer.passwordKey));
      continue;
    }
    taken.add(address);
    accepted.push(external);
    const bfd = planBfd(peer, uplink, localAddress);
    if (typeof bfd === 'string') wrong('.bfd', bfd);
    else if (bfd !== undefined) {
      bfdSessions.push(bfd);
      if (facts.bfdDown.get(address) === 'written') {
        wrong('', `BFD says that ${address} is down; there is no BGP session until it is up`);
        continue;
      }
    }
    bgpPeers.push(
      peerRow({
        ...timesOf(config.bgp, peer),
        address,
        asn: peer.asn,
        port: peer.port === 0 ? config.bgp.port : peer.port,
        localAddress,
        families: peer.families,
        // Who may call is not called.
        passive: peer.passive || peer.address === '',
        password: password.row,
        multihopTtl: ttlTo(config, self, peer),
        ttlMin: peer.ttlSecurityHops === 0 ? 0 : 256 - peer.ttlSecurityHops,
        maxPrefixes: peer.maxPrefixes,
        addPathReceive: peer.addPathReceive,
        addPathSend: peer.addPathSend,
        description: `peer/${peer.name}`,
      }),
    );
  }
  return {
    rows: { bgpPeers, bfdSessions, natExclusions: unmasked(bfdSessions) },
    accepted: accepted.toSorted((a, b) => rankOf(a) - rankOf(b)),
    problems,
  };
}

/** Who has an address is meant before whoever calls from a range around it. */
function rankOf({ config: { range } }: ExternalPeer): number {
  return range === '' ? 0 : 1;
}

function localFor({ localAddress, address, range }: BgpPeerConfig, own: readonly Ip[]) {
  if (localAddress !== '') return localAddress;
  const remote = address === '' && range !== '' ? prefixAddress(range) : address;
  return remote === '' ? undefined : own.find((one) => familyOf(one) === familyOf(remote));
}

/**
 * TTL of what is sent to a neighbour of another AS; 0: as GoBGP does it, which is enough inside of
 * an AS. VPP is a hop between the speaker and the wire, so a neighbour on the wire needs two.
 */
function ttlTo(config: Config, self: Node | undefined, peer: BgpPeerConfig): number {
  const own = asnOf(config, self);
  // With TTL security GoBGP sends 255, and refuses to be told otherwise.
  if (peer.asn === own || peer.ttlSecurityHops > 0) return 0;
  return Math.min(255, Math.max(1, peer.multihopTtl) + 1);
}

/** Timers of a session, from the most to the least special. */
function timesOf(bgp: BgpConfig, peer: BgpPeerConfig) {
  const holdTimeSeconds = peer.holdTimeSeconds === 0 ? bgp.holdTimeSeconds : peer.holdTimeSeconds;
  return {
    holdTimeSeconds,
    keepaliveSeconds: keepaliveOf(bgp, holdTimeSeconds, peer.keepaliveSeconds),
    connectRetrySeconds:
      peer.connectRetrySeconds === 0 ? bgp.connectRetrySeconds : peer.connectRetrySeconds,
    gracefulRestartSeconds:
      peer.gracefulRestartSeconds < 0 ? bgp.gracefulRestartSeconds : peer.gracefulRestartSeconds,
    longLivedSeconds: peer.longLivedSeconds < 0 ? bgp.longLivedSeconds : peer.longLivedSeconds,
  };
}

/** At most a third of the hold time (RFC 4271 section 10). */
export function keepaliveOf(bgp: BgpConfig, holdTimeSeconds: number, own = 0): number {
  const third = Math.floor(holdTimeSeconds / 3);
  const wanted = own === 0 ? bgp.keepaliveSeconds : own;
  return wanted === 0 ? third : Math.min(wanted, third);
}

/** Undefined when the key has no password; `row` is undefined when none is wanted. */
export function passwordOf(
  facts: Facts,
  key: string,
): { readonly row: BgpPeerRow['password'] } | undefined {
  if (key === '') return { row: undefined };
  const digest = facts.passwords.get(key);
  return digest === undefined ? undefined : { row: { key, digest } };
}

export function missingPassword(bgp: BgpConfig, key: string): string {
  return bgp.passwordsDir === ''
    ? `${JSON.stringify(key)} is wanted, but bgp.passwordsDir is empty; there is no session without it`
    : `there is no password ${JSON.stringify(key)} in ${bgp.passwordsDir}; there is no session without it`;
}
