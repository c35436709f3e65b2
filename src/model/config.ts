import type { Ip, Prefix } from '../core/ip.ts';
import type { BgpConfig } from './bgp-config.ts';
import type { Encapsulation } from './encapsulation.ts';

/** How much the daemon logs. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** Addresses for Services of type LoadBalancer. */
export interface PoolConfig {
  readonly name: string;
  /** Prefixes, or `first-last`. */
  readonly addresses: readonly string[];
  /** Names; empty: every namespace. */
  readonly namespaces: readonly string[];
  /** Labels that the namespace must have. */
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Labels that the Service must have. */
  readonly serviceLabels: Readonly<Record<string, string>>;
  /** False: only for Services that ask for an address of it. */
  readonly autoAssign: boolean;
  /** What its addresses are announced with. */
  readonly bgp: PoolBgpConfig;
}

export interface PoolBgpConfig {
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Names of the peers that hear of the addresses; empty: all. */
  readonly peers: readonly string[];
}

/** The validated configuration file. Schema, bounds and defaults: src/config/schema.ts. */
export interface Config {
  /** Name of this daemon's Node object. */
  readonly nodeName: string;
  readonly kube: {
    /** Path of a kubeconfig; empty: the pod's service account. */
    readonly kubeconfig: string;
    /** Replaces the server of the credentials: `https://…`, `http://…` or `unix:/path`; empty: as they say. */
    readonly server: string;
  };
  readonly vpp: {
    readonly apiSocket: string;
    readonly statsSocket: string;
    /** VPP's /tmp, as the daemon sees it. */
    readonly tmpDir: string;
  };
  readonly uplink: {
    /** Kernel name of the interface that VPP takes over. */
    readonly interface: string;
  };
  readonly pods: {
    readonly interfaceKind: 'auto' | 'veth' | 'tap';
    /** 0: what passes the configured encapsulation in one piece. */
    readonly mtu: number;
    /** Prefixes of the whole cluster's pods: never masqueraded. */
    readonly clusterCidrs: readonly Prefix[];
  };
  readonly services: {
    /** Answered with ICMP unreachable where no Service matches. */
    readonly cidrs: readonly Prefix[];
    /** NodePorts answer on node addresses inside these; empty means all of the node's addresses. */
    readonly nodePortAddresses: readonly Prefix[];
    /** First and last NodePort of the cluster. */
    readonly nodePortRange: readonly [number, number];
    /** `spec.externalIPs` are served inside these only; empty: never. */
    readonly externalIpRanges: readonly Prefix[];
    /** Source ranges of one family close the load balancer's addresses of the other. */
    readonly strictSourceRanges: boolean;
    /** For how long connections to terminating endpoints are protected at most; 0: not at all. */
    readonly drainSeconds: number;
  };
  readonly policy: {
    /** Whether who is denied gets an answer; the packet is dropped in any case. */
    readonly denied: 'drop' | 'refuse';
    /** Denied flows as lines of the log, at most `rate` a second. */
    readonly log: { readonly enabled: boolean; readonly rate: number };
  };
  readonly loadBalancer: {
    /** `spec.loadBalancerClass` of the Services that get addresses; '' for those without one. */
    readonly class: string;
    /** Namespace of the Lease by which the allocator is chosen. */
    readonly leaseNamespace: string;
    /** Empty: this cluster's addresses come from somewhere else. */
    readonly pools: readonly PoolConfig[];
  };
  readonly bgp: BgpConfig;
  readonly overlay: {
    /** `subnet`: tunnel only to nodes of another subnet; `full`: to all; `none`: never. */
    readonly mode: 'subnet' | 'full' | 'none';
    /** How nodes receive that do not say otherwise by an annotation. */
    readonly encapsulation: Encapsulation;
    /** Other encapsulations in which this node takes packets. */
    readonly accept: readonly Encapsulation[];
    readonly vxlanVni: number;
  };
  readonly cni: {
    /** Unix socket on which the CNI executable finds the daemon. */
    readonly socket: string;
  };
  /** What must survive a restart of the daemon: address leases, attachments, the uplink's addresses. */
  readonly stateDir: string;
  readonly control: {
    /** Unix socket on which `kvr` finds the daemon. */
    readonly socket: string;
  };
  readonly health: { readonly address: Ip; readonly port: number };
  readonly metrics: { readonly address: Ip; readonly port: number };
  readonly log: { readonly level: LogLevel };
}
