import { familyOf, type Ip, type Prefix, prefixContains, prefixLength } from '../core/ip.ts';
import { uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { RoutePath } from '../desired/rows.ts';
import { equalRows } from '../desired/table.ts';
import { sortPaths } from '../desired/tables.ts';
import type { Config } from '../model/config.ts';
import { encapsulationTo } from '../model/encapsulation.ts';
import type { Uplink } from '../model/facts.ts';
import { hasChanged } from '../model/node-parts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { needsTunnel, tunnelPath } from './tunnels.ts';
import { isOnLink, isOwnAddress } from './uplink.ts';

/**
 * Best paths from BGP become routes: direct to a next hop in our subnet, through the node's
 * tunnel when the next hop is a node elsewhere, and by the gateway otherwise. Next hops that BFD
 * saw go down are left out without waiting for BGP; a route that has no other goes.
 */
export const learnedRoutePlanner: Planner<Facts, ChangedKeys> = {
  name: 'learned routes',
  kind: 'Route',
  owners: (facts) => facts.learnedRoutes.keys(),
  touched(facts, changed) {
    if (changed.config || changed.uplink || hasChanged(changed, 'way')) return 'all';
    const own = facts.config.get('config')?.nodeName ?? '';
    if (hasChanged(changed, 'pods', own)) return 'all';
    const { learnedRoutes, bfdDown } = changed;
    if (bfdDown === undefined) return learnedRoutes ?? [];
    const touched = new Set(learnedRoutes);
    for (const [key, { nextHops }] of facts.learnedRoutes)
      if (nextHops.some((nextHop) => bfdDown.has(nextHop))) touched.add(key);
    return touched;
  },
  plan(facts, owner) {
    const learned = facts.learnedRoutes.get(owner);
    const uplink = facts.uplink.get(uplinkName);
    const config = facts.config.get('config');
    if (learned === undefined || uplink === undefined || config === undefined) return emptyPlan;
    if (isOwnAddress(uplink, learned.prefix)) return emptyPlan;
    // The node's own default route stands; BGP's is used where there is none.
    if (prefixLength(learned.prefix) === 0 && hasGateway(uplink, learned.prefix)) return emptyPlan;
    const ownCidrs = facts.nodes.get(config.nodeName)?.podCidrs ?? [];
    if (ownCidrs.includes(learned.prefix)) return emptyPlan;
    const alive = learned.nextHops.filter((nextHop) => !facts.bfdDown.has(nextHop));
    // The neighbour itself is a problem already (speaker.ts), and there may be very many routes.
    if (alive.length === 0) return emptyPlan;
    const paths = distinct(
      alive.flatMap((nextHop) =>
        pathTo(facts, { uplink, config }, { prefix: learned.prefix, nextHop }),
      ),
    );
    if (paths.length === 0) {
      const reason = `no way to next hop ${alive.join(', ')}; the route is not used`;
      return { rows: {}, problems: [{ object: `Route/${owner}`, field: 'nextHop', reason }] };
    }
    return {
      rows: {
        routes: [{ prefix: learned.prefix, paths }],
      },
      problems: [],
    };
  },
};

/** More ways to one prefix than that make no packet faster. */
const ecmpMax = 64;

/** Sorted. Several next hops may be behind one gateway. */
function distinct(paths: readonly RoutePath[]): readonly RoutePath[] {
  if (paths.length < 2) return paths;
  const sorted = sortPaths(paths);
  return sorted.filter((path, i) => !equalRows(path, sorted[i - 1])).slice(0, ecmpMax);
}

function pathTo(
  facts: Facts,
  { uplink, config }: { readonly uplink: Uplink; readonly config: Config },
  way: { readonly prefix: Prefix; readonly nextHop: Ip },
): RoutePath[] {
  const { nextHop } = way;
  const node = facts.nodeOf.get(nextHop);
  if (node !== undefined && needsTunnel(uplink, config, nextHop))
    return [tunnelPath(encapsulationTo(facts.nodes.get(node), config), way)];
  if (isOnLink(uplink, nextHop)) return [{ kind: 'forward', interface: uplinkName, nextHop }];
  return gatewaysTo(uplink, nextHop).map((gateway) => ({
    kind: 'forward',
    interface: uplinkName,
    nextHop: gateway,
  }));
}

function hasGateway(uplink: Uplink, to: Prefix): boolean {
  return uplink.gateways.some((gateway) => familyOf(gateway) === familyOf(to));
}

/** As the node itself would go there: its longest route wins, a default route is the shortest. */
function gatewaysTo(uplink: Uplink, nextHop: Ip): readonly Ip[] {
  const special = (uplink.routes ?? [])
    .filter((route) => prefixContains(route.prefix, nextHop))
    .toSorted((a, b) => prefixLength(b.prefix) - prefixLength(a.prefix))[0];
  if (special !== undefined) return special.gateways;
  const gateway = uplink.gateways.find((address) => familyOf(address) === familyOf(nextHop));
  return gateway === undefined ? [] : [gateway];
}
