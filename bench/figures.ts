/** One measured figure beside the limit of the same run. */
export interface Figure {
  readonly name: string;
  /** What was measured, in words with units. */
  readonly measured: string;
  /** What it is held against, in words with units. */
  readonly limit: string;
  readonly ratio: number;
  /** The target for `ratio`, such as `≥ 0.90`. */
  readonly target: string;
  readonly met: boolean;
  /** Why it is not better, as far as known; printed when the target is missed. */
  readonly heldBackBy?: string;
}

/** A figure whose ratio must be at least, or at most, a number. */
export function figure(
  name: string,
  words: Pick<Figure, 'measured' | 'limit' | 'heldBackBy'>,
  ratio: number,
  target: { readonly atLeast: number } | { readonly atMost: number },
): Figure {
  const met = 'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost;
  const text = 'atLeast' in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
  return { name, ...words, ratio, target: text, met };
}

export function printFigures(figures: readonly Figure[]): void {
  const rows = figures.map((one) => [
    one.name,
    one.measured,
    one.limit,
    one.ratio.toFixed(2),
    one.target,
    one.met ? 'met' : 'MISSED',
  ]);
  const header = ['figure', 'measured', 'limit, same run', 'ratio', 'target', ''];
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  for (const row of all) {
    const line = row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ');
    console.log(line.trimEnd());
  }
  for (const one of figures)
    if (!one.met && one.heldBackBy !== undefined) console.log(`  ${one.name}: ${one.heldBackBy}`);
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** `12.3 ms` or `1.23 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 2 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** `123 k/s`. */
export function rate(perSecond: number): string {
  return `${(perSecond / 1000).toFixed(1)} k/s`;
}
