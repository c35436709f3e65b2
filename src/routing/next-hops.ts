import type { Ip } from '../core/ip.ts';
import { uplinkName } from '../desired/names.ts';
import type { Facts } from '../model/store.ts';
import { isOnLink } from './uplink.ts';

/**
 * The neighbours on the uplink that packets go to: gateways, other nodes, learned next hops.
 * Sorted and without doubles.
 */
export function onLinkNextHops(facts: Facts): Ip[] {
  const uplink = facts.uplink.get(uplinkName);
  if (uplink === undefined) return [];
  const own = new Set(uplink.addresses.map((address) => address.ip));
  const found = new Set<Ip>(uplink.gateways);
  for (const { gateways } of uplink.routes ?? []) for (const one of gateways) found.add(one);
  for (const address of facts.nodeOf.keys()) found.add(address);
  for (const route of facts.learnedRoutes.values())
    for (const nextHop of route.nextHops) found.add(nextHop);
  return [...found].filter((ip) => !own.has(ip) && isOnLink(uplink, ip)).toSorted();
}
