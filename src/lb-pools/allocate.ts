import { compareText, familyOf, type Ip, parseIp, prefixContains } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Service } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { admits, firstFree, holds, type Pool } from './pools.ts';

/**
 * Which addresses the Services of type LoadBalancer have.
 *
 * The state is the Services' own status: an address that stands there and may stay, stays. So the
 * allocator needs no memory of its own, survives every restart, and its successor continues where
 * it stopped. Nothing has to be given back either: an address is free when no Service has it, and
 * that is why Services need no finalizer.
 */
export interface Allocator {
  /** Decides about the Services named; the others keep what they have. */
  decide(keys: Iterable<string>): readonly Decision[];
  /** Services that want an address and have none, and why; asked again when one is given back. */
  readonly waiting: ReadonlyMap<string, readonly Problem[]>;
}

export interface Decision {
  readonly key: string;
  /** What the status shall say; `[]` takes the addresses away. */
  readonly ips: readonly Ip[];
  readonly problems: readonly Problem[];
  /** Whether the status says something else now. */
  readonly changed: boolean;
}

/** `kube-vpp-router.io/load-balancer-ips: 203.0.113.7,2001:db8::7`; MetalLB's means the same. */
export const requestAnnotations = [
  'kube-vpp-router.io/load-balancer-ips',
  'metallb.io/loadBalancerIPs',
] as const;
/** Services with equal keys may share an address. */
export const sharingAnnotations = [
  'kube-vpp-router.io/sharing-key',
  'metallb.io/allow-shared-ip',
] as const;

export function createAllocator(
  facts: Facts,
  pools: () => readonly Pool[],
  ours: string,
): Allocator {
  const state: State = {
    facts,
    pools,
    ours,
    held: new Map(),
    holders: new Map(),
    waiting: new Map(),
  };
  return {
    waiting: state.waiting,
    decide(keys) {
      const sorted = [...new Set(keys)].sort((a, b) => byAge(facts, a, b));
      // What stands in a status counts before anybody chooses.
      for (const key of sorted) record(state, key, currentIps(state, key));
      return sorted
        .map((key) => decideOne(state, key))
        .filter((decision) => decision !== undefined);
    },
  };
}

interface State {
  readonly facts: Facts;
  readonly pools: () => readonly Pool[];
  readonly ours: string;
  /** Who has which addresses: those that we decided about, and those of others. */
  readonly held: Map<string, readonly Ip[]>;
  readonly holders: Map<Ip, Set<string>>;
  readonly waiting: Map<string, readonly Problem[]>;
}

function record({ held, holders }: State, key: string, ips: readonly Ip[]): void {
  for (const ip of held.get(key) ?? []) {
    holders.get(ip)?.delete(key);
    if (holders.get(ip)?.size === 0) holders.delete(ip);
  }
  if (ips.length === 0) held.delete(key);
  else held.set(key, ips);
  for (const ip of ips) holders.set(ip, (holders.get(ip) ?? new Set()).add(key));
}

/** What its status says; or what was decided, when the status does not say it yet. */
function currentIps({ facts, held }: State, key: string): readonly Ip[] {
  const service = facts.services.get(key);
  if (service === undefined) return [];
  const written = service.ingress.map((entry) => entry.ip);
  return written.length > 0 ? written : (held.get(key) ?? []);
}

function decideOne(state: State, key: string): Decision | undefined {
  const service = state.facts.services.get(key);
  const written = service?.ingress.map((entry) => entry.ip) ?? [];
  if (service === undefined || !isOurs(service, state.ours)) {
    state.waiting.delete(key);
    // Somebody else's status is not ours to change; our own is taken back.
    const released = service !== undefined && isReleased(service, state.pools());
    record(state, key, released ? [] : written);
    return released ? { key, ips: [], problems: [], changed: true } : undefined;
  }
  const current = currentIps(state, key);
  record(state, key, []);
  const { ips, problems } = assign(state, service, current);
  record(state, key, ips);
  if (problems.length > 0) state.waiting.set(key, problems);
  else state.waiting.delete(key);
  return { key, ips, problems, changed: ips.join() !== written.join() };
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
        : takeWanted(state, service, allowed, wanted);
    if (taken.ip !== undefined) ips.push(taken.ip);
    if (taken.problem !== undefined) problems.push(taken.problem);
  }
  return { ips, problems };
}

