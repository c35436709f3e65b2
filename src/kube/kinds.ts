import type { FactTypes } from '../model/store.ts';
import { projectNamespace, projectNode, projectPod } from './project-cluster.ts';
import { projectClusterPolicy } from './project-cluster-policy.ts';
import { projectPolicy } from './project-policy.ts';
import { projectService } from './project-service.ts';
import { projectSlice } from './project-slice.ts';
import type { Projection } from './projection.ts';

/** The kinds of facts that come from the API server. */
export type KubeKind =
  | 'services'
  | 'slices'
  | 'pods'
  | 'nodes'
  | 'namespaces'
  | 'policies'
  | 'clusterPolicies';

/** What one reflector watches and how it reads it. */
export interface WatchedKind<K extends KubeKind> {
  readonly kind: K;
  /** As in Events and Problems. */
  readonly objectKind: string;
  readonly apiVersion: string;
  readonly path: string;
  readonly labelSelector: string;
  /** True: a server may not have the kind, whose CRD is not installed; then there are none. */
  readonly optional?: boolean;
  readonly project: Projection<FactTypes[K]>;
}

/** KP-01, KP-02: what another proxy owns and what has no frontend never reaches us. */
const proxied = '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless';

/** Every kind that is watched. */
export const watchedKinds: { readonly [K in KubeKind]: WatchedKind<K> } = {
  services: {
    kind: 'services',
    objectKind: 'Service',
    apiVersion: 'v1',
    path: '/api/v1/services',
    labelSelector: proxied,
    project: projectService,
  },
  slices: {
    kind: 'slices',
    objectKind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    labelSelector: proxied,
    project: projectSlice,
  },
  pods: {
    kind: 'pods',
    objectKind: 'Pod',
    apiVersion: 'v1',
    path: '/api/v1/pods',
    labelSelector: '',
    project: projectPod,
  },
  nodes: {
    kind: 'nodes',
    objectKind: 'Node',
    apiVersion: 'v1',
    path: '/api/v1/nodes',
    labelSelector: '',
    project: projectNode,
  },
  namespaces: {
    kind: 'namespaces',
    objectKind: 'Namespace',
    apiVersion: 'v1',
    path: '/api/v1/namespaces',
    labelSelector: '',
    project: projectNamespace,
  },
  policies: {
    kind: 'policies',
    objectKind: 'NetworkPolicy',
    apiVersion: 'networking.k8s.io/v1',
    path: '/apis/networking.k8s.io/v1/networkpolicies',
    labelSelector: '',
    project: projectPolicy,
  },
  clusterPolicies: {
    kind: 'clusterPolicies',
    objectKind: 'ClusterNetworkPolicy',
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    path: '/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies',
    labelSelector: '',
    optional: true,
    project: projectClusterPolicy,
  },
};
