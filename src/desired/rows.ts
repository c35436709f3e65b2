import type { Ip, Prefix } from '../core/ip.ts';

/**
 * Rows: what VPP, GoBGP and the host shall hold.
 *
 * Rows name things (`pod-3f2a…`, `uplink`); numbers such as `sw_if_index` are valid for one VPP
 * run only and live in src/vpp. Equal desired state gives equal rows: lists are sorted.
 */

/** Names an interface in every table; also the tag that VPP keeps, so at most 63 bytes. */
export type InterfaceName = string;

/** VPP opens a host interface by an AF_PACKET socket. */
export interface AfPacketRow {
  readonly name: InterfaceName;
  readonly kind: 'afPacket';
  readonly role: 'uplink' | 'host' | 'pod';
  /** Kernel name of the interface to open, at most 15 bytes. */
  readonly hostInterface: string;
  /** MAC address of VPP's side. */
  readonly mac: string;
  /** Bytes of an L3 packet. */
  readonly mtu: number;
}

/** VPP makes an interface in a pod's namespace; needs /dev/vhost-net. */
export interface TapRow {
  readonly name: InterfaceName;
  readonly kind: 'tap';
  readonly role: 'pod';
  /** Path of the pod's network namespace, at most 63 bytes. */
  readonly netns: string;
  /** Name of the interface in the pod. */
  readonly podInterface: string;
  /** MAC address of the pod's side. */
  readonly podMac: string;
  readonly mac: string;
  readonly mtu: number;
}

/**
 * VPP's own interface without a wire. Packets of another interface are received again on it, so
 * that filters of that interface see them before the translation that happens here.
 */
export interface LoopbackRow {
  readonly name: InterfaceName;
  readonly kind: 'loopback';
  readonly role: 'gate';
  readonly mac: string;
  readonly mtu: number;
}

export type InterfaceRow = AfPacketRow | TapRow | LoopbackRow;

/** Both ends of a tunnel to another node. */
interface TunnelEnds {
  readonly name: InterfaceName;
  readonly source: Ip;
  readonly destination: Ip;
  /** Bytes of an inner L3 packet; TCP's segments are kept below it. */
  readonly mtu: number;
}

/** Carries packets. */
export interface IpTunnelRow extends TunnelEnds {
  readonly kind: 'ipip' | 'gre';
}

/** Carries frames, so it has a MAC address and reaches the other end by a neighbour. */
export interface VxlanTunnelRow extends TunnelEnds {
  readonly kind: 'vxlan';
  /** One sends and another receives: src/vpp/drivers/way-out.ts says why. */
  readonly direction: 'out' | 'in';
  /** VXLAN network identifier, 24 bits. */
  readonly vni: number;
  readonly mac: string;
}

/** A tunnel to another node, for packets of pods. */
export type TunnelRow = IpTunnelRow | VxlanTunnelRow;

/** An address of an interface of its own, or the loan of another interface's addresses. */
export type AddressRow =
  | {
      readonly kind: 'own';
      readonly interface: InterfaceName;
      readonly ip: Ip;
      readonly length: number;
    }
  | {
      readonly kind: 'borrowed';
      readonly interface: InterfaceName;
      readonly from: InterfaceName;
    };

/** A permanent neighbour: no packet waits for ARP or ND. */
export interface NeighbourRow {
  readonly interface: InterfaceName;
  readonly ip: Ip;
  readonly mac: string;
}

/** Packets for the node's own addresses that VPP has no use for go to the host's stack. */
export interface PuntRow {
  readonly family: 4 | 6;
  readonly interface: InterfaceName;
  readonly nextHop: Ip;
}

/** The addresses that masqueraded traffic gets. One row. */
export interface NatRow {
  readonly ip4: Ip | undefined;
  readonly ip6: Ip | undefined;
}

/** Destinations that are never masqueraded. */
export interface NatExclusionRow {
  readonly prefix: Prefix;
}

/** An interface whose traffic is subject to service translation. */
export interface NatInterfaceRow {
  readonly interface: InterfaceName;
  readonly role: 'uplink' | 'host' | 'pod' | 'tunnel';
  /**
   * Of the host: flows that begin there keep their source address. Answers to denied packets speak
   * in the name of others, and VPP masquerades the packet that an error of ICMP is about, too.
   */
  readonly answers?: true;
  /**
   * The gate on which its packets are translated, so that its filters see them as they came.
   * Absent: they are translated on the interface itself, before its filters.
   */
  readonly via?: InterfaceName;
}

/** First match decides. A rule of one IP family never matches the other. */
export interface FilterRule {
  /** `reflect` permits and opens a session: later packets of the flow pass in both directions. */
  readonly action: 'permit' | 'reflect' | 'deny';
  readonly source: Prefix;
  readonly destination: Prefix;
  readonly protocol: 'any' | 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6';
  /** First and last destination port, or type of ICMP; absent: every one. */
  readonly ports?: readonly [number, number];
}

/** A list of rules that interfaces share by its name. */
export interface FilterRow {
  /** At most 59 bytes. */
  readonly name: string;
  /** At least one: VPP denies everything where a list has none. */
  readonly rules: readonly FilterRule[];
}

/**
 * What an interface asks of the packets that it receives (`input`) and sends (`output`): filters
 * by name, first match decides. What no rule of a list matches is dropped; an empty list lets
 * everything pass. Together at least one and at most 255 (VPP, acl.api: `u8 count`).
 */
