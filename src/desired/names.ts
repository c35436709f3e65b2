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

/** The loopbacks on which packets are translated after filters have seen them. */
export const uplinkGateName = 'gate-uplink';
export const hostGateName = 'gate-host';
/** One for all pods of the node. */
export const podsGateName = 'gate-pods';
