/**
 * Every rule of the service proxy, with what the tests cannot say themselves: why a rule is proven
 * without packets, or in what way this router differs.
 */
export interface ConformanceRule {
  readonly id: string;
  readonly rule: string;
  /** Why it is not proven with packets on VPP. */
  readonly embedded?: string;
  /** What differs, why, and what a user sees. */
  readonly different?: string;
}

const watched = 'what is watched, before any packet';
const chosen =
  'a choice of endpoints; packets of other rules show that the choice is what VPP gets';
const http = "the daemon's own HTTP answer; no packet of a Service is involved";

export const conformanceRules: readonly ConformanceRule[] = [
  { id: 'KP-01', rule: 'label service-proxy-name', embedded: watched },
  { id: 'KP-02', rule: 'label headless', embedded: watched },
  { id: 'KP-03', rule: 'ExternalName, headless, type changes' },
  { id: 'KP-04', rule: 'a frontend is address, protocol and port' },
  { id: 'KP-05', rule: 'ports match by name, numbers are those of the slice', embedded: chosen },
  { id: 'KP-06', rule: 'ports without number, name or protocol', embedded: watched },
  {
    id: 'KP-07',
    rule: 'duplicate endpoints in slices',
    embedded: 'a packet cannot tell one copy of an endpoint from another',
  },
  { id: 'KP-08', rule: 'address families of slices', embedded: chosen },
  { id: 'KP-09', rule: 'addresses that cannot be endpoints', embedded: watched },
  { id: 'KP-10', rule: 'Services without selector', embedded: chosen },
  { id: 'KP-11', rule: 'local is the own node name', embedded: chosen },
  { id: 'KP-12', rule: 'ready endpoints', embedded: chosen },
  { id: 'KP-13', rule: 'terminating endpoints as a last resort' },
  { id: 'KP-14', rule: 'which set a frontend uses', embedded: chosen },
  {
    id: 'KP-15',
    rule: 'zone and node hints, live node label',
    different:
      'new connections follow hints as with kube-proxy. When hints or the label of the node change, open connections to endpoints that this node no longer uses are ended within seconds, though the endpoints are alive: the client gets a reset. VPP cannot take an endpoint out for new connections only.',
  },
  { id: 'KP-16', rule: 'where hints do not apply', embedded: chosen },
  { id: 'KP-17', rule: 'only hints are read, not trafficDistribution' },
  { id: 'KP-18', rule: 'a node without zone', embedded: chosen },
  { id: 'KP-19', rule: 'internalTrafficPolicy Local' },
  { id: 'KP-20', rule: 'externalTrafficPolicy Local' },
  {
    id: 'KP-21',
    rule: 'policy Local from inside the cluster',
    different:
      'on a node with endpoints of the Service, pods and the node itself reach only those; kube-proxy gives them all of the cluster. On a node without one they reach all: VPP has one translation for an address, whoever asks.',
  },
  { id: 'KP-22', rule: 'refusal without endpoints' },
  {
    id: 'KP-23',
    rule: 'unused ports and addresses of the service range',
    different:
      'refused by ICMP host unreachable, also for TCP: VPP cannot make a reset without a translation. A client sees "no route to host" at once instead of "connection refused". Processes of the node hear nothing and time out: VPP\'s ICMP error would go from the node\'s address to itself, and VPP drops that as spoofed.',
  },
  {
    id: 'KP-24',
    rule: 'connections are spread over endpoints',
    embedded:
      'counted, with 2,000 flows; every choice is compared with that of VPP in test/contract',
  },
  { id: 'KP-25', rule: 'cluster IPs from pods and from the node' },
  { id: 'KP-26', rule: 'dual stack' },
  {
    id: 'KP-27',
    rule: 'addresses of NodePorts',
    different:
      'NodePorts on 127.0.0.1 are not served, as with kube-proxy in nftables mode; `primary` is written as the prefix of the address.',
  },
  { id: 'KP-28', rule: 'one number for TCP and UDP', embedded: chosen },
  { id: 'KP-29', rule: 'no NodePorts for a load balancer' },
  { id: 'KP-30', rule: 'ipMode' },
  { id: 'KP-31', rule: 'any load balancer class' },
  {
    id: 'KP-32',
    rule: 'loadBalancerSourceRanges',
    different:
      'pods that a NetworkPolicy or a ClusterNetworkPolicy concerns are not asked for them: they reach what they could reach by the cluster IP. Of SCTP all ports of the address are asked.',
  },
  { id: 'KP-33', rule: 'externalIPs behind a switch' },
  { id: 'KP-34', rule: 'addresses that the node does not have' },
  {
    id: 'KP-35',
    rule: 'SCTP',
    different:
      'IPv4 works for every frontend. VPP 26.06 translates no SCTP over IPv6: such a packet is dropped where its address is routed.',
  },
  { id: 'KP-36', rule: 'only declared ports answer' },
  {
    id: 'KP-37',
    rule: 'several service ranges',
    embedded: 'planned from whatever ranges are configured; frontends do not depend on them',
  },
  {
    id: 'KP-38',
    rule: 'ClientIP affinity with timeout',
    different:
      "VPP remembers no client, it chooses by a hash of the address. So an endpoint that is added takes over some clients whose endpoint is alive (of two endpoints about a half, of ten about a tenth), for their next connections; one that goes moves hardly any but its own. The timeout is that of a Service's port: all its clients are forgotten at once, when none has opened a connection for that long and none has one open. Switching affinity on or off ends open connections.",
  },
  { id: 'KP-39', rule: 'affinity to an endpoint that is no longer used', embedded: chosen },
  { id: 'KP-40', rule: 'a pod reaches itself through its Service' },
  { id: 'KP-41', rule: 'pods keep their address' },
  {
    id: 'KP-42',
    rule: 'masquerading',
    different:
      'a NodePort or load balancer with policy Cluster masquerades only towards endpoints of other nodes; an endpoint on the node that was asked sees the client. There is no masqueradeAll.',
  },
  {
    id: 'KP-43',
    rule: 'ways to tell local traffic',
    different:
      'pods are told by their interface, which needs no configuration; the modes of kube-proxy do not exist.',
  },
  {
    id: 'KP-44',
    rule: 'UDP leaves endpoints that are gone',
    different:
      'a flow leaves an endpoint that is gone within seconds, but stays with it while a TCP or SCTP endpoint of any Service drains, for services.drainSeconds (60) from when the last one begins and twice that at most: VPP has one scan for all sessions, and it rests then.',
  },
  { id: 'KP-45', rule: 'UDP that began before there were endpoints' },
  {
    id: 'KP-46',
    rule: 'open TCP connections to endpoints that go',
    different:
      'connections to a terminating endpoint go on, for services.drainSeconds at most. Those to an endpoint that is gone, or that is no longer ready, or that hints exclude now (KP-15), are ended within seconds: the client gets a reset, where kube-proxy leaves the connection alone. When the last endpoint of a node goes and external policy is Local, clients outside hear nothing instead: their packets are dropped before translation, those of open connections too.',
  },
  {
    id: 'KP-47',
    rule: 'packets that belong to no connection',
    different:
      'VPP keeps no TCP state that a packet could contradict: a segment without a session opens one and reaches an endpoint, which resets it. No half-translated packet reaches a pod.',
  },
  {
    id: 'KP-48',
    rule: 'rolling updates without a failed connection',
    embedded:
      'shown by the demo, which runs on both planes: scale down under load, 0 connections failed',
  },
  { id: 'KP-49', rule: 'restarts of the proxy, the data plane and the API server' },
  { id: 'KP-50', rule: 'healthCheckNodePort', embedded: http },
  { id: 'KP-51', rule: 'healthCheckNodePort that cannot be opened', embedded: http },
  { id: 'KP-52', rule: '/healthz', embedded: http },
  { id: 'KP-53', rule: '/livez', embedded: http },
  { id: 'KP-54', rule: 'health before the first change', embedded: http },
  {
    id: 'KP-55',
    rule: 'the Node object goes or changes',
    different:
      'a changed podCIDR, name or label is planned anew while the daemon runs; kube-proxy ends and starts again.',
  },
  { id: 'KP-56', rule: '/metrics, /proxyMode, /configz', embedded: http },
];
