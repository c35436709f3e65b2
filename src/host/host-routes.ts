import {
  compareText,
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
import { addressesOf, type RecordedRoute, type UplinkState } from './uplink-state.ts';

/** VPP as the kernel sees it on the host link, and the kernel as VPP sees it. */
export const hostLinkAddresses: Readonly<
  Record<Family, { readonly vpp: Ip; readonly host: Ip; readonly length: number }>
> = {
  4: { vpp: ip('169.254.1.1'), host: ip('169.254.1.2'), length: 32 },
  6: { vpp: ip('fe80::1'), host: ip('fe80::2'), length: 64 },
};

/** What else the host reaches through VPP. */
export interface ClaimWishes {
  /** Whatever the host's default route: the prefixes of the cluster's pods and services. */
  readonly prefixes?: readonly Prefix[];
  /** The same for what BGP taught, unless somebody has a route of that very prefix. */
  readonly learned?: readonly Prefix[];
  /** First and last NodePort: local processes reach those of their own node through VPP. */
  readonly nodePorts?: readonly [number, number];
}

/** Behind every route that others are likely to add. */
const learnedMetric = 20_000;
/** The kernel's metric of an IPv6 route that was given none (IP6_RT_PRIO_USER). */
const defaultMetric6 = 1024;

/** rtm_protocol of our routes: what others add to the host link is not ours to delete. */
export const ownProtocol = 118;

/**
 * The host's routes through VPP, in the order that they need each other: VPP itself, what the
 * uplink's routes reached, and `prefixes`. Pure.
 */
export function planHostRoutes(
  state: UplinkState,
  link: number,
  wishes: Pick<ClaimWishes, 'prefixes' | 'learned'>,
): KernelRoute[] {
  return usedFamilies(state).flatMap((family) => {
    const { vpp } = hostLinkAddresses[family];
    const wanted = new Map<string, KernelRoute>();
    for (const route of throughVpp(state, family, wishes)) {
      const { prefix, table, tos, options } = route;
      const source = sourceFor(state, route);
      const metric = rankOf(route);
      wanted.set(`${prefix} ${metric ?? 0} ${table ?? ''} ${tos ?? ''}`, {
        ...{ prefix, link, gateway: vpp, onLink: true, source, protocol: ownProtocol },
        ...(metric === undefined ? {} : { metric }),
        ...(table === undefined ? {} : { table }),
        ...(tos === undefined ? {} : { tos }),
        ...(options === undefined ? {} : { options }),
      });
    }
    return [{ prefix: hostPrefix(vpp), link, protocol: ownProtocol }, ...wanted.values()];
  });
}

/** Where somebody insists on a route of the uplink, ours is the better one. */
function rankOf({ metric, outbid }: Destination): number | undefined {
  return metric === undefined || outbid !== true ? metric : metric - 1;
}

/** Only an IPv4 route with a metric has room before it; IPv6 is switched off on the uplink. */
export function canOutbid(route: RecordedRoute): boolean {
  return familyOf(route.prefix) === 4 && (route.metric ?? 0) > 0;
}

/** Same destination and rank: two such routes compete. */
export function isSameRank(a: Omit<KernelRoute, 'link'>, b: Omit<KernelRoute, 'link'>): boolean {
  return rankText(a) === rankText(b);
}

/** Same destination and rank, same way: what one `ip route` line says. */
export function isSameRoute(a: Omit<KernelRoute, 'link'>, b: Omit<KernelRoute, 'link'>): boolean {
  return routeText(a) === routeText(b);
}

/** The key of `isSameRoute`. */
export function routeText(route: Omit<KernelRoute, 'link'>): string {
  return `${rankText(route)} ${route.source ?? ''} ${waysOf(route)}`;
}

function rankText(route: Omit<KernelRoute, 'link'>): string {
  return `${route.prefix} ${metricOf(route)} ${route.table ?? ''} ${route.tos ?? ''}`;
}

/** The families in which the node has addresses. */
export function usedFamilies(state: UplinkState): Family[] {
  return ([4, 6] as const).filter((family) => addressesOf(state, family).length > 0);
}

type Destination = Pick<
  RecordedRoute,
  'prefix' | 'source' | 'metric' | 'table' | 'tos' | 'options' | 'outbid'
>;

function throughVpp(
  state: UplinkState,
  family: Family,
  { prefixes = [], learned = [] }: Pick<ClaimWishes, 'prefixes' | 'learned'>,
): Destination[] {
  const isOfFamily = (prefix: Prefix) => familyOf(prefix) === family;
  const moved = state.routes.filter((route) => isOfFamily(route.prefix));
  const subnets = addressesOf(state, family).map((a) => prefixOf(a.ip, a.length));
  const plain = moved.filter((route) => route.table === undefined && route.tos === undefined);
  const covered = new Set<Prefix>(plain.map((route) => route.prefix));
  // A subnet of one address is that address itself.
  const own = new Set(state.addresses.map((address) => hostPrefix(address.ip)));
  const added: Destination[] = [...subnets, ...prefixes.filter(isOfFamily)]
    .filter((prefix) => !covered.has(prefix))
    .map((prefix) => ({ prefix }));
  for (const { prefix } of added) covered.add(prefix);
  for (const prefix of learned)
    if (isOfFamily(prefix) && !covered.has(prefix)) added.push({ prefix, metric: learnedMetric });
  return [...added, ...moved].filter((route) => !own.has(route.prefix));
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

function waysOf(route: Omit<KernelRoute, 'link'>): string {
  const ways = (route.hops ?? [route]).map(({ gateway }) => gateway ?? 'direct');
  return ways.toSorted(compareText).join(' ');
}

function metricOf(route: Omit<KernelRoute, 'link'>): number {
  return route.metric ?? (familyOf(route.prefix) === 6 ? defaultMetric6 : 0);
}
