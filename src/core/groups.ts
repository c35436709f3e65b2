/** Sets of values by key, none of them empty: what most indexes are. */
export type Groups<Key, Value> = Map<Key, Set<Value>>;

export function addToGroup<Key, Value>(groups: Groups<Key, Value>, key: Key, value: Value): void {
  const values = groups.get(key);
  if (values === undefined) groups.set(key, new Set([value]));
  else values.add(value);
}

export function removeFromGroup<Key, Value>(
  groups: Groups<Key, Value>,
  key: Key,
  value: Value,
): void {
  const values = groups.get(key);
  values?.delete(value);
  if (values?.size === 0) groups.delete(key);
}
