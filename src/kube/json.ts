/** A JSON value from outside that nobody has checked yet. */
export type Json = unknown;
export type JsonObject = { readonly [field: string]: Json };

/** True for `{…}`; false for null, arrays and everything else. */
export function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const emptyObject: JsonObject = {};
const emptyList: readonly Json[] = [];

/** The value as an object; empty when it is something else. */
export function objectOf(value: Json): JsonObject {
  return isObject(value) ? value : emptyObject;
}

/** The value as a list; empty when it is something else. */
export function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : emptyList;
}

/** The value as text; '' when it is something else. */
export function textOf(value: Json): string {
  return typeof value === 'string' ? value : '';
}

/**
 * Structural equality of facts. Facts hold plain JSON values only; an absent field differs from
 * an undefined one nowhere in them.
 */
export function factsEqual(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!factsEqual(a[i], b[i])) return false;
    return true;
  }
  if (!isObject(a) || !isObject(b)) return false;
  const fields = Object.keys(a);
  if (fields.length !== Object.keys(b).length) return false;
  for (const field of fields) if (!factsEqual(a[field], b[field])) return false;
  return true;
}
