import type { Ip } from '../core/ip.ts';
import type { TunnelRow } from './rows.ts';

/** Names of the interfaces that every node has; they are VPP's tags too. */
export const uplinkName = 'uplink';
export const hostName = 'host';

/** The pod's interface is named after the host's end, which is unique on the node. */
export function podInterfaceName(hostInterface: string): string {
  return `pod-${hostInterface}`;
}

export function isPodInterface(name: string): boolean {
  return name.startsWith('pod-');
}

/** The kind is in the name: while one tunnel takes another's place, there are both. */
export function tunnelName(kind: TunnelRow['kind'], remote: Ip): string {
  return `${kind}-${remote}`;
}

/** Where a kind needs an interface of its own to receive. */
export function receivingTunnelName(kind: 'vxlan', remote: Ip): string {
  return `${kind}-in-${remote}`;
}

export function isTunnelName(name: string): boolean {
  return /^(ipip|gre|vxlan)-/.test(name);
}

/** The loopbacks on which packets are translated after filters have seen them. */
export const uplinkGateName = 'gate-uplink';
export const hostGateName = 'gate-host';
/** On which packets arrive again that leave by VXLAN: src/vpp/drivers/way-out.ts. */
export const wayOutName = 'gate-tunnels';
/** One for all pods of the node. */
export const podsGateName = 'gate-pods';

/** The filter of what the uplink and tunnels receive: src/policy/edge.ts. */
export const edgeName = 'edge';
