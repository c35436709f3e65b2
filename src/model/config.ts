import type { Ip, Prefix } from '../core/ip.ts';

/** The validated configuration file. Schema and defaults: src/config. */
export interface Config {
  readonly nodeName: string;
  readonly vpp: {
    readonly apiSocket: string;
    readonly statsSocket: string;
  };
  readonly uplink: {
    /** Kernel name of the interface that VPP takes over. */
    readonly interface: string;
  };
  readonly pods: {
    readonly interfaceKind: 'auto' | 'veth' | 'tap';
    readonly mtu: number;
    /** Prefixes of the whole cluster's pods: never masqueraded. */
    readonly clusterCidrs: readonly Prefix[];
  };
  readonly services: {
    /** Answered with ICMP unreachable where no Service matches. */
    readonly cidrs: readonly Prefix[];
    /** NodePorts answer on node addresses inside these; empty means all of the node's addresses. */
    readonly nodePortAddresses: readonly Prefix[];
  };
  readonly bgp: {
    readonly enabled: boolean;
    /** Unix socket of GoBGP's gRPC API. */
    readonly apiSocket: string;
    readonly asn: number;
    readonly port: number;
    /** Empty: derived from the node's first IPv4 address. */
    readonly routerId: string;
    /** Local addresses to listen on; empty means the node's own. */
    readonly listenAddresses: readonly Ip[];
    readonly holdTimeSeconds: number;
  };
  readonly overlay: {
    /** `subnet`: tunnel only to nodes of another subnet; `full`: to all; `none`: never. */
    readonly mode: 'subnet' | 'full' | 'none';
  };
}
