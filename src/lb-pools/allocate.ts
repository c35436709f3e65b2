import { type AddressRange, rangeOfPrefix, rangesContain } from '../core/address-range.ts';
import { compareText, familyOf, type Ip, ipToBigInt } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Config } from '../model/config.ts';
import type { Service } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { createFreeAddresses, type FreeAddresses, withoutRanges } from './free-addresses.ts';
import { createHolders, type Holders } from './holders.ts';
import { admits, type Pool } from './pools.ts';
import { requestedIps } from './requested.ts';
import { refusesToShare, sharingKeyOf } from './sharing.ts';

/**
 * Which addresses the Services of type LoadBalancer have.
 *
 * The state is the Services' own status: an address that stands there and may stay, stays. So the
 * allocator needs no memory of its own, survives every restart, and its successor continues where
 * it stopped. Nothing has to be given back either: an address is free when no Service has it, and
 * that is why Services need no finalizer.
 */
export interface Allocator {
  /**
   * Decides about the Services named, the older first, and about those that must make room; the
   * others keep what they have. `'all'`: pools, nodes or everything may have changed. One Service
   * a step: whoever asks may rest between two.
   */
  decide(keys: Iterable<string> | 'all'): Generator<Decision, void>;
  /** Services that want an address and have none, and why; asked again when one is given back. */
  readonly waiting: ReadonlyMap<string, readonly Problem[]>;
}

export interface Decision {
  readonly key: string;
  /** What the status shall say; `[]` takes the addresses away. */
  readonly ips: readonly Ip[];
  readonly problems: readonly Problem[];
  /** Of the Service about which was decided; a status of another version is not to be written. */
  readonly resourceVersion: string;
  /** Whether the status says something else now. */
  readonly changed: boolean;
}

/** `ours`: `spec.loadBalancerClass` of the Services that are served; '' for those without one. */
export function createAllocator(
  facts: Facts,
  pools: () => readonly Pool[],
  ours: () => string,
): Allocator {
  const state: State = {
    facts,
    pools,
    ours,
    holders: createHolders(),
    waiting: new Map(),
    pending: new Map(),
    evicted: new Set(),
    reserved: { config: undefined, ranges: [] },
    free: new Map(),
  };
  return {
    waiting: state.waiting,
    *decide(keys) {
      // Addresses of nodes that are gone are free again, and pools that are gone are forgotten.
      if (keys === 'all') state.free.clear();
      const named = keys === 'all' ? everybody(state) : keys;
      const sorted = [...new Set(named)].sort((a, b) => byAge(facts, a, b));
      // What stands in a status counts before anybody chooses.
      for (const key of sorted) record(state, key, currentIps(state, key));
      for (const key of sorted) yield decideOne(state, key);
      // Whoever is evicted is younger than all who were asked about the address.
      for (const key of state.evicted) yield decideOne(state, key);
    },
  };
}

interface State {
  readonly facts: Facts;
  readonly pools: () => readonly Pool[];
  readonly ours: () => string;
  readonly holders: Holders;
  readonly waiting: Map<string, readonly Problem[]>;
  /** The version of the Service for which another status was decided, until it is seen. */
  readonly pending: Map<string, string>;
  /** Services whose address an older one has, too: they are decided about next. */
  readonly evicted: Set<string>;
  /** Ranges of the cluster's pods and Services. */
  reserved: { readonly config: Config | undefined; readonly ranges: readonly AddressRange[] };
  readonly free: Map<Pool, FreeAddresses>;
}

/** Who has an address, wants one, or did when it was looked at last. */
function everybody({ facts, holders, waiting }: State): string[] {
  const keys = [...holders.keys(), ...waiting.keys()];
  for (const { key, type, ingress } of facts.services.values())
    if (type === 'LoadBalancer' || ingress.length > 0) keys.push(key);
  return keys;
}

function record(state: State, key: string, ips: readonly Ip[]): void {
  const service = state.facts.services.get(key);
  const sharingKey = service === undefined ? undefined : sharingKeyOf(service);
  for (const ip of state.holders.set(key, ips, sharingKey))
    for (const free of state.free.values()) free.giveBack(ip);
}

