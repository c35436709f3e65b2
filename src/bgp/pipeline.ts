import { type Change, done, failed, type Outcome } from '../reconcile/driver.ts';
import { GobgpError } from './error.ts';

/**
 * Calls under way at a time. GoBGP serves one after the other (v3.10.0 and v4.8.0
 * pkg/server/server.go, mgmtOperation), so a few are enough to keep it busy, and the deadline of
 * each one counts while it waits for the others.
 */
export const callsMax = 8;

/** One outcome per change. After a lost connection the rest fails without being tried. */
export function eachInTurn<Row>(
  changes: readonly Change<Row>[],
  apply: (change: Change<Row>) => Promise<void>,
): Promise<readonly Outcome[]> {
  return eachAtOnce(changes, apply, 1);
}

/** The same with `atOnce` changes under way; in what order they end is anybody's guess. */
export async function eachAtOnce<T>(
  items: readonly T[],
  apply: (item: T) => Promise<void>,
  atOnce = callsMax,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = items.map(() => done);
  const entries = items.entries();
  let lost: GobgpError | undefined;
  async function work(): Promise<void> {
    for (const [i, item] of entries) {
      try {
        if (lost !== undefined) throw lost;
        await apply(item);
      } catch (error) {
        if (error instanceof GobgpError && error.isConnectionLoss) lost ??= error;
        outcomes[i] = failed(error);
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
  return outcomes;
}

/** Resolves when all are done; throws the first error when none is under way any more. */
export async function allAtOnce<T>(
  items: readonly T[],
  apply: (item: T) => Promise<void>,
): Promise<void> {
  for (const outcome of await eachAtOnce(items, apply))
    if (outcome.status === 'failed') throw outcome.error;
}
