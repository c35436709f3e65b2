import type { Candidate } from './lookup.ts';

/** RFC 4271 section 9.1.1: where a path says nothing. */
const localPreferenceDefault = 100;

type Compare = readonly [
  /** Of the pair, which is better: negative for the first. */
  (a: Candidate, b: Candidate, isExternal: (one: Candidate) => boolean) => number,
  (best: Candidate, other: Candidate) => string,
];

const preference = (one: Candidate) => one.localPreference ?? localPreferenceDefault;
const metric = (one: Candidate) => one.med ?? 0;
const isOwn = (one: Candidate) => one.neighbor === undefined;
/** RFC 9494: of last resort. */
const isLongLivedStale = (one: Candidate) => one.communities.includes('65535:6');
const originRank = { igp: 0, egp: 1, incomplete: 2 } as const;

/** A MED means something among paths of one neighbouring AS only (RFC 4271 section 9.1.2.2). */
const comparableMed = (a: Candidate, b: Candidate) => a.asPath[0] === b.asPath[0];

/** The order in which GoBGP compares two paths (v3.10.0 internal/pkg/table/destination.go). */
const steps: readonly Compare[] = [
  [
    (a, b) => Number(isLongLivedStale(a)) - Number(isLongLivedStale(b)),
    () => 'its neighbour is away for long',
  ],
  [
    (a, b) => Number(a.nextHopInvalid) - Number(b.nextHopInvalid),
    (_, other) => `its next hop ${other.nextHop ?? ''} cannot be reached`,
  ],
  [
    (a, b) => preference(b) - preference(a),
    (best, other) => `its local preference is ${preference(other)} and not ${preference(best)}`,
  ],
  [(a, b) => Number(isOwn(b)) - Number(isOwn(a)), () => 'this node announces the prefix itself'],
  [
    (a, b) => a.asPath.length - b.asPath.length,
    (best, other) => `its AS path has ${other.asPath.length} and not ${best.asPath.length} ASes`,
  ],
  [
    (a, b) => originRank[a.origin] - originRank[b.origin],
    (best, other) => `its origin is ${other.origin} and not ${best.origin}`,
  ],
  [
    (a, b) => (comparableMed(a, b) ? metric(a) - metric(b) : 0),
    (best, other) => `its MED is ${metric(other)} and not ${metric(best)}`,
  ],
  [
    (a, b, isExternal) => Number(isExternal(b)) - Number(isExternal(a)),
    () => 'it was learned inside of our AS, the best one outside',
  ],
];

/**
 * Why GoBGP prefers `best` to `other`, two paths of one prefix; undefined when they are equally
 * good, so that both are used (ECMP). `isExternal` tells whether a path is of another AS.
 */
export function whyNotBest(
  best: Candidate,
  other: Candidate,
  isExternal: (one: Candidate) => boolean,
): string | undefined {
  for (const [compare, say] of steps) {
    const order = compare(best, other, isExternal);
    if (order < 0) return say(best, other);
    // What GoBGP calls best is best: then a rule decided that is not known here.
    if (order > 0) return 'GoBGP prefers the other one';
  }
  return undefined;
}
