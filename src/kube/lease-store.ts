import { isObject, type Json, objectOf, textOf } from './json.ts';
import { KubeError } from './kube-error.ts';
import type { KubeClient } from './request.ts';

/** A Lease as an election sees it; src/lb-pools/election.ts says what it means. */
interface LeaseFields {
  readonly holder: string;
  readonly durationSeconds: number;
  readonly transitions: number;
  readonly acquiredAt: string;
  readonly renewedAt: string;
}

/** One Lease object (coordination.k8s.io/v1). Writes fail with 409 when somebody was faster. */
export function createLeaseStore(client: KubeClient, namespace: string, name: string) {
  const folder = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const path = `${folder}/${name}`;
  const body = (lease: LeaseFields, resourceVersion?: string) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    spec: {
      holderIdentity: lease.holder,
      leaseDurationSeconds: lease.durationSeconds,
      leaseTransitions: lease.transitions,
      acquireTime: lease.acquiredAt,
      renewTime: lease.renewedAt,
    },
  });
  return {
    async read(signal: AbortSignal) {
      try {
        return parseLease(await client.request({ method: 'GET', path }, signal));
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return undefined;
        throw error;
      }
    },
    async create(lease: LeaseFields, signal: AbortSignal) {
      await client.request({ method: 'POST', path: folder, body: body(lease) }, signal);
    },
    async update(lease: LeaseFields & { readonly resourceVersion: string }, signal: AbortSignal) {
      const next = body(lease, lease.resourceVersion);
      await client.request({ method: 'PUT', path, body: next }, signal);
    },
  };
}

function parseLease(value: Json): LeaseFields & { readonly resourceVersion: string } {
  const lease = isObject(value) ? value : {};
  const spec = objectOf(lease.spec);
  const number = (field: Json) => (typeof field === 'number' ? field : 0);
  return {
    holder: textOf(spec.holderIdentity),
    durationSeconds: number(spec.leaseDurationSeconds),
    transitions: number(spec.leaseTransitions),
    acquiredAt: textOf(spec.acquireTime),
    renewedAt: textOf(spec.renewTime),
    resourceVersion: textOf(objectOf(lease.metadata).resourceVersion),
  };
}