/** What its status says; or what was decided, when the status does not say it yet. */
function currentIps({ facts, holders, pending }: State, key: string): readonly Ip[] {
  const service = facts.services.get(key);
  if (service === undefined) return [];
  const { resourceVersion } = service;
  if (resourceVersion !== '' && pending.get(key) === resourceVersion) return holders.of(key);
  const written = service.ingress.map((entry) => entry.ip);
  return written.length > 0 ? written : holders.of(key);
}

function decideOne(state: State, key: string): Decision {
  const decision = choose(state, key);
  state.evicted.delete(key);
  record(state, key, decision.ips);
  if (decision.changed) state.pending.set(key, decision.resourceVersion);
  else state.pending.delete(key);
  if (decision.problems.length > 0) state.waiting.set(key, decision.problems);
  else state.waiting.delete(key);
  return decision;
}

function choose(state: State, key: string): Decision {
  const service = state.facts.services.get(key);
  const written = service?.ingress.map((entry) => entry.ip) ?? [];
  const resourceVersion = service?.resourceVersion ?? '';
  // Without pools somebody else gives out addresses.
  const stopped = state.pools().length === 0;
  if (service === undefined || stopped || !isOurs(service, state.ours())) {
    // Somebody else's status is not ours to change; our own is taken back.
    const released = service !== undefined && isReleased(service, state.pools());
    const ips = released ? [] : written;
    return { key, ips, problems: [], resourceVersion, changed: released };
  }
  const { ips, problems } = assign(state, service, currentIps(state, key));
  return { key, ips, problems, resourceVersion, changed: ips.join() !== written.join() };
}

function assign(
  state: State,
  service: Service,
  current: readonly Ip[],
): Pick<Decision, 'ips' | 'problems'> {
  const namespace = service.key.slice(0, service.key.indexOf('/'));
  const labels = state.facts.namespaces.get(namespace)?.labels;
  const allowed = state.pools().filter((pool) => admits(pool, service, labels));
  const asked = requestedIps(service);
  const problems: Problem[] = [...asked.problems];
  const ips: Ip[] = [];
  for (const family of familiesOf(service)) {
    const wanted = asked.ips.find((ip) => familyOf(ip) === family);
    // Whoever asked for addresses of one family alone gets no others.
    if (wanted === undefined && asked.ips.length > 0) continue;
    const kept = current.find((ip) => familyOf(ip) === family);
    const taken =
      wanted === undefined
        ? takeAny(state, service, allowed, { family, kept })
        : takeWanted(state, service, allowed, { wanted, stands: current.includes(wanted) });
    if (taken.ip !== undefined) ips.push(taken.ip);
    if (taken.problem !== undefined) problems.push(taken.problem);
  }
  return { ips, problems };
}

function takeWanted(
  state: State,
  service: Service,
  allowed: readonly Pool[],
  { wanted, stands }: { readonly wanted: Ip; readonly stands: boolean },
): Taken {
  if (!allowed.some((pool) => rangesContain(pool.ranges, wanted)))
    return refuse(service, 'AddressConflict', `${wanted} is in no pool that serves this Service`);
  const obstacle = obstacleOf(state, service, wanted, stands);
  return obstacle === undefined
    ? { ip: wanted, problem: undefined }
    : refuse(service, 'AddressConflict', `${wanted} ${obstacle}`);
}

function takeAny(
  state: State,
  service: Service,
  allowed: readonly Pool[],
  { family, kept }: { readonly family: 4 | 6; readonly kept: Ip | undefined },
): Taken {
  if (kept !== undefined && allowed.some((pool) => rangesContain(pool.ranges, kept)))
    if (obstacleOf(state, service, kept, true) === undefined)
      return { ip: kept, problem: undefined };
  const automatic = allowed.filter((pool) => pool.config.autoAssign);
  const shared = sharedAddress(state, service, automatic, family);
  if (shared !== undefined) return { ip: shared, problem: undefined };
  for (const pool of automatic) {
    const ip = freeOf(state, pool).first(family);
    if (ip !== undefined) return { ip, problem: undefined };
  }
  const names = automatic.map((pool) => pool.name).join(', ');
  return automatic.some((pool) => pool.ranges.some((range) => range.family === family))
    ? refuse(service, 'AddressExhausted', `no IPv${family} address is left in ${names}`)
    : refuse(service, 'AddressExhausted', `no pool with IPv${family} serves this Service`);
}

