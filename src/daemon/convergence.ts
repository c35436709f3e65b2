import type { Round } from './loop.ts';

/**
 * How long it takes from GoBGP's news about routes until they are in force in VPP. News gathers
 * while a round runs and while VPP is away; the round that has it in its snapshot and reaches VPP
 * ends its time.
 */
export interface Convergence {
  /** News that was seen at `sinceMs` is in the store now. Both are monotonic milliseconds. */
  onCommitted(sinceMs: number): void;
  onRound(round: Pick<Round, 'startMs' | 'connected'>): void;
}

interface Batch {
  readonly sinceMs: number;
  readonly committedMs: number;
}

/** A batch is a turn of the event loop; with more than this of them the oldest tell enough. */
const batchesMax = 1_024;

export function createConvergence(
  monotonicMs: () => number,
  observe: (seconds: number) => void,
): Convergence {
  let waiting: Batch[] = [];
  return {
    onCommitted(sinceMs) {
      if (waiting.length < batchesMax) waiting.push({ sinceMs, committedMs: monotonicMs() });
    },
    onRound({ startMs, connected }) {
      if (!connected.has('vpp')) return;
      const nowMs = monotonicMs();
      for (const { sinceMs, committedMs } of waiting)
        if (committedMs <= startMs) observe((nowMs - sinceMs) / 1000);
      waiting = waiting.filter(({ committedMs }) => committedMs > startMs);
    },
  };
}
