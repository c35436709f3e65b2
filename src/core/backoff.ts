/** Delays that double from `firstMs` to `maxMs`, each spread over its upper half by `random`. */
export interface Backoff {
  /** The next delay in milliseconds. */
  next(): number;
  /** Back to `firstMs`: after a success. */
  reset(): void;
}

export function createBackoff(options: {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}): Backoff {
  const random = options.random ?? Math.random;
  let attempts = 0;
  return {
    next() {
      const ceiling = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempts++, 30));
      return ceiling * (0.5 + random() / 2);
    },
    reset() {
      attempts = 0;
    },
  };
}
