import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import {
  ApiError,
  asObject,
  asObjects,
  isJsonObject,
  type Json,
  type JsonObject,
  jsonEqual,
  type KubeObject,
  type ObjectMeta,
} from './objects.ts';
import { formatGroupVersion, type Resource } from './resources.ts';

/** An untrusted body as an object of `resource`; throws 400 or 422. */
export function admitBody(
  resource: Resource,
  body: Json,
  namespace: string | undefined,
): KubeObject {
  if (!isJsonObject(body)) throw new ApiError(400, 'BadRequest', 'the body is not an object');
  const metadata = asObject(body.metadata);
  const apiVersion = formatGroupVersion(resource);
  const { kind } = resource;
  if ((body.kind ?? kind) !== kind || (body.apiVersion ?? apiVersion) !== apiVersion) {
    const found = `${String(body.apiVersion)} ${String(body.kind)}`;
    throw new ApiError(400, 'BadRequest', `expected ${apiVersion} ${kind}, found ${found}`);
  }
  const { namespace: bodyNamespace, ...rest } = metadata;
  if (namespace !== undefined && (bodyNamespace ?? namespace) !== namespace) {
    const text = `the namespace of the object (${String(bodyNamespace)}) is not that of the request (${namespace})`;
    throw new ApiError(400, 'BadRequest', text);
  }
  const scope = namespace === undefined ? {} : { namespace };
  const admitted = { name: '', ...rest, ...scope } as ObjectMeta;
  return { ...body, apiVersion, kind, metadata: admitted };
}

/** DNS-1123 subdomain; RBAC names may hold more, such as `system:node`. */
const namePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** A new object's metadata, as the server fills it in. */
export function admitNew(resource: Resource, object: KubeObject, clock: Clock): KubeObject {
  const { generateName, resourceVersion: _drop, ...metadata } = object.metadata;
  const name =
    metadata.name !== '' || generateName === undefined
      ? metadata.name
      : generateName + randomUUID().slice(0, 5);
  if (!namePattern.test(name) && resource.group !== 'rbac.authorization.k8s.io') {
    const text = `${resource.kind} metadata.name: ${JSON.stringify(name)} is not a valid name`;
    throw new ApiError(422, 'Invalid', text);
  }
  const labels =
    resource.kind === 'Namespace' && resource.group === ''
      ? { labels: { ...metadata.labels, 'kubernetes.io/metadata.name': name } }
      : {};
  return {
    ...object,
    metadata: {
      ...metadata,
      ...labels,
      name,
      ...(generateName === undefined ? {} : { generateName }),
      uid: randomUUID(),
      creationTimestamp: formatTime(clock.now()),
      ...(object.spec === undefined ? {} : { generation: 1 }),
    },
  };
}

/**
 * The object that replaces `previous`: identity and creation stay, a write to the main resource
 * leaves the status alone where there is a status subresource, a write to the status leaves all
 * else alone, and the generation grows when the spec changes.
 */
export function admitChange(
  resource: Resource,
  object: KubeObject,
  previous: KubeObject,
  subresource: 'status' | undefined,
): KubeObject {
  const asked = object.metadata.resourceVersion;
  if (asked !== undefined && asked !== '' && asked !== previous.metadata.resourceVersion) {
    const text = `Operation cannot be fulfilled on ${resource.plural} "${previous.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`;
    throw new ApiError(409, 'Conflict', text);
  }
  if (object.metadata.uid !== undefined && object.metadata.uid !== previous.metadata.uid) {
    throw new ApiError(409, 'Conflict', `the UID of "${previous.metadata.name}" is another one`);
  }
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } =
    previous.metadata;
  const fixed = { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds };
  if (subresource === 'status') {
    const { status } = object;
    const { labels: _l, annotations: _a, ...own } = { ...previous.metadata };
    const { labels, annotations } = object.metadata;
    const metadata = defined({ ...own, labels, annotations }) as ObjectMeta;
    return defined({ ...previous, metadata, status }) as KubeObject;
  }
  const keepsStatus = resource.subresources.includes('status');
  const specChanged = !jsonEqual(object.spec, previous.spec);
  const generation = (previous.metadata.generation ?? 0) + (specChanged ? 1 : 0);
  const metadata = defined({
    ...object.metadata,
    ...fixed,
    resourceVersion: previous.metadata.resourceVersion,
    generation: generation === 0 ? undefined : generation,
  }) as ObjectMeta;
  const status = keepsStatus ? previous.status : object.status;
  return defined({ ...object, metadata, status }) as KubeObject;
}

/** Whole seconds, as metav1.Time is written. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** The defaults of a Pod that our readers rely on. */
export function podDefaults(pod: KubeObject): KubeObject {
  const spec = pod.spec ?? {};
  const containers = asObjects(spec.containers).map((container) =>
    container.ports === undefined
      ? container
      : {
          ...container,
          ports: asObjects(container.ports).map((port) => ({ protocol: 'TCP', ...port })),
        },
  );
  const given = { terminationGracePeriodSeconds: 30, restartPolicy: 'Always', ...spec };
  return { ...pod, spec: { ...given, containers }, status: { phase: 'Pending', ...pod.status } };
}

/** `policyTypes` as the real server fills it in (NP-02). */
export function policyDefaults(policy: KubeObject): KubeObject {
  const spec = policy.spec ?? {};
  if (asStrings(spec.policyTypes).length > 0) return policy;
  const egress = Array.isArray(spec.egress) && spec.egress.length > 0 ? ['Egress'] : [];
  return { ...policy, spec: { ...spec, policyTypes: ['Ingress', ...egress] } };
}

/** A Secret's `stringData` moved into `data`. */
export function secretDefaults(secret: KubeObject): KubeObject {
  const { stringData, ...rest } = secret;
  if (!isJsonObject(stringData)) return { type: 'Opaque', ...secret };
  const encoded = Object.entries(stringData).map(([key, text]) => [
    key,
    Buffer.from(String(text)).toString('base64'),
  ]);
  return {
    type: 'Opaque',
    ...rest,
    data: { ...asObject(secret.data), ...Object.fromEntries(encoded) },
  };
}

function asStrings(value: Json): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** Without the fields that are undefined. */
function defined(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
