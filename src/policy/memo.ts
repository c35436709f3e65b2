/**
 * What follows from an object and a key, remembered as long as the object lives: of each object
 * the values that were asked for last, at least `keysMax` and at most twice as many.
 *
 * A bucket of pods may outlive any number of policies, each of which asks for it with other ports.
 */
export type Memo<Value> = (from: object, key: string, make: () => Value) => Value;

/** What was asked for since the generations changed, and before that. */
interface Generations<Value> {
  young: Map<string, Value>;
  old: Map<string, Value>;
}

export function createMemo<Value>(keysMax: number): Memo<Value> {
  const known = new WeakMap<object, Generations<Value>>();
  return (from, key, make) => {
    let values = known.get(from);
    if (values === undefined) {
      values = { young: new Map(), old: new Map() };
      known.set(from, values);
    }
    const found = values.young.get(key);
    if (found !== undefined) return found;
    const value = values.old.get(key) ?? make();
    if (values.young.size >= keysMax) {
      values.old = values.young;
      values.young = new Map();
    }
    values.young.set(key, value);
    return value;
  };
}
