import type { FibPath, Target } from './paths.ts';

/** What a path of a special type does. */
export function simpleTarget(path: FibPath): Target | undefined {
  switch (path.type) {
    case 1:
      return { kind: 'local' };
    case 2:
      return { kind: 'drop', why: 'the route says drop' };
    case 5:
      return { kind: 'unreachable' };
    case 6:
      return { kind: 'prohibit' };
    case 9:
      return path.interface === undefined
        ? undefined
        : { kind: 'receive', interface: path.interface };
    default:
      return undefined;
  }
}

/** Largest number of buckets that unequal paths are spread over. */
const bucketsMax = 64;

/**
 * A power of two of buckets, filled by weight. VPP picks the smallest one whose error is below
 * 10 %; we do the same. Source: v26.06 `vnet/dpo/load_balance.c`.
 */
export function spread(
  paths: readonly { readonly weight: number; readonly targets: readonly Target[] }[],
): Target[] {
  const flat = paths.flatMap((path) =>
    path.targets.map((target) => ({
      weight: Math.max(1, path.weight) / path.targets.length,
      target,
    })),
  );
  if (flat.length <= 1) return flat.map((item) => item.target);
  const total = flat.reduce((sum, item) => sum + item.weight, 0);
  for (let size = 2; ; size *= 2) {
    if (size < flat.length) continue;
    const counts = share(
      flat.map((item) => item.weight / total),
      size,
    );
    const error = flat.reduce(
      (sum, item, i) => sum + Math.abs((counts[i] ?? 0) - (item.weight / total) * size),
      0,
    );
    if (error / size <= 0.1 || size >= Math.max(bucketsMax, flat.length)) {
      return flat.flatMap((item, i) => new Array<Target>(counts[i] ?? 0).fill(item.target));
    }
  }
}

/** `size` seats by largest remainder; everyone gets at least one. */
function share(parts: readonly number[], size: number): number[] {
  const counts = parts.map((part) => Math.max(1, Math.floor(part * size)));
  let left = size - counts.reduce((a, b) => a + b, 0);
  const order = parts
    .map((part, i) => ({ i, rest: part * size - Math.floor(part * size) }))
    .toSorted((a, b) => b.rest - a.rest || a.i - b.i);
  for (let k = 0; left > 0; k = (k + 1) % order.length, left--) {
    const seat = order[k]?.i ?? 0;
    counts[seat] = (counts[seat] ?? 0) + 1;
  }
  return counts;
}
