import {
  ApiError,
  asText,
  isJsonObject,
  type Json,
  type JsonObject,
  jsonEqual,
} from './objects.ts';

/** JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged: Record<string, Json> = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete merged[field];
    else merged[field] = mergePatch(merged[field], value);
  }
  return merged;
}

/**
 * Merge keys of lists that strategic merge patch and server-side apply merge item by item; every
 * other list is replaced. The part of Kubernetes' schema that our objects use
 * (`patchMergeKey` tags in k8s.io/api).
 */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  volumeMounts: ['mountPath'],
  conditions: ['type'],
  ports: ['port', 'containerPort'],
  addresses: ['type', 'address'],
  taints: ['key'],
  podIPs: ['ip'],
  ownerReferences: ['uid'],
};

/** Lists of plain values that are sets: merging adds. */
const setFields = new Set(['finalizers']);

/** Strategic merge patch with the merge keys above and `$patch: delete|replace`. */
export function strategicPatch(target: Json, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  const merged: Record<string, Json> = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    const deletion = /^\$deleteFromPrimitiveList\/(.+)$/.exec(field)?.[1];
    const before = merged[deletion ?? field];
    if (deletion !== undefined && Array.isArray(before) && Array.isArray(value)) {
      merged[deletion] = before.filter((item) => !value.includes(item));
    } else if (field.startsWith('$')) continue;
    else if (value === null) delete merged[field];
    else if (Array.isArray(value)) merged[field] = mergeList(field, before, value);
    else merged[field] = strategicPatch(before, value);
  }
  return merged;
}

function mergeList(field: string, before: Json, patch: readonly Json[]): Json {
  const old = Array.isArray(before) ? before : [];
  if (setFields.has(field)) return [...new Set([...old, ...patch])];
  const keys = mergeKeys[field];
  if (keys === undefined || !patch.every(isJsonObject)) return patch;
  if (patch.some((item) => item.$patch === 'replace')) {
    return patch.filter((item) => item.$patch !== 'replace');
  }
  const identity = (item: Json) =>
    isJsonObject(item) ? JSON.stringify(keys.map((key) => item[key])) : '';
  const merged = new Map<string, Json>(old.map((item) => [identity(item), item]));
  for (const item of patch) {
    const id = identity(item);
    if (item.$patch === 'delete') merged.delete(id);
    else merged.set(id, strategicPatch(merged.get(id), item));
  }
  return [...merged.values()];
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([field]) => !field.startsWith('$')));
}

/** JSON patch (RFC 6902); throws 422 when an operation does not apply. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) {
    throw new ApiError(400, 'BadRequest', 'a JSON patch is a list of operations');
  }
  let result: Json = structuredClone(target);
  for (const operation of operations) {
    if (!isJsonObject(operation)) throw invalidOperation(operation);
    result = applyOperation(result, operation);
  }
  return result;
}

function applyOperation(root: Json, operation: JsonObject): Json {
  const path = parsePointer(operation.path, operation);
  switch (operation.op) {
    case 'add':
    case 'replace':
      if (operation.op === 'replace' && readAt(root, path) === undefined) break;
      return writeAt(root, path, operation.value, operation);
    case 'remove':
      if (readAt(root, path) === undefined) break;
      return writeAt(root, path, undefined, operation);
    case 'test':
      if (!jsonEqual(readAt(root, path), operation.value)) break;
      return root;
    case 'copy':
      return writeAt(root, path, readAt(root, parsePointer(operation.from, operation)), operation);
    case 'move': {
      const from = parsePointer(operation.from, operation);
      const value = readAt(root, from);
      return writeAt(writeAt(root, from, undefined, operation), path, value, operation);
    }
    default:
  }
  throw invalidOperation(operation);
}

function parsePointer(pointer: Json, operation: JsonObject): readonly string[] {
  const text = asText(pointer);
  if (text !== '' && !text.startsWith('/')) throw invalidOperation(operation);
  const parts = text.split('/').slice(1);
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function readAt(root: Json, path: readonly string[]): Json {
  let at = root;
  for (const part of path) {
    if (Array.isArray(at)) at = at[Number(part)];
    else if (isJsonObject(at)) at = at[part];
    else return undefined;
  }
  return at;
}

/** A copy with `value` added or replaced at `path`; undefined removes. */
function writeAt(root: Json, path: readonly string[], value: Json, operation: JsonObject): Json {
  const [field, ...rest] = path;
  if (field === undefined) return value;
  if (Array.isArray(root)) {
    const index = field === '-' ? root.length : Number(field);
    if (!Number.isInteger(index) || index < 0 || index > root.length) {
      throw invalidOperation(operation);
    }
    if (rest.length > 0) return root.with(index, writeAt(root[index], rest, value, operation));
    const replaced = operation.op === 'replace' || value === undefined ? 1 : 0;
    return root.toSpliced(index, replaced, ...(value === undefined ? [] : [value]));
  }
  if (!isJsonObject(root)) throw invalidOperation(operation);
  const { [field]: before, ...others } = root;
  const after = rest.length > 0 ? writeAt(before, rest, value, operation) : value;
  return after === undefined ? others : { ...root, [field]: after };
}

function invalidOperation(operation: Json): ApiError {
  return new ApiError(422, 'Invalid', `the operation does not apply: ${JSON.stringify(operation)}`);
}
