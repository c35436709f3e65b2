import { familyOf, type Ip, type Prefix, prefixContains, prefixOf } from '../core/ip.ts';
import { addressFlags } from './addresses.ts';
import { canOutbid, isSameRank, isSameRoute } from './host-routes.ts';
import type { RecordedRoute, UplinkState } from './uplink-state.ts';

type Held = Pick<UplinkState, 'addresses' | 'routes'>;
type Address = UplinkState['addresses'][number];

/**
 * What a DHCP client, a network daemon or a person gave the uplink since it was claimed, taken
 * into the state. Pure.
 *
 * An address with a lifetime takes the place of the ones with a lifetime before it: a DHCP
 * client has one. One without is the node's in addition. Routes take the place of those with
 * the same destination and rank, and routes from or by an address that is gone go with it.
 * `again`: this process has claimed before, so a recorded route that is found was put back.
 */
export function takeOver(
  known: UplinkState,
  found: Held,
  again: boolean,
): Held & Pick<UplinkState, 'goneAddresses'> {
  const addresses = takeAddresses(known.addresses, found.addresses);
  const gone = known.addresses.filter((old) => !addresses.some(({ ip }) => ip === old.ip));
  const goneIps = gone.map(({ ip }) => ip);
  const kept = known.routes.filter((route) => isStillReached(route, addresses, gone));
  const goneAddresses = [...(known.goneAddresses ?? []), ...goneIps].filter(
    (ip) => !addresses.some((address) => address.ip === ip),
  );
  return {
    addresses,
    routes: takeRoutes(kept, found.routes, again),
    ...(goneAddresses.length === 0 ? {} : { goneAddresses: goneAddresses.slice(-goneMax) }),
  };
}

/** Addresses that are remembered to be gone until the host link has lost them for sure. */
const goneMax = 16;

function takeAddresses(known: readonly Address[], found: readonly Address[]): readonly Address[] {
  const renewed = known.map((old) => found.find(({ ip }) => ip === old.ip) ?? old);
  const added = found.filter((one) => !known.some(({ ip }) => ip === one.ip));
  const leased = new Set(added.filter(isLeased).map(({ ip }) => familyOf(ip)));
  const stays = (old: Address) =>
    !isLeased(old) || !leased.has(familyOf(old.ip)) || found.some(({ ip }) => ip === old.ip);
  return [...renewed.filter(stays), ...added];
}

function isLeased({ flags }: Address): boolean {
  return (flags & addressFlags.permanent) === 0;
}

function takeRoutes(
  known: readonly RecordedRoute[],
  found: readonly RecordedRoute[],
  again: boolean,
): RecordedRoute[] {
  const isKnown = (route: RecordedRoute) => known.some((old) => isSameRoute(old, route));
  const added = found.filter((route) => !isKnown(route));
  const kept = known.filter((old) => !added.some((route) => isSameRank(route, old)));
  const marked = kept.map((old): RecordedRoute => {
    const isBack = again && canOutbid(old) && found.some((route) => isSameRoute(route, old));
    return isBack ? { ...old, outbid: true } : old;
  });
  return [...marked, ...added];
}

/** False for a route whose source is gone, or whose gateway only a subnet that is gone reached. */
function isStillReached(
  route: RecordedRoute,
  addresses: readonly Address[],
  gone: readonly Address[],
): boolean {
  if (route.source !== undefined && gone.some(({ ip }) => ip === route.source)) return false;
  const isIn = (all: readonly Address[], gateway: Ip) =>
    all.some(({ ip, length }) => covers(prefixOf(ip, length), gateway));
  return (route.hops ?? [route]).every(
    ({ gateway }) => gateway === undefined || isIn(addresses, gateway) || !isIn(gone, gateway),
  );
}

function covers(subnet: Prefix, address: Ip): boolean {
  return familyOf(subnet) === familyOf(address) && prefixContains(subnet, address);
}
