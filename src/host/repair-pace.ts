/**
 * How soon a repair may follow another one. Pure but for what it remembers.
 *
 * An event leads to a look after `settleMs`, so that many events are one look. A repair that
 * puts back what the one before put back was undone by somebody: after a few of these each waits
 * twice as long as the one before, up to `maxMs`, until nothing was undone for a while.
 */
export interface RepairPace {
  /** Milliseconds from `nowMs` until the kernel may be looked at. */
  delayMs(nowMs: number): number;
  /** A repair was made; what should be said about it. */
  repaired(changes: readonly string[], nowMs: number): RepairKind;
}

/**
 * `repair`: an ordinary one. `undone`: the first after which the pace slows, because somebody
 * undoes our work. `again`: the ones after it.
 */
export type RepairKind = 'repair' | 'undone' | 'again';

const settleMs = 200;
/** Repairs of the same thing, one after the other, before the pace slows. */
const freeRepairs = 3;
/** Changes that are remembered. */
const seenMax = 1_000;

export function createRepairPace(maxMs: number): RepairPace {
  let seen: ReadonlySet<string> = new Set();
  let lastMs = Number.NEGATIVE_INFINITY;
  let undone = 0;
  const gapMs = () => Math.min(maxMs, settleMs * 2 ** Math.max(0, undone - freeRepairs + 1));
  return {
    delayMs: (nowMs) => Math.max(settleMs, undone < freeRepairs ? 0 : lastMs + gapMs() - nowMs),
    repaired(changes, nowMs) {
      const calm = nowMs - lastMs > 2 * Math.max(gapMs(), 1_000);
      const isUndone = !calm && changes.some((change) => seen.has(change));
      undone = calm ? 0 : undone + Number(isUndone);
      // Two things that are undone in turn are a quarrel, too.
      seen = new Set(calm || seen.size > seenMax ? changes : [...seen, ...changes]);
      lastMs = nowMs;
      if (!isUndone || undone < freeRepairs) return 'repair';
      return undone === freeRepairs ? 'undone' : 'again';
    },
  };
}
