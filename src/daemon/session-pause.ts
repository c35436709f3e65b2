import type { Clock } from '../core/clock.ts';
import type { VppStats } from './vpp-stats.ts';

/**
 * Bounds the pause of VPP's session scan (src/vpp/drivers/sessions.ts).
 *
 * While it rests no session ends: not those of endpoints that drain, which is what we want, and
 * not those whose time is over either, nor those of endpoints that are dead. So the pause ends
 * after the configured time, or when sessions have grown too much; then one scan cuts what must
 * go, and if endpoints still drain the next pause begins.
 */
export interface SessionPauseOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly stats: VppStats;
  /** Identifies the run of VPP in which a pause is in force; undefined when none is. */
  readonly paused: () => object | undefined;
  readonly drainSeconds: () => number;
  /** Starts or stops the scan. */
  readonly scan: (on: boolean) => Promise<void>;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const tickMs = 1_000;
/** Enough for two scans of the whole table with the settings of docs/operations.md. */
export const scanSeconds = 6;
/** Sessions that a pause may add: a quarter of the smallest table that we set up. */
export const growthMax = 65_536;

interface Pause {
  readonly session: object;
  startMs: number;
  /** Sessions at its start; undefined until they are known. */
  startCount: number | undefined;
  /** Until when the scan runs in between. */
  scanUntilMs: number | undefined;
}

/** Watches until the signal aborts. */
export function watchSessionPause(options: SessionPauseOptions): Disposable {
  const { clock, signal } = options;
  let pause: Pause | undefined;
  let timer: { cancel(): void } | undefined;
  const next = () => {
    if (!signal.aborted) timer = clock.after(tickMs, run);
  };
  const run = () => {
    const session = options.paused();
    if (session === undefined) pause = undefined;
    else if (pause?.session !== session) pause = newPause(session, clock.monotonic());
    const now = pause;
    if (now === undefined) return next();
    void tick(options, now)
      .catch((error) => options.log('the session scan could not be switched', { error }))
      .finally(next);
  };
  next();
  return {
    [Symbol.dispose]() {
      timer?.cancel();
    },
  };
}

function newPause(session: object, startMs: number): Pause {
  return { session, startMs, startCount: undefined, scanUntilMs: undefined };
}

async function tick(options: SessionPauseOptions, pause: Pause): Promise<void> {
  const nowMs = options.clock.monotonic();
  if (pause.scanUntilMs !== undefined) {
    if (nowMs < pause.scanUntilMs) return;
    await options.scan(false);
    Object.assign(pause, newPause(pause.session, nowMs));
    return;
  }
  const stat = (await options.stats.read(['/cnat/sessions/total']))?.get('/cnat/sessions/total');
  const count = stat?.kind === 'gauge' ? stat.value : 0;
  pause.startCount ??= count;
  const seconds = (nowMs - pause.startMs) / 1000;
  const grown = count - pause.startCount;
  if (seconds < options.drainSeconds() && grown < growthMax) return;
  options.log('connections to terminating endpoints are no longer kept', { seconds, grown });
  await options.scan(true);
  pause.scanUntilMs = nowMs + scanSeconds * 1000;
}
