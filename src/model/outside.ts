import { addToGroup, type Groups, removeFromGroup } from '../core/groups.ts';
import type { Service } from './facts.ts';

/**
 * The Services that answer from outside, by the places where they may: an index of `services`,
 * kept by the store. Two Services may name one address; who gets a frontend is then decided by
 * their names (src/desired/desired.ts).
 */
export type Outside = ReadonlyMap<string, ReadonlySet<string>>;
export type OutsideIndex = Groups<string, string>;

/** Place of all frontends with that number on the node's own addresses. */
export function nodePortPlace(port: number): string {
  return `node port ${port}`;
}

/** Addresses, and node ports, of a Service that is not only for the cluster. */
function placesOf(service: Service | undefined): ReadonlySet<string> {
  if (service === undefined || service.type === 'ExternalName') return new Set();
  const { ingress, externalIps, ports } = service;
  return new Set([
    ...ingress.map((one) => one.ip),
    ...externalIps,
    ...ports.filter((one) => one.nodePort !== 0).map((one) => nodePortPlace(one.nodePort)),
  ]);
}

/** The Services that answer at one of the places; there may be repetitions. */
export function servicesAt(outside: Outside, places: Iterable<string> = []): string[] {
  return [...places].flatMap((place) => [...(outside.get(place) ?? [])]);
}

/** Brings one Service up to date; returns the places where it is or was. */
export function indexOutside(
  index: OutsideIndex,
  key: string,
  before: Service | undefined,
  after: Service | undefined,
): ReadonlySet<string> {
  const was = placesOf(before);
  const is = placesOf(after);
  for (const place of was) if (!is.has(place)) removeFromGroup(index, place, key);
  for (const place of is) addToGroup(index, place, key);
  return new Set([...was, ...is]);
}
