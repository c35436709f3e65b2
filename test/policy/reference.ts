import ipaddr from 'ipaddr.js';
import type { Ip } from '../../src/core/ip.ts';
import type {
  Attachment,
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPort,
  ClusterRule,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  PodSelector,
  PolicyPeer,
  PolicyPort,
} from '../../src/model/facts.ts';

/**
 * What the policies say of a packet, read from the rules one after the other: a second opinion for
 * tests. It knows neither indexes nor caches, looks at everything for each packet, and shares no
 * code with the planner, not even that of addresses.
 *
 * A packet is the first one of a flow. What belongs to a flow that was allowed passes anyhow, and
 * so do errors of ICMP and neighbour discovery, whatever the policies say (NP-14, NP-21): neither
 * can be asked for here.
 */
export interface Cluster {
  readonly pods: readonly Pod[];
  /** Interfaces of pods of the node that asks; without one a pod has what its status says. */
  readonly attachments?: readonly Pick<Attachment, 'pod' | 'podUid' | 'ips'>[];
  readonly namespaces: readonly Namespace[];
  readonly policies: readonly NetworkPolicy[];
  readonly clusterPolicies: readonly ClusterNetworkPolicy[];
  readonly nodes: readonly Node[];
  /** Name of the node that asks. */
  readonly nodeName: string;
}

export interface Packet {
  readonly from: Ip;
  /** After the translation of Services (NP-12). */
  readonly to: Ip;
  /** `ICMP` is an echo request of the packet's family; a number is that of another IP protocol. */
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | number;
  /** Destination port; nobody looks at it unless the protocol is TCP, UDP or SCTP. */
  readonly port: number;
}

export type Direction = 'Ingress' | 'Egress';
export type Verdict = 'allow' | 'deny';

/** Whether this node lets the packet pass: as that of a pod of its own, and to a pod of its own. */
export function verdict(cluster: Cluster, packet: Packet): Verdict {
  const own = cluster.pods.filter((pod) => pod.node === cluster.nodeName);
  const senders = own.filter((pod) => hasAddress(cluster, pod, packet.from));
  const receivers = own.filter((pod) => hasAddress(cluster, pod, packet.to));
  return senders.every((pod) => directionVerdict(cluster, pod, 'Egress', packet) === 'allow') &&
    receivers.every((pod) => directionVerdict(cluster, pod, 'Ingress', packet) === 'allow')
    ? 'allow'
    : 'deny';
}

/** Whether the policies of one pod let a packet of that pod out, or one to that pod in. */
export function directionVerdict(
  cluster: Cluster,
  pod: Pod,
  direction: Direction,
  packet: Packet,
): Verdict {
  if (!isInNetwork(pod)) return 'allow';
  // NP-15: before every tier, because the kubelet's probes must arrive.
  if (direction === 'Ingress' && isOfNode(cluster, pod.node, packet.from)) return 'allow';
  return (
    tierVerdict(cluster, 'Admin', pod, direction, packet) ??
    networkPolicyVerdict(cluster, pod, direction, packet) ??
    tierVerdict(cluster, 'Baseline', pod, direction, packet) ??
    'allow'
  );
}

/** NP-16, NP-18: neither subject nor peer are pods of the host's network and pods that ended. */
function isInNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

function isOfNode(cluster: Cluster, name: string, address: Ip): boolean {
  return cluster.nodes.some((node) => node.key === name && node.internalIps.includes(address));
}

/** Undefined: this tier leaves it to the next one. */
function tierVerdict(
  cluster: Cluster,
  tier: ClusterNetworkPolicy['tier'],
  pod: Pod,
  direction: Direction,
  packet: Packet,
): Verdict | undefined {
  const rules = cluster.clusterPolicies
    .filter((policy) => policy.tier === tier && selectsPod(cluster, policy.subject, pod))
    .toSorted((a, b) => a.priority - b.priority || (a.key < b.key ? -1 : 1))
    .flatMap((policy) => (direction === 'Ingress' ? policy.ingress : policy.egress));
  const first = rules.find((rule) =>
    flowsOf(cluster, pod, direction, packet).some((flow) =>
      matchesClusterRule(cluster, rule, flow),
    ),
  );
  if (first === undefined || first.action === 'Pass') return undefined;
  return first.action === 'Accept' ? 'allow' : 'deny';
}

/** Undefined: no NetworkPolicy isolates the pod in this direction (NP-03). */
function networkPolicyVerdict(
  cluster: Cluster,
  pod: Pod,
  direction: Direction,
  packet: Packet,
): Verdict | undefined {
  const policies = cluster.policies.filter(
    (policy) =>
      policy.mode === 'enforce' &&
      policy.policyTypes.includes(direction) &&
      policy.namespace === pod.namespace &&
      matchesLabels(policy.podSelector, pod.labels),
  );
  if (policies.length === 0) return undefined;
  // NP-17
  if (hasAddress(cluster, pod, packet.from) && hasAddress(cluster, pod, packet.to)) return 'allow';
  const flows = flowsOf(cluster, pod, direction, packet);
  const isAllowed = policies.some((policy) =>
    (direction === 'Ingress' ? policy.ingress : policy.egress).some(({ peers, ports }) =>
      flows.some(
        (flow) =>
          (peers.length === 0 ||
            peers.some((peer) => matchesPeer(cluster, policy.namespace, peer, flow))) &&
          (ports.length === 0 || ports.some((port) => matchesPort(port, flow))),
      ),
    ),
  );
  return isAllowed ? 'allow' : 'deny';
}

