import type { AddressRange } from '../core/address-range.ts';
import { familyOf, type Ip, ipFromBigInt, ipToBigInt } from '../core/ip.ts';

/**
 * The free addresses of one pool, without asking each address again for each Service.
 *
 * Below the frontier of a range every address is taken, or it was given back and stands in a heap.
 * So each address is looked at once on the way up and once for each time that it was given back:
 * an allocation costs O(log n) amortised, however full the pool is.
 */
export interface FreeAddresses {
  /** The smallest free address of the family in the order of the ranges; it stays free. */
  first(family: 4 | 6): Ip | undefined;
  /** An address that was taken may be free again. Addresses of other pools are ignored. */
  giveBack(address: Ip): void;
}

/** `isTaken` may begin to hold at any time; that it ends is told by `giveBack`. */
export function createFreeAddresses(
  ranges: readonly AddressRange[],
  isTaken: (address: Ip) => boolean,
): FreeAddresses {
  const parts = ranges.map((range) => ({ range, next: range.first, returned: createHeap() }));
  return {
    first(family) {
      for (const part of parts) {
        if (part.range.family !== family) continue;
        const address = firstOf(part, isTaken);
        if (address !== undefined) return address;
      }
      return undefined;
    },
    giveBack(address) {
      const family = familyOf(address);
      const value = ipToBigInt(address);
      // What lies beyond the frontier is found by it.
      for (const { range, next, returned } of parts)
        if (range.family === family && range.first <= value && value < next) returned.push(value);
    },
  };
}

interface Part {
  readonly range: AddressRange;
  /** The frontier: no address from here on was looked at. */
  next: bigint;
  readonly returned: Heap;
}

function firstOf(part: Part, isTaken: (address: Ip) => boolean): Ip | undefined {
  const { range, returned } = part;
  for (let value = returned.least(); value !== undefined; value = returned.least()) {
    const address = ipFromBigInt(value, range.family);
    if (!isTaken(address)) return address;
    returned.pop();
  }
  for (; part.next <= range.last; part.next++) {
    const address = ipFromBigInt(part.next, range.family);
    if (!isTaken(address)) return address;
  }
  return undefined;
}

/** What is left of ranges when others are cut out of them, in the same order. */
export function withoutRanges(
  ranges: readonly AddressRange[],
  holes: readonly AddressRange[],
): AddressRange[] {
  let left = [...ranges];
  for (const hole of holes) left = left.flatMap((range) => cut(range, hole));
  return left;
}

function cut(range: AddressRange, hole: AddressRange): AddressRange[] {
  const { family, first, last } = range;
  if (family !== hole.family || hole.last < first || last < hole.first) return [range];
  const before = { family, first, last: hole.first - 1n };
  const after = { family, first: hole.last + 1n, last };
  return [before, after].filter((one) => one.first <= one.last);
}

interface Heap {
  least(): bigint | undefined;
  pop(): void;
  /** A value that is in it already is not added again. */
  push(value: bigint): void;
}

/** A binary heap of distinct numbers, the least on top. */
function createHeap(): Heap {
  const values: bigint[] = [];
  const inside = new Set<bigint>();
  const at = (index: number) => values[index] as bigint;
  const swap = (a: number, b: number) => {
    const kept = at(a);
    values[a] = at(b);
    values[b] = kept;
  };
  return {
    least: () => values[0],
    pop() {
      const last = values.pop();
      if (last === undefined) return;
      inside.delete(values[0] ?? last);
      if (values.length === 0) return;
      values[0] = last;
      for (let index = 0; ; ) {
        const [left, right] = [2 * index + 1, 2 * index + 2];
        if (left >= values.length) return;
        const least = right < values.length && at(right) < at(left) ? right : left;
        if (at(index) <= at(least)) return;
        swap(index, least);
        index = least;
      }
    },
    push(value) {
      if (inside.has(value)) return;
      inside.add(value);
      values.push(value);
      for (let index = values.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (at(parent) <= at(index)) return;
        swap(index, parent);
        index = parent;
      }
    },
  };
}
