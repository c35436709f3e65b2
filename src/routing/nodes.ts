import { familyOf, type Ip } from '../core/ip.ts';
import { pathRow, peerRow } from '../desired/bgp.ts';
import { uplinkName } from '../desired/names.ts';
import { emptyPlan, type Plan, type Planner, type Rows } from '../desired/plan.ts';
import type { Config } from '../model/config.ts';
import type { Node, Uplink } from '../model/facts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { planTunnels } from './tunnels.ts';

/**
 * Nodes become the routing of the cluster: this node's BGP speaker with the prefixes of its
 * pods, an iBGP session with every other node (full mesh), and an IPIP tunnel to those nodes
 * that are not in a subnet of ours.
 */
export const nodePlanner: Planner<Facts, ChangedKeys> = {
  name: 'nodes',
  kind: 'Node',
  owners: (facts) => facts.nodes.keys(),
  touched(_facts, changed) {
    if (changed.config || changed.uplink) return 'all';
    return changed.nodes ?? [];
  },
  plan(facts, owner) {
    const node = facts.nodes.get(owner);
    const uplink = facts.uplink.get(uplinkName);
    const config = facts.config.get('config');
    if (node === undefined || uplink === undefined || config === undefined) return emptyPlan;
    return owner === config.nodeName
      ? planSelf(node, uplink, config)
      : planOther(node, uplink, config);
  },
};

function planSelf(node: Node, uplink: Uplink, config: Config): Plan {
  const addresses = uplink.addresses.map((address) => address.ip);
  const routerId = routerIdOf(config, addresses);
  if (!config.bgp.enabled) return emptyPlan;
  if (routerId === undefined) {
    const reason = 'a node without an IPv4 address needs a router id; BGP is off';
    return { rows: {}, problems: [{ object: 'config', field: 'bgp.routerId', reason }] };
  }
  const rows: Rows = {
    bgpServer: [
      {
        asn: config.bgp.asn,
        routerId,
        port: config.bgp.port,
        listenAddresses:
          config.bgp.listenAddresses.length > 0 ? config.bgp.listenAddresses : addresses,
      },
    ],
    bgpPaths: node.podCidrs.flatMap((prefix) => {
      const nextHop = addresses.find((address) => familyOf(address) === familyOf(prefix));
      return nextHop === undefined ? [] : [pathRow(prefix, nextHop)];
    }),
  };
  return { rows, problems: [] };
}

function routerIdOf(config: Config, addresses: readonly Ip[]): Ip | undefined {
  const first = addresses.find((address) => familyOf(address) === 4);
  return config.bgp.routerId === '' ? first : (config.bgp.routerId as Ip);
}

function planOther(node: Node, uplink: Uplink, config: Config): Plan {
  const rows: Rows = {
    natExclusions: node.podCidrs.map((prefix) => ({ prefix })),
    ...planTunnels(node, uplink, config),
    ...(config.bgp.enabled ? { bgpPeers: planPeers(node, uplink, config) } : {}),
  };
  return { rows, problems: [] };
}

/** One session per pair of nodes carries both families. */
function planPeers(node: Node, uplink: Uplink, config: Config) {
  const own = uplink.addresses.map((address) => address.ip);
  const address = node.internalIps.find((ip) => own.some((o) => familyOf(o) === familyOf(ip)));
  if (address === undefined) return [];
  const localAddress = own.find((o) => familyOf(o) === familyOf(address));
  if (localAddress === undefined) return [];
  return [
    peerRow({
      address,
      asn: config.bgp.asn,
      port: config.bgp.port,
      localAddress,
      holdTimeSeconds: config.bgp.holdTimeSeconds,
      // Both call: whoever starts second finds the other listening, and the session is up at
      // once instead of after the other's next try (RFC 4271 section 6.8 resolves collisions).
      passive: false,
      description: `node/${node.key}`,
    }),
  ];
}
