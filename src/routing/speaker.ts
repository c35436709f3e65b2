import { compareText, familyOf, type Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { pathRow } from '../desired/bgp.ts';
import { podsMarker } from '../desired/markers.ts';
import { uplinkName } from '../desired/names.ts';
import { emptyPlan, type Plan, type Planner } from '../desired/plan.ts';
import type { BgpPathRow, BgpServerRow } from '../desired/rows.ts';
import { asnOf, type NodeBgp, nodeBgp } from '../model/bgp-annotations.ts';
import type { Config } from '../model/config.ts';
import type { Node } from '../model/facts.ts';
import { hasChanged } from '../model/node-parts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { planExternalPeers } from './external-peers.ts';
import { planPolicies } from './policies.ts';

/** The one owner of what this node's BGP speaker is. */
const owner = 'speaker';

/**
 * This node's BGP speaker: its AS and id, the prefixes of its pods, its neighbours outside of the
 * mesh, and what may pass between them.
 */
export const speakerPlanner: Planner<Facts, ChangedKeys> = {
  name: 'speaker',
  kind: 'Node',
  owners: () => [owner],
  touched(facts, changed) {
    const own = facts.config.get('config')?.nodeName ?? '';
    const { config, uplink, nodes, passwords, departure, bfdDown } = changed;
    // A neighbour may turn out to be a node.
    const node = nodes?.has(own) || hasChanged(changed, 'way');
    const any = config || uplink || node || passwords || departure || bfdDown;
    return any ? [owner] : [];
  },
  plan(facts) {
    const config = facts.config.get('config');
    const uplink = facts.uplink.get(uplinkName);
    const self = config === undefined ? undefined : facts.nodes.get(config.nodeName);
    // Without its Node nobody knows the AS and the role of this speaker.
    if (config === undefined || uplink === undefined || self === undefined) return emptyPlan;
    if (!config.bgp.enabled) return emptyPlan;
    const addresses = uplink.addresses.map((address) => address.ip);
    const own = nodeBgp(self);
    const server = planServer(config, self, addresses);
    if (server === undefined) {
      const reason = 'a node without an IPv4 address needs a router id; BGP is off';
      return { rows: {}, problems: [{ object: 'config', field: 'bgp.routerId', reason }] };
    }
    const { rows, accepted, problems } = planExternalPeers(facts, config, uplink, self);
    return {
      rows: {
        bgpServer: [server],
        bgpPolicies: planPolicies(facts, config, self, accepted),
        bgpPaths: planPodPaths(self, addresses),
        // What nobody has of it must not follow the default route back to whom we told of it.
        routes: config.bgp.advertise.aggregates.map((prefix) => ({
          prefix,
          paths: [{ kind: 'reject' as const }],
        })),
        ...rows,
      },
      problems: [...own.problems, ...problems, ...orphans(own, config)],
    } satisfies Plan;
  },
};

function planServer(
  config: Config,
  self: Node,
  addresses: readonly Ip[],
): BgpServerRow | undefined {
  const first = addresses.find((address) => familyOf(address) === 4);
  const routerId = config.bgp.routerId === '' ? first : (config.bgp.routerId as Ip);
  if (routerId === undefined) return undefined;
  // In one order: the kernel's own says nothing.
  const all = addresses.toSorted(compareText);
  const configured = config.bgp.listenAddresses.length > 0 ? config.bgp.listenAddresses : all;
  const { listenAddresses } = nodeBgp(self);
  return {
    asn: asnOf(config, self),
    routerId,
    port: config.bgp.port,
    listenAddresses: listenAddresses.length > 0 ? listenAddresses : configured,
  };
}

function planPodPaths(self: Node, addresses: readonly Ip[]): BgpPathRow[] {
  return self.podCidrs.flatMap((prefix) => {
    const nextHop = addresses.find((address) => familyOf(address) === familyOf(prefix));
    return nextHop === undefined ? [] : [pathRow(prefix, nextHop, { communities: [podsMarker] })];
  });
}

function orphans(own: NodeBgp, config: Config): Problem[] {
  if (own.reflector === undefined || own.reflectorClient === undefined) return [];
  return [
    {
      object: `Node/${config.nodeName}`,
      field: 'metadata.annotations[kube-router.io/rr.client]',
      reason: 'a node cannot be a route reflector and its client; it is the reflector',
    },
  ];
}