/** The free addresses of a pool; made again when the cluster has other ranges. */
function freeOf(state: State, pool: Pool): FreeAddresses {
  const before = state.reserved;
  const holes = reservedRanges(state);
  if (state.reserved !== before) state.free.clear();
  const known = state.free.get(pool);
  if (known !== undefined) return known;
  const isTaken = (ip: Ip) => state.holders.who(ip).size > 0 || state.facts.nodeOf.has(ip);
  const free = createFreeAddresses(withoutRanges(pool.ranges, holes), isTaken);
  state.free.set(pool, free);
  return free;
}

/** The smallest address that Services with the same sharing key have. */
function sharedAddress(
  state: State,
  service: Service,
  pools: readonly Pool[],
  family: 4 | 6,
): Ip | undefined {
  const sharingKey = sharingKeyOf(service);
  if (sharingKey === undefined) return undefined;
  let found: Ip | undefined;
  for (const ip of state.holders.shared(sharingKey)) {
    if (familyOf(ip) !== family || (found !== undefined && compareText(found, ip) <= 0)) continue;
    if (!pools.some((pool) => rangesContain(pool.ranges, ip))) continue;
    if (obstacleOf(state, service, ip, false) === undefined) found = ip;
  }
  return found;
}

/**
 * Why a Service cannot have an address; undefined when it can. Where it `stands` in the Service's
 * status already, younger Services that have it as well must look for another.
 */
function obstacleOf(state: State, service: Service, ip: Ip, stands: boolean): string | undefined {
  const { facts } = state;
  const younger: string[] = [];
  for (const key of state.holders.who(ip)) {
    const other = facts.services.get(key);
    if (key === service.key || other === undefined) continue;
    const reason = refusesToShare(service, other);
    if (reason === undefined) continue;
    // The status of another class is not ours to change, so it is we who give way to it.
    const yields = other.type !== 'LoadBalancer' || isOurs(other, state.ours());
    if (!stands || !yields || byAge(facts, key, service.key) < 0)
      return `is used by Service/${key}: ${reason}`;
    younger.push(key);
  }
  const reserved = reservedFor(state, ip);
  if (reserved === undefined) for (const key of younger) state.evicted.add(key);
  return reserved;
}

interface Taken {
  readonly ip: Ip | undefined;
  readonly problem: Problem | undefined;
}

function refuse(service: Service, event: string, reason: string): Taken {
  const object = `Service/${service.key}`;
  return { ip: undefined, problem: { object, field: 'status.loadBalancer', reason, event } };
}

/** The older Service first; of two of the same second the smaller name. */
function byAge(facts: Facts, a: string, b: string): number {
  const age = (key: string) => facts.services.get(key)?.createdMs ?? 0;
  return age(a) - age(b) || compareText(a, b);
}

/** Type LoadBalancer, with our class or, where ours is '', with none. */
export function isOurs(service: Service, ours: string): boolean {
  return service.type === 'LoadBalancer' && service.loadBalancerClass === ours;
}

/** It has another type now, and an address of our pools is still in its status. */
function isReleased(service: Service, pools: readonly Pool[]): boolean {
  if (service.type === 'LoadBalancer') return false;
  return service.ingress.some(({ ip }) => pools.some((pool) => rangesContain(pool.ranges, ip)));
}

function familiesOf(service: Service): (4 | 6)[] {
  return [...new Set(service.clusterIps.map(familyOf))];
}

/** Addresses of nodes, pods and Services are nobody's. */
function reservedFor(state: State, ip: Ip): string | undefined {
  const node = state.facts.nodeOf.get(ip);
  if (node !== undefined) return `is an address of Node/${node}`;
  const [family, value] = [familyOf(ip), ipToBigInt(ip)];
  return reservedRanges(state).some(
    (one) => one.family === family && one.first <= value && value <= one.last,
  )
    ? 'belongs to the Services or pods of the cluster'
    : undefined;
}

function reservedRanges(state: State): readonly AddressRange[] {
  const config = state.facts.config.get('config');
  if (config !== state.reserved.config) {
    const prefixes = [...(config?.services.cidrs ?? []), ...(config?.pods.clusterCidrs ?? [])];
    state.reserved = { config, ranges: prefixes.map(rangeOfPrefix) };
  }
  return state.reserved.ranges;
}