function takeWanted(state: State, service: Service, allowed: readonly Pool[], wanted: Ip): Taken {
  if (!allowed.some((pool) => holds(pool, wanted)))
    return refuse(service, 'AddressConflict', `${wanted} is in no pool that serves this Service`);
  const obstacle = obstacleOf(state, service, wanted);
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
  const usable = (ip: Ip) => obstacleOf(state, service, ip) === undefined;
  if (kept !== undefined && allowed.some((pool) => holds(pool, kept)) && usable(kept))
    return { ip: kept, problem: undefined };
  const automatic = allowed.filter((pool) => pool.config.autoAssign);
  const shared = sharedAddress(state, service, automatic, family);
  if (shared !== undefined) return { ip: shared, problem: undefined };
  for (const pool of automatic) {
    const ip = firstFree(pool, family, (one) => !state.holders.has(one) && usable(one));
    if (ip !== undefined) return { ip, problem: undefined };
  }
  const names = automatic.map((pool) => pool.name).join(', ');
  return automatic.some((pool) => pool.ranges.some((range) => range.family === family))
    ? refuse(service, 'AddressExhausted', `no IPv${family} address is left in ${names}`)
    : refuse(service, 'AddressExhausted', `no pool with IPv${family} serves this Service`);
}

/** The smallest address that Services with the same sharing key have. */
function sharedAddress(
  state: State,
  service: Service,
  pools: readonly Pool[],
  family: 4 | 6,
): Ip | undefined {
  if (annotation(service, sharingAnnotations) === undefined) return undefined;
  const candidates = [...state.holders.keys()]
    .filter((ip) => familyOf(ip) === family && pools.some((pool) => holds(pool, ip)))
    .filter((ip) => obstacleOf(state, service, ip) === undefined);
  return candidates.sort(compareText)[0];
}

/** Why a Service cannot have an address; undefined when it can. */
function obstacleOf({ facts, holders }: State, service: Service, ip: Ip): string | undefined {
  const reserved = reservedFor(facts, ip);
  if (reserved !== undefined) return reserved;
  for (const key of holders.get(ip) ?? []) {
    if (key === service.key) continue;
    const other = facts.services.get(key);
    const reason = other === undefined ? undefined : refusesToShare(service, other);
    if (reason !== undefined) return `is used by Service/${key}: ${reason}`;
  }
  return undefined;
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
  return service.ingress.some(({ ip }) => pools.some((pool) => holds(pool, ip)));
}

function familiesOf(service: Service): (4 | 6)[] {
  return [...new Set(service.clusterIps.map(familyOf))];
}

function requestedIps(service: Service): {
  readonly ips: readonly Ip[];
  readonly problems: Problem[];
} {
  const name = requestAnnotations.find((one) => service.annotations[one] !== undefined);
  const text = (name === undefined ? undefined : service.annotations[name]) ?? service.requestedIp;
  const problems: Problem[] = [];
  const ips: Ip[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const ip = parseIp(part);
    if (ip !== undefined) ips.push(ip);
    else
      problems.push({
        object: `Service/${service.key}`,
        field: name === undefined ? 'spec.loadBalancerIP' : `metadata.annotations[${name}]`,
        reason: `${JSON.stringify(part)} is no address; it is not asked for`,
      });
  }
  return { ips, problems };
}

function annotation(service: Service, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = service.annotations[name];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Why two Services cannot have one address; undefined when they can. */
function refusesToShare(a: Service, b: Service): string | undefined {
  const key = annotation(a, sharingAnnotations);
  if (key === undefined || key !== annotation(b, sharingAnnotations))
    return 'they have no sharing key in common';
  const portsOf = (service: Service) => service.ports.map((p) => `${p.port}/${p.protocol}`);
  const ports = portsOf(b);
  const clash = portsOf(a).find((port) => ports.includes(port));
  if (clash !== undefined) return `both have port ${clash}`;
  if (a.externalTrafficPolicy !== 'Cluster' || b.externalTrafficPolicy !== 'Cluster')
    return 'a shared address needs externalTrafficPolicy Cluster';
  const ranges = (service: Service) => [...service.sourceRanges].sort().join();
  return ranges(a) === ranges(b) ? undefined : 'their loadBalancerSourceRanges differ';
}

/** Addresses of nodes, pods and Services are nobody's. */
function reservedFor(facts: Facts, ip: Ip): string | undefined {
  if (facts.nodeOf.has(ip)) return `is an address of Node/${facts.nodeOf.get(ip) ?? ''}`;
  const config = facts.config.get('config');
  const inside = [...(config?.services.cidrs ?? []), ...(config?.pods.clusterCidrs ?? [])];
  return inside.some((range) => prefixContains(range, ip))
    ? 'belongs to the Services or pods of the cluster'
    : undefined;
}
