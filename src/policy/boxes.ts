import {
  familyOf,
  type Prefix,
  prefix,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../core/ip.ts';
import { compressPrefixes, intersectPrefixes } from '../core/prefix-set.ts';
import type { ContainerPort, Protocol } from '../model/facts.ts';

/** Protocols and ports of a packet. Without ports: all of them; `any`: also what has no ports. */
export interface Service {
  readonly protocol: 'any' | Protocol;
  readonly ports?: readonly [first: number, last: number];
}

/** A set of packets: those with a peer in the prefix, and of the service. */
export interface Box extends Service {
  /** Addresses of the other end. */
  readonly remote: Prefix;
}

/** A union of boxes. A value that never changes, so that what follows from it is remembered by it. */
export type Part = readonly Box[];

/** A name of a container's port; without a protocol that of any protocol. */
export interface PortName {
  readonly name: string;
  readonly protocol?: Protocol;
}

export const everyAddress: readonly Prefix[] = [prefix('0.0.0.0/0'), prefix('::/0')];

export const anyService: readonly Service[] = [{ protocol: 'any' }];

/** Every packet. */
export const everything: Part = boxesOf(everyAddress, anyService);

export function boxesOf(remotes: readonly Prefix[], services: readonly Service[]): Part {
  return services.flatMap((service) => remotes.map((remote) => ({ remote, ...service })));
}

/** The same services in one order, without overlaps. */
export function mergeServices(services: readonly Service[]): readonly Service[] {
  if (services.some((one) => one.protocol === 'any')) return anyService;
  return (['SCTP', 'TCP', 'UDP'] as const).flatMap((protocol) => {
    const ranges = services
      .filter((one) => one.protocol === protocol)
      .map((one) => one.ports ?? allPorts)
      .toSorted((a, b) => a[0] - b[0]);
    return mergeRanges(ranges).map((ports) =>
      ports[0] === 0 && ports[1] === 65_535 ? { protocol } : { protocol, ports },
    );
  });
}

const allPorts: readonly [number, number] = [0, 65_535];

function mergeRanges(sorted: readonly (readonly [number, number])[]) {
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** Names the services, for caches. */
export function servicesKey(services: readonly Service[]): string {
  return services
    .map(({ protocol, ports }) =>
      ports === undefined ? protocol : `${protocol}${ports.join('-')}`,
    )
    .join(',');
}

/** The services behind a name on one pod (NP-11); none when it has no such port. */
export function namedServices(
  ports: readonly ContainerPort[],
  { name, protocol }: PortName,
): readonly Service[] {
  return ports
    .filter((port) => port.name === name && (protocol ?? port.protocol) === port.protocol)
    .map(({ protocol: of, containerPort }) => ({
      protocol: of,
      ports: [containerPort, containerPort],
    }));
}

/** What is in both: boxes of one family, protocol and range at a time. */
export function intersectParts(a: Part, b: Part): Part {
  if (a === everything) return b;
  if (b === everything) return a;
  const found: Box[] = [];
  const meet = (one: Box, other: Box) => {
    const box = intersectBoxes(one, other);
    if (box !== undefined) found.push(box);
  };
  // Of two prefixes that have something in common one holds the other.
  eachWithin(a, b, { orEqual: true }, meet);
  eachWithin(b, a, { orEqual: false }, meet);
  return compressBoxes(found);
}

/** Each box of `inner` with each of `outer` whose prefix holds its own. */
function eachWithin(
  inner: Part,
  outer: Part,
  { orEqual }: { readonly orEqual: boolean },
  meet: (one: Box, other: Box) => void,
): void {
  const byRemote = new Map<Prefix, Box[]>();
  for (const box of outer) {
    const same = byRemote.get(box.remote);
    if (same === undefined) byRemote.set(box.remote, [box]);
    else same.push(box);
  }
  const lengths = { 4: new Set<number>(), 6: new Set<number>() };
  for (const remote of byRemote.keys()) lengths[familyOf(remote)].add(prefixLength(remote));
  for (const box of inner) {
    const own = prefixLength(box.remote);
    for (const length of lengths[familyOf(box.remote)]) {
      if (length > own || (length === own && !orEqual)) continue;
      for (const other of byRemote.get(cut(box.remote, length)) ?? []) meet(box, other);
    }
  }
}

function cut(remote: Prefix, length: number): Prefix {
  return prefixLength(remote) === length ? remote : prefixOf(prefixAddress(remote), length);
}

/** Lengths of the blocks by which parts are told apart; selections have the same. */
const blockLengths = { 4: 24, 6: 120 } as const;

const blocks = new WeakMap<Part, ReadonlySet<Prefix> | 'wide'>();

/** The blocks in which all addresses of a part are; `wide` when some are not in one block. */
export function blocksOf(part: Part): ReadonlySet<Prefix> | 'wide' {
  let known = blocks.get(part);
  if (known === undefined) {
    const isWide = part.some(({ remote }) => prefixLength(remote) < blockLengths[familyOf(remote)]);
    known = isWide
      ? 'wide'
      : new Set(part.map(({ remote }) => cut(remote, blockLengths[familyOf(remote)])));
    blocks.set(part, known);
  }
  return known;
}

function intersectBoxes(a: Box, b: Box): Box | undefined {
  if (familyOf(a.remote) !== familyOf(b.remote)) return undefined;
  if (a.protocol !== b.protocol && a.protocol !== 'any' && b.protocol !== 'any') return undefined;
  const remote = intersectPrefixes(a.remote, b.remote);
  if (remote === undefined) return undefined;
  const protocol = a.protocol === 'any' ? b.protocol : a.protocol;
  const first = Math.max(a.ports?.[0] ?? 0, b.ports?.[0] ?? 0);
  const last = Math.min(a.ports?.[1] ?? 65_535, b.ports?.[1] ?? 65_535);
  if (first > last) return undefined;
  const isWhole = a.ports === undefined && b.ports === undefined;
  return isWhole ? { remote, protocol } : { remote, protocol, ports: [first, last] };
}

/** The same packets in fewer boxes, as far as boxes of one service go. */
export function compressBoxes(boxes: readonly Box[]): Part {
  const byService = new Map<string, { service: Service; remotes: Prefix[] }>();
  for (const { remote, ...service } of boxes) {
    const key = servicesKey([service]);
    const group = byService.get(key);
    if (group === undefined) byService.set(key, { service, remotes: [remote] });
    else group.remotes.push(remote);
  }
  const groups = [...byService].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return groups.flatMap(([, { service, remotes }]) =>
    boxesOf(compressPrefixes(remotes), [service]),
  );
}

/** What `compressBoxes` makes of all services at each of some prefixes that are compressed already. */
export function compressServices(remotes: readonly Prefix[], services: readonly Service[]): Part {
  const named = services.map((service) => [servicesKey([service]), service] as const);
  const sorted = named.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return boxesOf(
    remotes,
    sorted.map(([, service]) => service),
  );
}

/** Whether a packet is in one of the boxes; `port` is not looked at where the box has no ports. */
export function partHolds(
  part: Part,
  packet: { readonly remote: Prefix; readonly protocol: string; readonly port: number },
): boolean {
  return part.some(
    ({ remote, protocol, ports }) =>
      (protocol === 'any' || protocol === packet.protocol) &&
      (ports === undefined || (ports[0] <= packet.port && packet.port <= ports[1])) &&
      intersectPrefixes(remote, packet.remote) === packet.remote,
  );
}
