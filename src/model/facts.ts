import type { Ip, Prefix } from '../core/ip.ts';

/**
 * What the world looks like: facts only, no decisions.
 *
 * Every fact is immutable and compact: a source keeps the fields that some planner reads and
 * drops the rest (managedFields alone is half of a typical object). A changed object is a new
 * value; an unchanged one stays the same value, which is what makes planning incremental.
 */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** `namespace/name` for namespaced objects, `name` for the others. */
export type ObjectKey = string;

export type Labels = Readonly<Record<string, string>>;

export interface ServicePort {
  /** '' when the Service has one unnamed port. Matches the slice's port by name (KP-05). */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** 0 when none is allocated. */
  readonly nodePort: number;
}

/** core/v1 Service. */
export interface Service {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** Empty for headless Services and ExternalName. */
  readonly clusterIps: readonly Ip[];
  readonly headless: boolean;
  readonly externalIps: readonly Ip[];
  /** status.loadBalancer.ingress with an address. */
  readonly ingress: readonly { readonly ip: Ip; readonly mode: 'VIP' | 'Proxy' }[];
  readonly ports: readonly ServicePort[];
  readonly sourceRanges: readonly string[];
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  /** `spec.loadBalancerClass`; '' when none. */
  readonly loadBalancerClass: string;
  /** `spec.loadBalancerIP` as written; '' when none. */
  readonly requestedIp: string;
  /** 0 when none. */
  readonly healthCheckNodePort: number;
  /** Seconds of ClientIP affinity; 0 when sessionAffinity is None. */
  readonly affinitySeconds: number;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  /**
   * `metadata.resourceVersion` of a load balancer, or of what still has a load balancer's address;
   * otherwise '': what changes with every write would make equal facts differ.
   */
  readonly resourceVersion: string;
}

export interface Endpoint {
  readonly ip: Ip;
  /** nil counts as true (KP-12). */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** '' when the slice names no node: then the endpoint is remote (KP-11). */
  readonly node: string;
  readonly zone: string;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/** discovery.k8s.io/v1 EndpointSlice. */
export interface EndpointSlice {
  readonly key: ObjectKey;
  /** Key of the Service named by label `kubernetes.io/service-name`. */
  readonly service: ObjectKey;
  readonly labels: Labels;
  readonly family: 4 | 6;
  readonly endpoints: readonly Endpoint[];
  /** Ports without a name or number are dropped at projection (KP-06). */
  readonly ports: readonly {
    readonly name: string;
    readonly protocol: Protocol;
    readonly port: number;
  }[];
  /** `endpoints.kubernetes.io/last-change-trigger-time`, ms since the epoch; 0 when absent. */
  readonly triggerMs: number;
}

export interface ContainerPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** 0 when none. */
  readonly hostPort: number;
  readonly hostIp: string;
}

/** core/v1 Pod. */
export interface Pod {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly node: string;
  readonly hostNetwork: boolean;
  readonly ips: readonly Ip[];
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly ports: readonly ContainerPort[];
}

/** core/v1 Node. */
export interface Node {
  readonly key: ObjectKey;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** InternalIP addresses in the order of the status. */
  readonly internalIps: readonly Ip[];
  readonly podCidrs: readonly Prefix[];
  readonly unschedulable: boolean;
  /** Keys of the node's taints. */
  readonly taints: readonly string[];
  readonly terminating: boolean;
  /** Condition NetworkUnavailable. */
  readonly networkUnavailable: boolean;
  /** kubelet says that the machine goes down (KEP-2000). */
  readonly shuttingDown: boolean;
}

/** Whether the time is over in which a leaving node was avoided. Source: src/daemon/departure.ts. */
export interface Departure {
  readonly isOver: boolean;
}

/** core/v1 Namespace. */
export interface Namespace {
  readonly key: ObjectKey;
  readonly labels: Labels;
}

export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values: readonly string[];
  }[];
}

export interface PolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except: readonly string[] };
}

