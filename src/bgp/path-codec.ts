import type { Ip, Prefix } from '../core/ip.ts';

/**
 * Paths on the wire, in both dialects.
 *
 * A full table is 100,000 paths in one message of 30 MB (version 3). The generated stubs need
 * 540 ms for its outer layer alone and 200 ms for version 4's 6 MB; this codec needs 110 and
 * 70 ms for all of it (measured on a busy machine with 2 cores). It reads only prefix, next hop,
 * neighbour, identifier and withdrawal and skips the rest without looking. The stubs stay the
 * authority: laws in the tests compare both, in both directions.
 *
 * The dialects differ in one thing: version 3 wraps NLRI and attributes in `Any`, version 4
 * in typed unions. Field numbers inside are the same. Our own paths, whose attributes count,
 * go and come as bytes of BGP instead (path-attributes.ts), alike in both versions.
 */
export type GobgpVersion = 3 | 4;

/** A path to add, or to withdraw (then the next hop does not matter). */
export interface PathChange {
  readonly prefix: Prefix;
  readonly nextHop: Ip;
  readonly withdraw: boolean;
  /** Canonical texts (src/core/community.ts). */
  readonly communities?: readonly string[];
  readonly localPreference?: number | undefined;
  readonly med?: number | undefined;
}

/** What GoBGP says about one IPv4 or IPv6 unicast path. */
export interface PathNews {
  readonly prefix: Prefix;
  /** Undefined when the message has none, as some withdrawals do. */
  readonly nextHop: Ip | undefined;
  /** Undefined for a path that was added through the API: ours. */
  readonly neighbor: Ip | undefined;
  /** Which of several paths of one neighbour (RFC 7911); 0 without. */
  readonly identifier: number;
  readonly withdrawn: boolean;
}

export type WatchEvent =
  | { readonly kind: 'paths'; readonly count: number; readonly paths: readonly PathNews[] }
  | {
      readonly kind: 'peer';
      readonly type: 'init' | 'endOfInit' | 'state' | 'unknown';
      readonly address: Ip | undefined;
      readonly established: boolean;
      /** Why the session ended; '' when it did not, or GoBGP does not say (version 3). */
      readonly reason: string;
    };

const anyPrefix = 'type.googleapis.com/apipb.';
/** Type names inside `Any`, of version 3. */
export const anyUrls = {
  nlri: `${anyPrefix}IPAddressPrefix`,
  nextHop: `${anyPrefix}NextHopAttribute`,
  mpReach: `${anyPrefix}MpReachNLRIAttribute`,
} as const;

/** Numbers of the members in version 4's unions `NLRI` and `Attribute`. */
export const members = { nlri: 1, nextHop: 4, mpReach: 12 } as const;

/** IANA subsequent address family: unicast. */
export const safiUnicast = 1;
