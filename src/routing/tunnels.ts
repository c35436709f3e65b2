import { familyOf, type Ip } from '../core/ip.ts';
import { tunnelName, uplinkName } from '../desired/names.ts';
import type { Rows } from '../desired/plan.ts';
import type { Config } from '../model/config.ts';
import type { Node, Uplink } from '../model/facts.ts';
import { isOnLink } from './uplink.ts';

/** Bytes that an outer header takes from the packet: RFC 2003, RFC 2473. */
const outerHeaderBytes: { readonly [F in 4 | 6]: number } = { 4: 20, 6: 40 };

/** What is needed to reach the pods of another node that is not in a subnet of ours. */
export function planTunnels(node: Node, uplink: Uplink, config: Config): Rows {
  const remotes = node.internalIps.filter((remote) => needsTunnel(uplink, config, remote));
  const tunnels = remotes.flatMap((destination) => {
    const own = uplink.addresses.find((a) => familyOf(a.ip) === familyOf(destination));
    if (own === undefined) return [];
    return [
      {
        name: tunnelName(destination),
        kind: 'ipip' as const,
        source: own.ip,
        destination,
        mtu: uplink.mtu - outerHeaderBytes[familyOf(destination)],
      },
    ];
  });
  const names = tunnels.map((tunnel) => tunnel.name);
  return {
    tunnels,
    addresses: names.map((name) => ({ kind: 'borrowed', interface: name, from: uplinkName })),
    natInterfaces: names.map((name) => ({ interface: name, role: 'tunnel' })),
    linkStates: names.map((name) => ({ interface: name, up: true })),
  };
}

/** Whether packets for a node's pods are encapsulated. */
export function needsTunnel(uplink: Uplink, config: Config, nodeAddress: Ip): boolean {
  switch (config.overlay.mode) {
    case 'none':
      return false;
    case 'full':
      return true;
    case 'subnet':
      return !isOnLink(uplink, nodeAddress);
  }
}
