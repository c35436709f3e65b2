/** One right that the daemon needs, as a rule of a ClusterRole names it. */
export interface KubeRequest {
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
  /** '' for the core group. */
  readonly group: string;
  readonly resource: string;
}

const watched = [
  ['', 'services'],
  ['discovery.k8s.io', 'endpointslices'],
  ['', 'pods'],
  ['', 'nodes'],
  ['', 'namespaces'],
  ['networking.k8s.io', 'networkpolicies'],
] as const;

/** Every request that the daemon makes to the API server: what RBAC must allow, and no more. */
export const kubeRequests: readonly KubeRequest[] = [
  ...watched.flatMap(([group, resource]) => [
    { verb: 'list' as const, group, resource },
    { verb: 'watch' as const, group, resource },
  ]),
  { verb: 'create', group: '', resource: 'events' },
];