export interface FilterListRow {
  readonly interface: InterfaceName;
  readonly input: readonly string[];
  readonly output: readonly string[];
}

/** The addresses from which an interface may receive packets; link-local ones beside them. */
export interface SourceRow {
  readonly interface: InterfaceName;
  /** At least one, sorted. */
  readonly ips: readonly Ip[];
}

/**
 * While the row is there, VPP does not look for sessions to end: connections to endpoints that
 * terminate go on. One row.
 */
export interface SessionPauseRow {
  readonly reason: 'draining';
}

export type RoutePath =
  | {
      readonly kind: 'forward';
      readonly interface: InterfaceName;
      /** Absent on a point-to-point interface. */
      readonly nextHop?: Ip;
    }
  /** Answered with ICMP unreachable. */
  | { readonly kind: 'reject' }
  | { readonly kind: 'drop' };

export interface RouteRow {
  readonly prefix: Prefix;
  /** At least one; more than one is ECMP. */
  readonly paths: readonly RoutePath[];
}

export interface Backend {
  readonly ip: Ip;
  readonly port: number;
}

/** One frontend of a Service: (address, protocol, port) to its endpoints (KP-04). */
export interface TranslationRow {
  readonly vip: Ip;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** True when the address is the node's own (NodePort): VPP must not take it as a VIP. */
  readonly nodeAddress: boolean;
  /**
   * ClientIP affinity: the client's address alone decides. The number grows when all clients are
   * forgotten; undefined without affinity.
   */
  readonly affinityEpoch: number | undefined;
  /** At least one, sorted by address and port. A sink (src/core/link-addresses.ts) is one, too. */
  readonly backends: readonly Backend[];
  /** `namespace/name:port` of the Service, for people. */
  readonly service: string;
}

export interface LinkStateRow {
  readonly interface: InterfaceName;
  readonly up: boolean;
}

/** A BFD session with a neighbour on the wire (RFC 5880, 5881); its timers run in VPP. */
export interface BfdSessionRow {
  readonly interface: InterfaceName;
  readonly local: Ip;
  readonly peer: Ip;
  /** Milliseconds between packets that we want to send, and that we are able to receive. */
  readonly minTxMs: number;
  readonly minRxMs: number;
  readonly multiplier: number;
}

/** GoBGP's global configuration. One row. */
export interface BgpServerRow {
  readonly asn: number;
  readonly routerId: Ip;
  readonly port: number;
  readonly listenAddresses: readonly Ip[];
}

/** A neighbour, or whoever calls from inside a prefix. */
export interface BgpPeerRow {
  readonly address: Ip | Prefix;
  readonly asn: number;
  readonly port: number;
  readonly localAddress: Ip;
  /** Address families of the session. */
  readonly families: readonly (4 | 6)[];
  readonly holdTimeSeconds: number;
  readonly keepaliveSeconds: number;
  readonly connectRetrySeconds: number;
  /** Waits for the other side to call. */
  readonly passive: boolean;
  /** Which password; undefined for none. The digest changes when the password does. */
  readonly password: { readonly key: string; readonly digest: string } | undefined;
  /** 0: a neighbour of another AS is on the wire. */
  readonly multihopTtl: number;
  /** Smallest TTL of received packets (RFC 5082); 0: not looked at. */
  readonly ttlMin: number;
  /** Cluster id when the neighbour is a client of this route reflector (RFC 4456). */
  readonly reflectorClusterId: string | undefined;
  /** Seconds; 0: off (RFC 4724). */
  readonly gracefulRestartSeconds: number;
  /** Seconds; 0: off (RFC 9494). */
  readonly longLivedSeconds: number;
  /** Per family; 0: no limit. */
  readonly maxPrefixes: number;
  readonly addPathReceive: boolean;
  /** 0: only the best path is sent. */
  readonly addPathSend: number;
  /** For people, such as `node/worker-1` or `peer/tor-a`. */
  readonly description: string;
}

/** A prefix that this node announces. */
export interface BgpPathRow {
  readonly prefix: Prefix;
  readonly nextHop: Ip;
  /** Canonical texts of all three kinds (src/core/community.ts), sorted. */
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
}

/** What passes between GoBGP's table and its neighbours. One row for each direction. */
export interface BgpPolicyRow {
  readonly direction: 'import' | 'export';
  /** The first statement that matches decides; otherwise this. */
  readonly otherwise: 'accept' | 'reject';
  readonly statements: readonly BgpStatement[];
}

/** All conditions that are given must hold. */
export interface BgpStatement {
  /** For people, unique in the policy: `tor-a services`. */
  readonly name: string;
  /** Neighbours, each an address or a prefix of addresses. */
  readonly peers?: readonly (Ip | Prefix)[];
  /** Any of these. All of one IP family. */
  readonly prefixes?: readonly {
    readonly prefix: Prefix;
    readonly min: number;
    readonly max: number;
  }[];
  /** Any of these, all of one kind. */
  readonly communities?: readonly string[];
  /** Learned from our own AS, from another, or made here. */
  readonly routeType?: 'internal' | 'external' | 'local';
  readonly accept: boolean;
  readonly addCommunities?: readonly string[];
  /** Communities, or patterns of them (src/core/community.ts, `matchesCommunity`). */
  readonly removeCommunities?: readonly string[];
  readonly localPreference?: number;
  readonly med?: number;
  readonly prepend?: { readonly asn: number; readonly times: number };
  readonly nextHop?: 'self' | Ip;
}
