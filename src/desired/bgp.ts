import type { Ip, Prefix } from '../core/ip.ts';
import type { BgpPathRow, BgpPeerRow } from './rows.ts';

/** A path that carries nothing but what is given. */
export function pathRow(
  prefix: Prefix,
  nextHop: Ip,
  attributes: Partial<Omit<BgpPathRow, 'prefix' | 'nextHop'>> = {},
): BgpPathRow {
  return {
    prefix,
    nextHop,
    communities: [],
    localPreference: undefined,
    med: undefined,
    ...attributes,
  };
}

type PeerBasics = Pick<BgpPeerRow, 'address' | 'asn' | 'localAddress'>;

/** A neighbour on the wire with nothing special. */
export function peerRow(basics: PeerBasics & Partial<BgpPeerRow>): BgpPeerRow {
  const holdTimeSeconds = basics.holdTimeSeconds ?? 90;
  return {
    port: 179,
    families: [4, 6],
    holdTimeSeconds,
    keepaliveSeconds: Math.floor(holdTimeSeconds / 3), // RFC 4271 section 10
    connectRetrySeconds: 5,
    passive: false,
    password: undefined,
    multihopTtl: 0,
    ttlMin: 0,
    reflectorClusterId: undefined,
    gracefulRestartSeconds: 120,
    longLivedSeconds: 0,
    maxPrefixes: 0,
    addPathReceive: false,
    addPathSend: 0,
    description: '',
    ...basics,
  };
}
