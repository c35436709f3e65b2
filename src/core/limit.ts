/**
 * Work of which no more than a number goes on at once; the rest waits, first come, first served.
 * What it waits for is for others to bound: there is a place in the queue for everybody.
 */
export type Limit = <T>(work: () => Promise<T>) => Promise<T>;

export function createLimit(atOnce: number): Limit {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      // Whose turn is next takes the place over, so nobody comes between.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
