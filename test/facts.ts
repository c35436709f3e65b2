import { ip, prefix } from '../src/core/ip.ts';
import type { Config } from '../src/model/config.ts';
import type {
  Attachment,
  ClusterNetworkPolicy,
  Endpoint,
  EndpointSlice,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  Service,
  ServicePort,
  Uplink,
} from '../src/model/facts.ts';

/** Builders of facts for tests: the smallest object that is valid, then what the test says. */
export function service(key: string, given: Partial<Service> = {}): Service {
  return {
    key,
    uid: `uid-${key}`,
    labels: {},
    annotations: {},
    type: 'ClusterIP',
    clusterIps: [ip('10.96.0.10')],
    headless: false,
    externalIps: [],
    ingress: [],
    ports: [port()],
    sourceRanges: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    loadBalancerClass: '',
    requestedIp: '',
    healthCheckNodePort: 0,
    affinitySeconds: 0,
    createdMs: 0,
    resourceVersion: '',
    ...given,
  };
}

export function port(given: Partial<ServicePort> = {}): ServicePort {
  return { name: '', protocol: 'TCP', port: 80, nodePort: 0, ...given };
}

export type EndpointState = 'ready' | 'draining' | 'gone' | 'unready';

/** `draining`: still serves while it terminates; `gone`: terminates and does not. */
export function endpoint(
  address: string,
  state: EndpointState = 'ready',
  given: Partial<Endpoint> = {},
): Endpoint {
  return {
    ip: ip(address),
    ready: state === 'ready',
    serving: state === 'ready' || state === 'draining',
    terminating: state === 'draining' || state === 'gone',
    node: 'n2',
    zone: '',
    zoneHints: [],
    nodeHints: [],
    ...given,
  };
}

export function slice(
  key: string,
  ownerKey: string,
  endpoints: readonly Endpoint[],
  given: Partial<EndpointSlice> = {},
): EndpointSlice {
  return {
    key,
    service: ownerKey,
    labels: {},
    family: 4,
    endpoints,
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    triggerMs: 0,
    ...given,
  };
}

export function pod(key: string, given: Partial<Pod> = {}): Pod {
  return {
    key,
    uid: `uid-${key}`,
    namespace: key.slice(0, key.indexOf('/')),
    labels: {},
    annotations: {},
    node: 'n1',
    hostNetwork: false,
    ips: [],
    phase: 'Running',
    ready: true,
    terminating: false,
    ports: [],
    ...given,
  };
}

export function node(key: string, number: number, given: Partial<Node> = {}): Node {
  return {
    key,
    labels: {},
    annotations: {},
    internalIps: [ip(`192.0.2.${number}`)],
    podCidrs: [prefix(`10.244.${number}.0/24`)],
    unschedulable: false,
    taints: [],
    terminating: false,
    networkUnavailable: false,
    shuttingDown: false,
    ...given,
  };
}

export function namespace(key: string, labels: Labels = {}): Namespace {
  return { key, labels };
}

/** Without requirements: everything. */
export function selector(
  matchLabels: Labels = {},
  matchExpressions: LabelSelector['matchExpressions'] = [],
): LabelSelector {
  return { matchLabels, matchExpressions };
}

/** Selects every pod of its namespace, and nobody may talk to them. */
export function networkPolicy(key: string, given: Partial<NetworkPolicy> = {}): NetworkPolicy {
  return {
    key,
    uid: `uid-${key}`,
    namespace: key.slice(0, key.indexOf('/')),
    podSelector: selector(),
    policyTypes: ['Ingress'],
    ingress: [],
    egress: [],
    mode: 'enforce',
    ...given,
  };
}

/** Every pod is its subject, and it has no rules. */
export function clusterPolicy(
  key: string,
  given: Partial<ClusterNetworkPolicy> = {},
): ClusterNetworkPolicy {
  return {
    key,
    uid: `uid-${key}`,
    tier: 'Admin',
    priority: 0,
    subject: { namespace: selector(), pods: selector() },
    ingress: [],
    egress: [],
    ...given,
  };
}

export const uplink: Uplink = {
  interface: 'eth0',
  addresses: [
    { ip: ip('192.0.2.1'), length: 24 },
    { ip: ip('2001:db8::1'), length: 64 },
  ],
  gateways: [ip('192.0.2.254')],
  mtu: 1500,
  mac: '02:00:00:00:00:01',
  hostLink: {
    vppInterface: 'kvr0-vpp',
    vppMac: '02:00:00:00:00:02',
    hostMac: '02:00:00:00:00:03',
  },
};

export const config: Config = {
  nodeName: 'n1',
  kube: { kubeconfig: '', server: '' },
  vpp: { apiSocket: '/run/vpp/api.sock', statsSocket: '/run/vpp/stats.sock', tmpDir: '/tmp' },
  uplink: { interface: 'eth0' },
  pods: {
    interfaceKind: 'auto',
    mtu: 0,
    clusterCidrs: [prefix('10.244.0.0/16')],
  },
  services: {
    cidrs: [prefix('10.96.0.0/16')],
    nodePortAddresses: [],
    nodePortRange: [30_000, 32_767],
    externalIpRanges: [],
    strictSourceRanges: false,
    drainSeconds: 60,
  },
  policy: { denied: 'drop', log: { enabled: false, rate: 10 } },
  loadBalancer: { class: '', leaseNamespace: 'kube-system', pools: [] },
  bgp: {
    enabled: true,
    apiSocket: '/run/gobgp.sock',
    asn: 64512,
    port: 179,
    routerId: '',
    listenAddresses: [],
    holdTimeSeconds: 90,
    keepaliveSeconds: 0,
    connectRetrySeconds: 5,
    gracefulRestartSeconds: 120,
    longLivedSeconds: 0,
    nodeMesh: true,
    nodePasswordKey: '',
    passwordsDir: '',
    peers: [],
    advertise: {
      podCidrs: true,
      clusterIps: false,
      externalIps: false,
      loadBalancerIps: false,
      serviceSelector: {},
      needEndpoints: true,
      aggregates: [],
      communities: [],
      localPreference: undefined,
      med: undefined,
      linkBandwidth: 0,
    },
    import: {
      default: 'accept',
      accept: [],
      reject: [],
      acceptCommunities: [],
      rejectCommunities: [],
      defaultRoute: false,
      localPreference: undefined,
    },
    drain: { gracefulSeconds: 30, taints: [], onCordon: true },
    holdDown: { flaps: 5, windowSeconds: 60, seconds: 60 },
  },
  overlay: { mode: 'subnet', encapsulation: 'ipip', accept: [], vxlanVni: 4096 },
  cni: { socket: '/run/cni.sock' },
  stateDir: '/var/lib/kube-vpp-router',
  control: { socket: '/run/control.sock' },
  health: { address: ip('127.0.0.1'), port: 10256 },
  metrics: { address: ip('127.0.0.1'), port: 10249 },
  log: { level: 'info' },
};

export function attachment(hostInterface: string, address: string): Attachment {
  return {
    key: `${hostInterface}/eth0`,
    containerId: hostInterface,
    ifName: 'eth0',
    pod: `default/${hostInterface}`,
    podUid: `uid-${hostInterface}`,
    hostInterface,
    kind: 'veth',
    netns: `/run/netns/${hostInterface}`,
    ips: [ip(address)],
    mac: '02:00:00:00:01:01',
    gatewayMac: '02:00:00:00:01:02',
    mtu: 1480,
  };
}
