import type { Clock } from '../core/clock.ts';
import type { Prefix } from '../core/ip.ts';
import {
  admitBody,
  admitChange,
  admitNew,
  formatTime,
  podDefaults,
  policyDefaults,
  secretDefaults,
} from './admission.ts';
import { ApiError, asNumber, type Json, jsonEqual, type KubeObject, objectKey } from './objects.ts';
import { type Resource, resourceName, resourceOfKind, resources } from './resources.ts';
import { createServiceAllocator } from './services.ts';
import type { Storage } from './storage.ts';

/**
 * The verbs of the Kubernetes API over the storage: what HTTP requests call, and what a bench in
 * the same process calls directly. Throws `ApiError` for every refused request.
 */
export interface Api {
  readonly storage: Storage;
  get(resource: Resource, key: string): KubeObject;
  create(resource: Resource, body: Json, namespace?: string): KubeObject;
  update(resource: Resource, key: string, body: Json, subresource?: 'status'): KubeObject;
  /** Creates, or replaces what is there; for fixtures. */
  upsert(body: KubeObject): KubeObject;
  remove(resource: Resource, key: string, graceSeconds?: number): KubeObject;
}

/** `serviceCidrs`: one or two; `clock` stamps creations and deletions. */
export function createApi(
  storage: Storage,
  options: { readonly serviceCidrs: readonly Prefix[]; readonly clock: Clock },
): Api {
  const { clock } = options;
  const allocator = createServiceAllocator(options.serviceCidrs);

  function complete(resource: Resource, object: KubeObject, previous?: KubeObject): KubeObject {
    switch (resourceName(resource)) {
      case 'services':
        return allocator.complete(object, previous);
      case 'pods':
        return podDefaults(object);
      case 'secrets':
        return secretDefaults(object);
      case 'networkpolicies.networking.k8s.io':
        return policyDefaults(object);
      case 'namespaces':
        return { ...object, status: object.status ?? { phase: 'Active' } };
      default:
        return object;
    }
  }

  function get(resource: Resource, key: string): KubeObject {
    const object = storage.get(resource, key);
    if (object === undefined) throw notFound(resource, key);
    return object;
  }

  function create(resource: Resource, body: Json, namespace?: string): KubeObject {
    const admitted = admitBody(resource, body, namespace);
    const object = admitNew(resource, admitted, clock);
    const key = objectKey(object);
    if (namespace !== undefined && !hasNamespace(storage, namespace)) {
      throw new ApiError(404, 'NotFound', `namespaces "${namespace}" not found`);
    }
    if (storage.get(resource, key) !== undefined) {
      const text = `${resourceName(resource)} "${object.metadata.name}" already exists`;
      throw new ApiError(409, 'AlreadyExists', text);
    }
    return storage.put(resource, complete(resource, object));
  }

  function update(resource: Resource, key: string, body: Json, subresource?: 'status'): KubeObject {
    const previous = get(resource, key);
    const object = admitBody(resource, body, previous.metadata.namespace);
    const changed = admitChange(resource, object, previous, subresource);
    const completed = subresource === 'status' ? changed : complete(resource, changed, previous);
    if (isReleased(completed)) return erase(resource, key, previous);
    // As in a real server, a write that changes nothing makes no revision and no event.
    return jsonEqual(completed, previous) ? previous : storage.put(resource, completed);
  }

  function remove(resource: Resource, key: string, graceSeconds?: number): KubeObject {
    const object = get(resource, key);
    const grace = graceOf(resource, object, graceSeconds);
    const finalizers = object.metadata.finalizers?.length ?? 0;
    if (grace === 0 && finalizers === 0) return erase(resource, key, object);
    if (object.metadata.deletionTimestamp !== undefined && grace > 0) return object;
    const metadata = {
      ...object.metadata,
      deletionTimestamp: formatTime(clock.now() + grace * 1000),
      deletionGracePeriodSeconds: grace,
    };
    return storage.put(resource, { ...object, metadata });
  }

  function erase(resource: Resource, key: string, object: KubeObject): KubeObject {
    const last = storage.remove(resource, key) ?? object;
    if (resource.group === '' && resource.plural === 'services') allocator.release(object);
    if (resource.group === '' && resource.plural === 'namespaces') {
      for (const [inner, innerKey, held] of objectsIn(storage, key)) erase(inner, innerKey, held);
    }
    return last;
  }

  function upsert(body: KubeObject): KubeObject {
    const resource = resourceOfKind(body.apiVersion, body.kind);
    if (resource === undefined) {
      throw new ApiError(404, 'NotFound', `unknown kind ${body.apiVersion} ${body.kind}`);
    }
    const namespace = resource.namespaced ? (body.metadata.namespace ?? 'default') : undefined;
    const object = admitBody(resource, body, namespace);
    const key = objectKey(object);
    if (storage.get(resource, key) === undefined) return create(resource, object, namespace);
    const { status } = object;
    const updated = update(resource, key, object);
    if (status === undefined || !resource.subresources.includes('status')) return updated;
    return update(resource, key, { ...updated, status }, 'status');
  }

  return { storage, get, create, update, upsert, remove };
}

/** Everything in a namespace: it goes with it. */
function objectsIn(storage: Storage, namespace: string) {
  return resources
    .filter((resource) => resource.namespaced)
    .flatMap((resource) =>
      storage
        .list(resource)
        .filter((object) => object.metadata.namespace === namespace)
        .map((object) => [resource, objectKey(object), object] as const),
    );
}

/** A pod on a node ends gracefully: its kubelet deletes it with a grace period of zero. */
function graceOf(resource: Resource, object: KubeObject, asked: number | undefined): number {
  const isPod = resource.group === '' && resource.plural === 'pods';
  if (!isPod || object.spec?.nodeName === undefined) return 0;
  const phase = object.status?.phase;
  if (phase === 'Succeeded' || phase === 'Failed') return 0;
  return asked ?? asNumber(object.spec.terminationGracePeriodSeconds);
}

function isReleased(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  return (
    deletionTimestamp !== undefined &&
    (deletionGracePeriodSeconds ?? 0) === 0 &&
    (finalizers?.length ?? 0) === 0
  );
}

const namespaces = resourceOfKind('v1', 'Namespace');

function hasNamespace(storage: Storage, name: string): boolean {
  return namespaces !== undefined && storage.get(namespaces, name) !== undefined;
}

/** The answer to a request for an object that is not there. */
export function notFound(resource: Resource, key: string): ApiError {
  const name = key.slice(key.indexOf('/') + 1);
  return new ApiError(404, 'NotFound', `${resourceName(resource)} "${name}" not found`);
}
