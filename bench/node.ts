import { ip } from '../src/core/ip.ts';
import type { Config } from '../src/model/config.ts';
import type { Uplink } from '../src/model/facts.ts';
import { ownNode } from './objects.ts';

/** What the daemon of a bench knows of its own node. */
export const benchConfig = {
  nodeName: ownNode,
  pods: { interfaceKind: 'auto', mtu: 1480, clusterCidrs: [] },
  services: {
    cidrs: [],
    nodePortAddresses: [],
    nodePortRange: [30_000, 32_767],
    externalIpRanges: [],
    strictSourceRanges: false,
    drainSeconds: 60,
  },
  loadBalancer: { class: '', leaseNamespace: 'kube-system', pools: [] },
  bgp: { enabled: false, asn: 64512, port: 179, routerId: ip('192.0.2.1'), listenAddresses: [] },
  overlay: { mode: 'none' },
  policy: { denied: 'drop' },
} as unknown as Config;

/** The network interfaces of a node of a node; bench/links.ts makes them. */
export const benchUplink: Uplink = {
  interface: 'bench-up',
  addresses: [{ ip: ip('192.0.2.1'), length: 24 }],
  gateways: [],
  mtu: 1500,
  mac: '02:00:00:00:00:01',
  hostLink: {
    vppInterface: 'bench-host',
    vppMac: '02:00:00:00:00:02',
    hostMac: '02:00:00:00:00:03',
  },
};
