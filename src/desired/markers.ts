import { fnv1a } from '../core/hash.ts';

/**
 * Marks on our own paths by which the export policy knows what they are: large communities of the
 * AS that nobody may have (RFC 7300), removed on the way out. So a policy is as large as the
 * configuration, and a path of a Service is one call whatever the number of neighbours.
 */
const front = '4294967295';

/** Prefixes of this node's pods. */
export const podsMarker = `${front}:1:1`;
/** Addresses of Services that every neighbour may hear of. */
export const servicesMarker = `${front}:1:2`;

/** Addresses of Services that only some neighbours hear of carry one of these for each. */
export function peerMarker(peer: string): string {
  return `${front}:2:${fnv1a(peer)}`;
}

/** All of them, for a policy to remove (see `matchesCommunity`). */
export const everyMarker = `${front}:*:*`;

export function isMarker(community: string): boolean {
  return community.startsWith(`${front}:`);
}

/** What marks say, for people: `pods`, `services`, or `services of some neighbours`. */
export function formatMarkers(communities: readonly string[]): string {
  if (communities.includes(podsMarker)) return 'pods';
  if (communities.includes(servicesMarker)) return 'services';
  return communities.some(isMarker) ? 'services for some neighbours' : '';
}
