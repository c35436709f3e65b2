import {
  type Family,
  familyOf,
  hostPrefix,
  type Ip,
  ip,
  type Prefix,
  prefixContains,
  prefixOf,
} from '../core/ip.ts';
import { NetlinkError } from './netlink-error.ts';
import type { KernelRoute } from './routes.ts';
import { addressesOf, type UplinkState } from './uplink-state.ts';

/** VPP as the kernel sees it on the host link, and the kernel as VPP sees it. */
export const hostLinkAddresses: Readonly<
  Record<Family, { readonly vpp: Ip; readonly host: Ip; readonly length: number }>
> = {
  4: { vpp: ip('169.254.1.1'), host: ip('169.254.1.2'), length: 32 },
  6: { vpp: ip('fe80::1'), host: ip('fe80::2'), length: 64 },
};

/** The kernel's metric of an IPv6 route that was given none (IP6_RT_PRIO_USER). */
const defaultMetric6 = 1024;

/**
 * The host's routes through VPP, in the order that they need each other: VPP itself, what the
 * uplink's routes reached, and `prefixes`. Pure.
 */
export function planHostRoutes(
  state: UplinkState,
  link: number,
  prefixes: readonly Prefix[],
): KernelRoute[] {
  return usedFamilies(state).flatMap((family) => {
    const { vpp } = hostLinkAddresses[family];
    const wanted = new Map<string, KernelRoute>();
    for (const route of throughVpp(state, family, prefixes)) {
      const source = sourceFor(state, route);
      const metric = route.metric === undefined ? {} : { metric: route.metric };
      const moved = { prefix: route.prefix, link, gateway: vpp, onLink: true, source, ...metric };
      wanted.set(`${route.prefix} ${route.metric ?? 0}`, moved);
    }
    return [{ prefix: hostPrefix(vpp), link }, ...wanted.values()];
  });
}

/** Same destination and rank, same way: what one `ip route` line says. */
export function isSameRoute(a: Omit<KernelRoute, 'link'>, b: Omit<KernelRoute, 'link'>): boolean {
  return (
    a.prefix === b.prefix &&
    a.gateway === b.gateway &&
    a.source === b.source &&
    metricOf(a) === metricOf(b)
  );
}

/** The families in which the node has addresses. */
export function usedFamilies(state: UplinkState): Family[] {
  return ([4, 6] as const).filter((family) => addressesOf(state, family).length > 0);
}

type Destination = Pick<KernelRoute, 'prefix' | 'source' | 'metric'>;

function throughVpp(state: UplinkState, family: Family, prefixes: readonly Prefix[]) {
  const moved = state.routes.filter((route) => familyOf(route.prefix) === family);
  const subnets = addressesOf(state, family).map((a) => prefixOf(a.ip, a.length));
  const covered = new Set<Prefix>(moved.map((route) => route.prefix));
  // A subnet of one address is that address itself.
  for (const address of state.addresses) covered.add(hostPrefix(address.ip));
  const more = [...subnets, ...prefixes.filter((prefix) => familyOf(prefix) === family)];
  const added = more.filter((prefix) => !covered.has(prefix)).map((prefix) => ({ prefix }));
  const all: Destination[] = [...added, ...moved];
  return all.filter((route) => !state.addresses.some((a) => hostPrefix(a.ip) === route.prefix));
}

/** The route's own source, else the address inside it, else the family's first. */
function sourceFor(state: UplinkState, route: Destination): Ip {
  if (route.source !== undefined) return route.source;
  const candidates = addressesOf(state, familyOf(route.prefix)).map((address) => address.ip);
  const inside = candidates.find((address) => prefixContains(route.prefix, address));
  const source = inside ?? candidates[0];
  if (source === undefined) throw new NetlinkError(`route ${route.prefix}`, 0, 'has no source');
  return source;
}

function metricOf(route: Omit<KernelRoute, 'link'>): number {
  return route.metric ?? (familyOf(route.prefix) === 6 ? defaultMetric6 : 0);
}
