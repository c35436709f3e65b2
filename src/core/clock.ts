/**
 * The only source of time. Real timers are ref'd on purpose: `AbortSignal.timeout()` is not,
 * and with only in-memory streams left the process would end before a deadline fires.
 * Tests use `createFakeClock` and never sleep.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds since an arbitrary start; never steps. */
  monotonic(): number;
  /** Calls back once after `delayMs`, unless cancelled. */
  after(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after `delayMs`; rejects with the signal's reason when aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

export interface FakeClock extends Clock {
  /** Moves time forward and fires what is due, in order; lets promises settle in between. */
  advance(ms: number): Promise<void>;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let now = startMs;
  let waiting: { at: number; callback: () => void }[] = [];
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    monotonic: () => now - startMs,
    after(delayMs, callback) {
      const entry = { at: now + delayMs, callback };
      waiting.push(entry);
      return {
        cancel: () => {
          waiting = waiting.filter((other) => other !== entry);
        },
      };
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const next = waiting.filter((e) => e.at <= end).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        waiting = waiting.filter((other) => other !== next);
        now = next.at;
        next.callback();
        await settle();
      }
      now = end;
      await settle();
    },
  };
}
