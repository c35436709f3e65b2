/** How numbers look in the demo's table. */
export function formatMs(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 1000
    ? `${Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** `backend-1 52, backend-2 48`, sorted by name. */
export function formatCounts(counts: Readonly<Record<string, number>>): string {
  return Object.keys(counts)
    .toSorted()
    .map((name) => `${name} ${counts[name]}`)
    .join(', ');
}

/** How often each text occurs. */
export function countBy<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[nameOf(item)] = (counts[nameOf(item)] ?? 0) + 1;
  return counts;
}

/** The value below which a share `q` (0 to 1) of the values lies; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** `1 pod`, `2 pods`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