export interface PolicyPort {
  readonly protocol: Protocol;
  /** Absent: every port of the protocol. A string is a container port's name. */
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface PolicyRule {
  /** Empty: every source or destination. */
  readonly peers: readonly PolicyPeer[];
  /** Empty: every port and protocol. */
  readonly ports: readonly PolicyPort[];
}

/** networking.k8s.io/v1 NetworkPolicy. */
export interface NetworkPolicy {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly namespace: string;
  readonly podSelector: LabelSelector;
  readonly policyTypes: readonly ('Ingress' | 'Egress')[];
  readonly ingress: readonly PolicyRule[];
  readonly egress: readonly PolicyRule[];
  /** Annotation `kube-vpp-router.io/policy-mode`: `audit` only says what it would deny. */
  readonly mode: 'enforce' | 'audit';
}

/** Pods of some namespaces. */
export interface PodSelector {
  /** The one namespace, or a selector of namespaces. */
  readonly namespace: string | LabelSelector;
  readonly pods: LabelSelector;
}

/** Exactly one field is there. */
export interface ClusterPeer {
  readonly pods?: PodSelector;
  readonly networks?: readonly Prefix[];
  /** Experimental channel; egress only. */
  readonly nodes?: LabelSelector;
}

export interface ClusterPort {
  /** Absent with a port's name alone: the protocol is that of the container's port. */
  readonly protocol?: Protocol;
  /** Absent: every port of the protocol. A string is a container port's name. */
  readonly port?: number | string;
  readonly endPort?: number;
}

export interface ClusterRule {
  /** '' when it has none. */
  readonly name: string;
  readonly action: 'Accept' | 'Deny' | 'Pass';
  /** Empty: everybody, which only a rule has that could not be read (it "fails closed"). */
  readonly peers: readonly ClusterPeer[];
  /** Empty: every port and protocol. */
  readonly ports: readonly ClusterPort[];
}

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. */
export interface ClusterNetworkPolicy {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly tier: 'Admin' | 'Baseline';
  /** 0 to 1000; a lower number goes first. */
  readonly priority: number;
  readonly subject: PodSelector;
  readonly ingress: readonly ClusterRule[];
  readonly egress: readonly ClusterRule[];
}

/** A pod's interface that CNI ADD made and CNI DEL has not yet removed. Source: src/cni. */
export interface Attachment {
  /** `containerId/ifName`. */
  readonly key: string;
  readonly containerId: string;
  readonly ifName: string;
  /** Key of the Pod. */
  readonly pod: ObjectKey;
  readonly podUid: string;
  /** Name of the host's end of the veth pair, or of the tap; at most 15 bytes. */
  readonly hostInterface: string;
  readonly kind: 'veth' | 'tap';
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly ips: readonly Ip[];
  /** MAC of the pod's end, `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** MAC of the gateway as the pod knows it: VPP's end. */
  readonly gatewayMac: string;
  readonly mtu: number;
}

/** A best path that GoBGP reported. Source: src/bgp. */
export interface LearnedRoute {
  readonly prefix: Prefix;
  /** Sorted; more than one is ECMP. */
  readonly nextHops: readonly Ip[];
}

/** What the daemon found out about its own host at start. Source: src/host. */
export interface Uplink {
  /** The kernel's name of the network interface that VPP drives. */
  readonly interface: string;
  /** The node's own addresses on it, with the length of the subnet: `192.0.2.1/24`. */
  readonly addresses: readonly { readonly ip: Ip; readonly length: number }[];
  /** Of the node's default routes on it. */
  readonly gateways: readonly Ip[];
  /** The node's other routes on it that lead to a gateway; without default routes. */
  readonly routes?: readonly { readonly prefix: Prefix; readonly gateways: readonly Ip[] }[];
  readonly mtu: number;
  readonly mac: string;
  /** The veth pair between VPP and the host's own network stack. */
  readonly hostLink: {
    /** VPP's end. */
    readonly vppInterface: string;
    readonly vppMac: string;
    /** MAC of the kernel's end. */
    readonly hostMac: string;
  };
}
