/** One right that the daemon needs, as a rule of a ClusterRole names it. */
export interface KubeRequest {
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
  /** '' for the core group. */
  readonly group: string;
  readonly resource: string;
  /** Where it is asked for; absent: everywhere. */
  readonly namespace?: string;
}

const watched = [
  ['', 'services'],
  ['discovery.k8s.io', 'endpointslices'],
  ['', 'pods'],
  ['', 'nodes'],
  ['', 'namespaces'],
  ['networking.k8s.io', 'networkpolicies'],
  ['policy.networking.k8s.io', 'clusternetworkpolicies'],
] as const;

/** Every request that the daemon makes to the API server: what RBAC must allow, and no more. */
export const kubeRequests: readonly KubeRequest[] = [
  ...watched.flatMap(([group, resource]) => [
    { verb: 'list' as const, group, resource },
    { verb: 'watch' as const, group, resource },
  ]),
  { verb: 'create', group: '', resource: 'events' },
  // Addresses of load balancers: written into the status, by one daemon that holds the Lease.
  { verb: 'patch', group: '', resource: 'services/status' },
  ...(['get', 'create', 'update'] as const).map((verb) => ({
    verb,
    group: 'coordination.k8s.io',
    resource: 'leases',
    namespace: 'kube-system',
  })),
];
