/** One kind of object that the server stores. */
export interface Resource {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly subresources: readonly ('status' | 'scale')[];
}

const none: readonly ('status' | 'scale')[] = [];
const status = ['status'] as const;
const scale = ['status', 'scale'] as const;

/** Everything that the server knows. `plural.group` is unique; there is one version of each. */
export const resources: readonly Resource[] = [
  resource('v1', 'services', 'Service', ['svc'], true, status),
  resource('v1', 'pods', 'Pod', ['po'], true, status),
  resource('v1', 'nodes', 'Node', ['no'], false, status),
  resource('v1', 'namespaces', 'Namespace', ['ns'], false, status),
  resource('v1', 'configmaps', 'ConfigMap', ['cm'], true, none),
  resource('v1', 'secrets', 'Secret', [], true, none),
  resource('v1', 'events', 'Event', ['ev'], true, none),
  resource('v1', 'endpoints', 'Endpoints', ['ep'], true, none),
  resource('v1', 'serviceaccounts', 'ServiceAccount', ['sa'], true, none),
  resource('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice', [], true, none),
  resource('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', ['netpol'], true, none),
  resource('apps/v1', 'deployments', 'Deployment', ['deploy'], true, scale),
  resource('apps/v1', 'replicasets', 'ReplicaSet', ['rs'], true, scale),
  resource('apps/v1', 'statefulsets', 'StatefulSet', ['sts'], true, scale),
  resource('apps/v1', 'daemonsets', 'DaemonSet', ['ds'], true, status),
  resource('coordination.k8s.io/v1', 'leases', 'Lease', [], true, none),
  resource('events.k8s.io/v1', 'events', 'Event', ['ev'], true, none),
  resource('rbac.authorization.k8s.io/v1', 'roles', 'Role', [], true, none),
  resource('rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding', [], true, none),
  resource('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', [], false, none),
  resource(
    'rbac.authorization.k8s.io/v1',
    'clusterrolebindings',
    'ClusterRoleBinding',
    [],
    false,
    none,
  ),
  resource('scheduling.k8s.io/v1', 'priorityclasses', 'PriorityClass', ['pc'], false, none),
  resource(
    'policy.networking.k8s.io/v1alpha2',
    'clusternetworkpolicies',
    'ClusterNetworkPolicy',
    ['cnp'],
    false,
    status,
  ),
];

/** `v1` or `apps/v1`, as `apiVersion` spells it. */
export function formatGroupVersion(of: Pick<Resource, 'group' | 'version'>): string {
  return of.group === '' ? of.version : `${of.group}/${of.version}`;
}

/** `services` or `deployments.apps`: names a resource in messages and in the storage. */
export function resourceName(of: Pick<Resource, 'group' | 'plural'>): string {
  return of.group === '' ? of.plural : `${of.plural}.${of.group}`;
}

/** The resource at a path such as `apps`, `v1`, `deployments`. */
export function findResource(group: string, version: string, plural: string): Resource | undefined {
  return resources.find((r) => r.group === group && r.version === version && r.plural === plural);
}

/** The resource of an object: by its `apiVersion` and `kind`. */
export function resourceOfKind(apiVersion: string, kind: string): Resource | undefined {
  return resources.find((r) => r.kind === kind && formatGroupVersion(r) === apiVersion);
}

function resource(
  groupVersion: string,
  plural: string,
  kind: string,
  shortNames: readonly string[],
  namespaced: boolean,
  subresources: readonly ('status' | 'scale')[],
): Resource {
  const slash = groupVersion.indexOf('/');
  return {
    group: slash < 0 ? '' : groupVersion.slice(0, slash),
    version: groupVersion.slice(slash + 1),
    plural,
    singular: kind.toLowerCase(),
    kind,
    shortNames,
    namespaced,
    subresources,
  };
}
