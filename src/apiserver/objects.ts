/** Any JSON value that came from outside. */
export type Json = unknown;

/** A JSON object whose fields nobody has checked yet. */
export type JsonObject = { readonly [field: string]: Json };

/** The fields of `metadata` that the server itself reads or writes; it keeps all others. */
export interface ObjectMeta {
  readonly name: string;
  readonly generateName?: string;
  /** '' is never stored: absent for cluster-scoped objects. */
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: Json;
}

/** A stored object. Immutable: every change makes a new one, so it can be handed out freely. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec?: JsonObject;
  readonly status?: JsonObject;
  readonly [field: string]: Json;
}

/** A refused request, with the HTTP status and the `reason` of a Kubernetes Status object. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.reason = reason;
  }
}

/** The Status object that carries a failure to the client. */
export function formatStatus(error: ApiError): JsonObject {
  const { code, reason, message } = error;
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
  return { ...head, message, reason, code };
}

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function objectKey(object: { readonly metadata: ObjectMeta }): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** True for `{…}`; false for null, arrays and everything else. */
export function isJsonObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object; `{}` when it is something else. */
export function asObject(value: Json): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** The value as a list of objects; what is no object is left out. */
export function asObjects(value: Json): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** The value as text; '' when it is something else. */
export function asText(value: Json): string {
  return typeof value === 'string' ? value : '';
}

/** The value as a list of texts; what is no text is left out. */
export function asTexts(value: Json): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The value as a number; 0 when it is something else. */
export function asNumber(value: Json): number {
  return typeof value === 'number' ? value : 0;
}

/** Structural equality of JSON values; an undefined field equals an absent one. */
export function jsonEqual(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((v, i) => jsonEqual(v, b[i]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const fields = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const field of fields) if (!jsonEqual(a[field], b[field])) return false;
  return true;
}
