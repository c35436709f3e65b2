import { familyOf, type Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { peerRow } from '../desired/bgp.ts';
import { uplinkName } from '../desired/names.ts';
import { emptyPlan, type Plan, type Planner, type Rows } from '../desired/plan.ts';
import type { BgpPeerRow } from '../desired/rows.ts';
import { asnOf, type NodeBgp, nodeBgp } from '../model/bgp-annotations.ts';
import type { Config } from '../model/config.ts';
import { encapsulationProblems, podMtuProblems } from '../model/encapsulation.ts';
import type { Node, Uplink } from '../model/facts.ts';
import { hasChanged } from '../model/node-parts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { keepaliveOf, missingPassword, passwordOf } from './external-peers.ts';
import { planTunnels } from './tunnels.ts';

/**
 * The other nodes: an iBGP session with those of our AS, all of them or by way of route
 * reflectors, and a tunnel to those that are not in a subnet of ours.
 */
export const nodePlanner: Planner<Facts, ChangedKeys> = {
  name: 'nodes',
  kind: 'Node',
  owners: (facts) => facts.nodes.keys(),
  touched(facts, changed) {
    if (changed.config || changed.uplink || changed.passwords) return 'all';
    // They decide about all sessions.
    const own = facts.config.get('config')?.nodeName ?? '';
    if (hasChanged(changed, 'role', own)) return 'all';
    // How this node receives decides which tunnels it has with each of the others.
    if (hasChanged(changed, 'way', own)) return 'all';
    return changed.nodes ?? [];
  },
  plan(facts, owner) {
    const node = facts.nodes.get(owner);
    const uplink = facts.uplink.get(uplinkName);
    const config = facts.config.get('config');
    if (node === undefined || uplink === undefined || config === undefined) return emptyPlan;
    const problems = encapsulationProblems(node, config);
    // What else this node is: speaker.ts.
    if (owner === config.nodeName)
      return { rows: {}, problems: [...problems, ...podMtuProblems(config, uplink)] };
    const self = facts.nodes.get(config.nodeName);
    const session = planSession(facts, node, uplink, config);
    return {
      rows: {
        natExclusions: node.podCidrs.map((prefix) => ({ prefix })),
        ...planTunnels(node, self, { uplink, config }),
        ...session.rows,
      },
      problems: [...problems, ...session.problems],
    } satisfies Plan;
  },
};

interface Session {
  readonly rows: Rows;
  readonly problems: readonly Problem[];
}

const none: Session = { rows: {}, problems: [] };

/** One session per pair of nodes carries both families. */
function planSession(facts: Facts, node: Node, uplink: Uplink, config: Config): Session {
  const self = facts.nodes.get(config.nodeName);
  // Without our own Node nobody knows our AS and role.
  if (!config.bgp.enabled || !config.bgp.nodeMesh || self === undefined) return none;
  const asn = asnOf(config, node);
  if (asn !== asnOf(config, self)) return none;
  const role = roleTowards(nodeBgp(self), nodeBgp(node));
  if (role === 'none') return none;
  const ends = endsOf(node, uplink);
  if (ends === undefined) return none;
  const password = passwordOf(facts, config.bgp.nodePasswordKey);
  if (password === undefined)
    return {
      rows: {},
      problems: [
        {
          object: 'config',
          field: 'bgp.nodePasswordKey',
          reason: missingPassword(config.bgp, config.bgp.nodePasswordKey),
        },
      ],
    };
  const { holdTimeSeconds, gracefulRestartSeconds, longLivedSeconds } = config.bgp;
  const row: BgpPeerRow = peerRow({
    ...ends,
    asn,
    port: config.bgp.port,
    holdTimeSeconds,
    keepaliveSeconds: keepaliveOf(config.bgp, holdTimeSeconds),
    connectRetrySeconds: config.bgp.connectRetrySeconds,
    // Both call: whoever starts second finds the other listening, and the session is up at
    // once instead of after the other's next try (RFC 4271 section 6.8 resolves collisions).
    passive: false,
    password: password.row,
    reflectorClusterId: role === 'client' ? nodeBgp(self).reflector : undefined,
    gracefulRestartSeconds,
    longLivedSeconds,
    description: `node/${node.key}`,
  });
  return { rows: { bgpPeers: [row] }, problems: [] };
}

/**
 * What another node is to this one (RFC 4456): a client has sessions with the reflectors of its
 * cluster only, a reflector with everybody but the clients of other clusters.
 */
function roleTowards(own: NodeBgp, other: NodeBgp): 'peer' | 'client' | 'none' {
  const ownClient = own.reflector === undefined ? own.reflectorClient : undefined;
  const otherClient = other.reflector === undefined ? other.reflectorClient : undefined;
  if (ownClient !== undefined) return other.reflector === ownClient ? 'peer' : 'none';
  if (otherClient === undefined) return 'peer';
  return own.reflector === otherClient ? 'client' : 'none';
}

function endsOf(node: Node, uplink: Uplink): { address: Ip; localAddress: Ip } | undefined {
  const own = uplink.addresses.map((address) => address.ip);
  const address = node.internalIps.find((ip) => own.some((o) => familyOf(o) === familyOf(ip)));
  if (address === undefined) return undefined;
  const localAddress = own.find((o) => familyOf(o) === familyOf(address));
  return localAddress === undefined ? undefined : { address, localAddress };
}
