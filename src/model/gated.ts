import { fnv1a } from '../core/hash.ts';
import type { Service } from './facts.ts';

/**
 * The Services whose frontends let not everybody in, so that a filter must see packets before
 * they are translated: an index of `services`, kept by the store.
 *
 * They are kept in buckets, because a filter of VPP is written as a whole: a change of one
 * Service writes the rules of its bucket again and no others.
 */
export interface Gated {
  /** With `loadBalancerSourceRanges`. Bucket to keys of Services; no bucket is empty. */
  readonly ranges: ReadonlyMap<number, ReadonlySet<string>>;
  /** Answering from outside, with externalTrafficPolicy Local. */
  readonly local: ReadonlyMap<number, ReadonlySet<string>>;
}

export type GateReason = keyof Gated;

/** An interface takes at most 255 filters in VPP (`u8 count`); two reasons, and one that ends. */
export const gateBuckets = 32;

/** The filter of the rules of one bucket (src/proxy/gate.ts). */
export function gateFilterName(reason: GateReason, bucket: number): string {
  return `gate-${reason}-${bucket}`;
}

/** The filters that there are for a reason, in order. */
export function gateFilterNames(gated: Gated, reason: GateReason): string[] {
  const buckets = [...gated[reason].keys()].sort((a, b) => a - b);
  return buckets.map((bucket) => gateFilterName(reason, bucket));
}

/** The same on every node and in every run. */
export function gateBucket(key: string): number {
  return fnv1a(key) % gateBuckets;
}

/** Why a Service is gated. */
export function gateReasons(service: Service | undefined): readonly GateReason[] {
  if (service === undefined || service.type === 'ExternalName') return [];
  const reasons: GateReason[] = [];
  if (service.type === 'LoadBalancer' && service.sourceRanges.length > 0) reasons.push('ranges');
  const outside =
    service.ports.some((port) => port.nodePort !== 0) ||
    service.externalIps.length + service.ingress.length > 0;
  if (outside && service.externalTrafficPolicy === 'Local') reasons.push('local');
  return reasons;
}

export type GatedIndex = { readonly [R in GateReason]: Map<number, Set<string>> };

export function createGated(): GatedIndex {
  return { ranges: new Map(), local: new Map() };
}

/** Brings one Service up to date; returns the reasons whose set of buckets changed. */
export function indexGated(
  index: GatedIndex,
  key: string,
  before: Service | undefined,
  after: Service | undefined,
): GateReason[] {
  const was = gateReasons(before);
  const is = gateReasons(after);
  const bucket = gateBucket(key);
  const changed: GateReason[] = [];
  for (const reason of was) {
    if (is.includes(reason)) continue;
    const keys = index[reason].get(bucket);
    keys?.delete(key);
    if (keys?.size !== 0) continue;
    index[reason].delete(bucket);
    changed.push(reason);
  }
  for (const reason of is) {
    const keys = index[reason].get(bucket);
    keys?.add(key);
    if (keys !== undefined) continue;
    index[reason].set(bucket, new Set([key]));
    changed.push(reason);
  }
  return changed;
}
