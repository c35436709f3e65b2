import { fnv1a } from '../core/hash.ts';
import { compareText, type Family, type Ip, ipBytes } from '../core/ip.ts';
import type { Bucket, Member } from './selections.ts';

/**
 * The members of a selection of one IP family, in 2^k buckets.
 *
 * The block of an address (/24, /120) decides its bucket, so neighbours come together: their
 * rules may become one rule of a prefix. k follows from the number of members alone, without
 * hysteresis, so that equal members are equal buckets whatever happened before.
 */
export interface Partition {
  readonly family: Family;
  /** Members of all buckets. */
  readonly count: number;
  /** 2^k places; undefined where a bucket would be empty. */
  readonly buckets: Buckets;
}

type Buckets = readonly (Bucket | undefined)[];

/** Members of a bucket on average, at most. */
const bucketMembers = 64;

export function emptyPartition(family: Family): Partition {
  return { family, count: 0, buckets: [undefined] };
}

/**
 * Without `removed`, which are in it, and with `added`, which are not. Buckets whose members stay
 * the same stay the same objects.
 */
export function changePartition(
  before: Partition,
  removed: readonly Member[],
  added: readonly Member[],
): Partition {
  if (removed.length + added.length === 0) return before;
  const { family } = before;
  const count = before.count - removed.length + added.length;
  const size = sizeFor(count);
  const change = (buckets: Buckets) => replaceMembers(family, buckets, removed, added);
  // In the larger number of places fewer buckets are touched.
  const buckets =
    size < before.buckets.length
      ? resize(family, change(before.buckets), size)
      : change(resize(family, before.buckets, size));
  return { family, count, buckets };
}

function replaceMembers(
  family: Family,
  before: Buckets,
  removed: readonly Member[],
  added: readonly Member[],
): Buckets {
  const changes = new Map<number, { readonly gone: Set<Member>; readonly come: Member[] }>();
  const changeOf = ({ ip }: Member) => {
    const place = placeOf(ip, family, before.length);
    const known = changes.get(place) ?? { gone: new Set<Member>(), come: [] };
    changes.set(place, known);
    return known;
  };
  for (const member of removed) changeOf(member).gone.add(member);
  for (const member of added) changeOf(member).come.push(member);
  const buckets = [...before];
  for (const [place, { gone, come }] of changes) {
    const stay = (before[place]?.members ?? []).filter((member) => !gone.has(member));
    buckets[place] = bucketOf(family, [...stay, ...come]);
  }
  return buckets;
}

/** A power of two. */
function sizeFor(count: number): number {
  let size = 1;
  while (size * bucketMembers < count) size *= 2;
  return size;
}

/** The same members in another number of places. */
function resize(family: Family, before: Buckets, size: number): Buckets {
  if (size === before.length) return before;
  const lists = Array.from({ length: size }, (): Member[] => []);
  for (const bucket of before)
    for (const member of bucket?.members ?? [])
      lists[placeOf(member.ip, family, size)]?.push(member);
  // Of two sizes one divides the other: what is in a place comes from, or goes to, places that are
  // equal modulo the smaller size. So two buckets there that are of one length are the same.
  const step = Math.min(size, before.length);
  return lists.map((members, place) => {
    for (let was = place % step; was < before.length; was += step)
      if (before[was]?.members.length === members.length) return before[was];
    return bucketOf(family, members);
  });
}

function bucketOf(family: Family, members: Member[]): Bucket | undefined {
  if (members.length === 0) return undefined;
  return { family, members: members.sort(compareMembers) };
}

/** Two pods may claim one address for a while: both are members. */
function compareMembers(a: Member, b: Member): number {
  return compareText(a.ip, b.ip) || compareText(a.pod.key, b.pod.key);
}

/** By the address without its last byte: the same in every run. */
function placeOf(ip: Ip, family: Family, size: number): number {
  if (size === 1) return 0;
  const block =
    family === 4
      ? ip.slice(0, ip.lastIndexOf('.'))
      : Buffer.from(ipBytes(ip).subarray(0, 15)).toString('latin1');
  const hash = fnv1a(block);
  return ((hash ^ (hash >>> 16)) >>> 0) & (size - 1);
}