/** A packet as one pod's policies see it. */
interface Flow {
  readonly packet: Packet;
  /** Of the other end. */
  readonly address: Ip;
  /** Who the other end is; nobody when it is outside of the cluster, or a node. */
  readonly peer: Pod | undefined;
  /** Whose ports names mean: the destination's, whoever is the subject (NP-11). */
  readonly named: Pod | undefined;
}

/** One for each pod that the other end may be: old objects may name an address that is reused. */
function flowsOf(cluster: Cluster, pod: Pod, direction: Direction, packet: Packet): Flow[] {
  const address = direction === 'Ingress' ? packet.from : packet.to;
  const there = podsAt(cluster, address);
  return (there.length === 0 ? [undefined] : there).map((peer) => ({
    ...{ packet, address, peer },
    named: direction === 'Ingress' ? pod : peer,
  }));
}

/** Who has the address: none when it is outside of the cluster, or a node's. */
function podsAt(cluster: Cluster, address: Ip): Pod[] {
  return cluster.pods.filter((pod) => isInNetwork(pod) && hasAddress(cluster, pod, address));
}

/** NP-19: whose interface has it knows before any status does, and better than an old one. */
function hasAddress({ attachments = [] }: Cluster, pod: Pod, address: Ip): boolean {
  const holders = attachments.filter((one) => one.ips.includes(address));
  return holders.length === 0
    ? pod.ips.includes(address)
    : holders.some((one) => one.pod === pod.key && one.podUid === pod.uid);
}

function matchesPeer(
  cluster: Cluster,
  ownNamespace: string,
  { podSelector, namespaceSelector, ipBlock }: PolicyPeer,
  { address, peer }: Flow,
): boolean {
  // NP-07: the address of a pod is in a block like any other.
  if (ipBlock !== undefined)
    return (
      isInBlock(ipBlock.cidr, address) && !ipBlock.except.some((one) => isInBlock(one, address))
    );
  if (peer === undefined) return false;
  return (
    (namespaceSelector === undefined
      ? peer.namespace === ownNamespace
      : matchesLabels(namespaceSelector, labelsOfNamespace(cluster, peer.namespace))) &&
    (podSelector === undefined || matchesLabels(podSelector, peer.labels))
  );
}

function matchesPort(
  { protocol, port, endPort }: PolicyPort | ClusterPort,
  { packet, named }: Flow,
): boolean {
  if (typeof port === 'string')
    return (named?.ports ?? []).some(
      (one) =>
        one.name === port &&
        one.protocol === packet.protocol &&
        one.protocol === (protocol ?? one.protocol) &&
        one.containerPort === packet.port,
    );
  if (protocol !== packet.protocol) return false;
  return port === undefined || (port <= packet.port && packet.port <= (endPort ?? port));
}

function matchesClusterRule(cluster: Cluster, { peers, ports }: ClusterRule, flow: Flow): boolean {
  return (
    (peers.length === 0 || peers.some((peer) => matchesClusterPeer(cluster, peer, flow))) &&
    (ports.length === 0 || ports.some((port) => matchesPort(port, flow)))
  );
}

function matchesClusterPeer(
  cluster: Cluster,
  { pods, networks, nodes }: ClusterPeer,
  { address, peer }: Flow,
): boolean {
  if (pods !== undefined) return peer !== undefined && selectsPod(cluster, pods, peer);
  if (networks !== undefined) return networks.some((network) => isInBlock(network, address));
  if (nodes === undefined) return false;
  return cluster.nodes.some(
    (node) => matchesLabels(nodes, node.labels) && node.internalIps.includes(address),
  );
}

function selectsPod(cluster: Cluster, { namespace, pods }: PodSelector, pod: Pod): boolean {
  return (
    (typeof namespace === 'string'
      ? namespace === pod.namespace
      : matchesLabels(namespace, labelsOfNamespace(cluster, pod.namespace))) &&
    matchesLabels(pods, pod.labels)
  );
}

/** Of a namespace that is not known: none. */
function labelsOfNamespace(cluster: Cluster, name: string): Labels {
  return cluster.namespaces.find((namespace) => namespace.key === name)?.labels ?? {};
}

/** NP-01: what asks for absence, or for another value, is content with no label at all. */
function matchesLabels({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((one) => matchesExpression(one, labels[one.key]))
  );
}

function matchesExpression(
  { operator, values }: LabelSelector['matchExpressions'][number],
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** Bits behind the length say nothing: 10.0.0.5/24 is 10.0.0.0/24. */
function isInBlock(cidr: string, address: Ip): boolean {
  const [network, length] = ipaddr.parseCIDR(cidr);
  const one = ipaddr.parse(address);
  return one.kind() === network.kind() && one.match(network, length);
}
