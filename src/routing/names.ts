import type { Ip } from '../core/ip.ts';

/** Names of the interfaces that every node has; they are VPP's tags too. */
export const uplinkName = 'uplink';
export const hostName = 'host';

/** The pod's interface is named after the host's end, which is unique on the node. */
export function podInterfaceName(hostInterface: string): string {
  return `pod-${hostInterface}`;
}

export function tunnelName(remote: Ip): string {
  return `ipip-${remote}`;
}
