import { type Addr, type AddrPrefix, addrFamily, type Family, maskAddr } from '../address.ts';

/**
 * Longest-prefix match.
 *
 * One hash per prefix length that occurs, tried from the longest. A node has few different
 * lengths (host routes, pod blocks, the default), so a look-up costs a handful of slices.
 */
export interface PrefixMap<Value> {
  readonly size: number;
  get(prefix: AddrPrefix): Value | undefined;
  set(prefix: AddrPrefix, value: Value): void;
  delete(prefix: AddrPrefix): boolean;
  /** The value of the longest prefix that contains the address. */
  match(addr: Addr): Value | undefined;
  values(): Iterable<Value>;
}

export function createPrefixMap<Value>(family: Family): PrefixMap<Value> {
  const bits = family === 4 ? 32 : 128;
  const byLength = new Map<number, Map<Addr, Value>>();
  let lengths: number[] = [];
  const refreshLengths = () => {
    lengths = [...byLength.keys()].toSorted((a, b) => b - a);
  };
  const key = (prefix: AddrPrefix) => maskAddr(prefix.addr, prefix.length);
  return {
    get size() {
      let total = 0;
      for (const map of byLength.values()) total += map.size;
      return total;
    },
    get: (prefix) => byLength.get(prefix.length)?.get(key(prefix)),
    set(prefix, value) {
      if (addrFamily(prefix.addr) !== family || prefix.length > bits)
        throw new RangeError(`a prefix of IPv${family} was expected`);
      let map = byLength.get(prefix.length);
      if (map === undefined) {
        map = new Map();
        byLength.set(prefix.length, map);
        refreshLengths();
      }
      map.set(key(prefix), value);
    },
    delete(prefix) {
      const map = byLength.get(prefix.length);
      if (map === undefined || !map.delete(key(prefix))) return false;
      if (map.size === 0) {
        byLength.delete(prefix.length);
        refreshLengths();
      }
      return true;
    },
    match(addr) {
      for (const length of lengths) {
        const value = byLength.get(length)?.get(maskAddr(addr, length));
        if (value !== undefined) return value;
      }
      return undefined;
    },
    *values() {
      for (const map of byLength.values()) yield* map.values();
    },
  };
}
