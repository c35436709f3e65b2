import type { Ip, Prefix } from '../core/ip.ts';
import type { Labels } from './facts.ts';

/** What the administrator of BGP says. Schema, bounds and defaults: src/config/bgp-schema.ts. */
export interface BgpConfig {
  readonly enabled: boolean;
  /** Unix socket of GoBGP's gRPC API. */
  readonly apiSocket: string;
  /** AS of the nodes; a Node's annotation `kube-router.io/node.asn` wins. */
  readonly asn: number;
  readonly port: number;
  /** Empty: derived from the node's first IPv4 address. */
  readonly routerId: string;
  /** Local addresses to listen on; empty means the node's own. */
  readonly listenAddresses: readonly Ip[];
  readonly holdTimeSeconds: number;
  /** 0: a third of the hold time. */
  readonly keepaliveSeconds: number;
  readonly connectRetrySeconds: number;
  /** For how long neighbours keep our routes while gobgpd is away; 0: not at all (RFC 4724). */
  readonly gracefulRestartSeconds: number;
  /** After that, as routes of last resort (RFC 9494); 0: not at all. */
  readonly longLivedSeconds: number;
  /** Sessions between the nodes of one AS. */
  readonly nodeMesh: boolean;
  /** Key of the password of the sessions between nodes; '' for none. */
  readonly nodePasswordKey: string;
  /** Directory with one file per password, where the Secret is mounted; '' for none. */
  readonly passwordsDir: string;
  readonly peers: readonly BgpPeerConfig[];
  readonly advertise: AdvertiseConfig;
  readonly import: ImportConfig;
  readonly drain: {
    /** For how long routes carry GRACEFUL_SHUTDOWN before they are withdrawn (RFC 8326). */
    readonly gracefulSeconds: number;
    /** Keys of taints that say that a node goes down. */
    readonly taints: readonly string[];
    /** Whether the routes of a cordoned node carry GRACEFUL_SHUTDOWN. */
    readonly onCordon: boolean;
  };
  readonly holdDown: {
    /** So many withdrawals of the routes of one Service within `windowSeconds` hold them down. */
    readonly flaps: number;
    readonly windowSeconds: number;
    /** For how long they stay withdrawn; 0: hold-down is off. */
    readonly seconds: number;
  };
}

/** Fast detection of a dead neighbour (RFC 5880), done by the data plane. */
export interface BfdConfig {
  readonly enabled: boolean;
  /** Milliseconds between packets that we want to send, and that we are able to receive. */
  readonly minTxMs: number;
  readonly minRxMs: number;
  /** So many of our packets must be missing until the neighbour gives us up. */
  readonly multiplier: number;
}

export const noBfd: BfdConfig = { enabled: false, minTxMs: 300, minRxMs: 300, multiplier: 3 };

/** VPP counts in milliseconds; below ten a busy machine alone brings sessions down. */
export const bfdBounds = { intervalMs: [10, 60_000], multiplier: [1, 255] } as const;

/** A neighbour that is no node of the mesh. */
export interface BgpPeerConfig {
  readonly name: string;
  /** One neighbour, … */
  readonly address: Ip | '';
  /** … or whoever calls from inside a prefix (dynamic neighbours). */
  readonly range: Prefix | '';
  readonly asn: number;
  /** 0: `bgp.port`. */
  readonly port: number;
  /** Labels of the nodes that have this neighbour; empty: all nodes. */
  readonly nodeSelector: Labels;
  /** '': the node's first address of the neighbour's family. */
  readonly localAddress: Ip | '';
  /** '' for none. */
  readonly passwordKey: string;
  /** TTL of packets to a neighbour of another AS; 0: it is on the wire. */
  readonly multihopTtl: number;
  /** How many hops away the neighbour may be (RFC 5082); 0: TTL is not looked at. */
  readonly ttlSecurityHops: number;
  /** 0: as for all. */
  readonly holdTimeSeconds: number;
  readonly keepaliveSeconds: number;
  readonly connectRetrySeconds: number;
  readonly passive: boolean;
  readonly families: readonly (4 | 6)[];
  /** -1: as for all. */
  readonly gracefulRestartSeconds: number;
  readonly longLivedSeconds: number;
  /** Prefixes of each family after which the session ends; 0: no limit. */
  readonly maxPrefixes: number;
  /** More than one path of a prefix may be received (RFC 7911). */
  readonly addPathReceive: boolean;
  /** So many paths of a prefix are sent; 0: the best one. */
  readonly addPathSend: number;
  readonly bfd: BfdConfig;
  readonly advertise: PeerAdvertiseConfig;
  /** Absent: `bgp.import`. */
  readonly import?: ImportConfig | undefined;
}

/** What becomes of our routes on the way to one neighbour. */
export interface PeerAdvertiseConfig {
  readonly podCidrs: boolean;
  readonly services: boolean;
  /** Added to those that the routes have. */
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** How often `prependAsn` (0: our own AS) is put before the AS path. */
  readonly prepend: number;
  readonly prependAsn: number;
  /** '': as the route says; `self`: our end of the session; or an address. */
  readonly nextHop: '' | 'self' | Ip;
}

/** Which addresses this node announces. */
export interface AdvertiseConfig {
  readonly podCidrs: boolean;
  readonly clusterIps: boolean;
  readonly externalIps: boolean;
  readonly loadBalancerIps: boolean;
  /** Labels that a Service must have; empty: all Services. */
  readonly serviceSelector: Labels;
  /** With policy Cluster, too, a Service is announced only while it has a usable endpoint. */
  readonly needEndpoints: boolean;
  /** Announced instead of the addresses inside, while there is one. */
  readonly aggregates: readonly Prefix[];
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Bytes a second of one local endpoint, for upstream routers that weight; 0: not told. */
  readonly linkBandwidth: number;
}

/** Which routes of neighbours are used. */
export interface ImportConfig {
  readonly default: 'accept' | 'reject';
  readonly accept: readonly PrefixFilter[];
  readonly reject: readonly PrefixFilter[];
  readonly acceptCommunities: readonly string[];
  readonly rejectCommunities: readonly string[];
  /** 0.0.0.0/0 and ::/0. */
  readonly defaultRoute: boolean;
  readonly localPreference: number | undefined;
}

/** `10.0.0.0/8 ge 16 le 24`: prefixes inside of `prefix` of a length from `min` to `max`. */
export interface PrefixFilter {
  readonly prefix: Prefix;
  readonly min: number;
  readonly max: number;
}
