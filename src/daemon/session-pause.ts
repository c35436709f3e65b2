import type { Clock } from '../core/clock.ts';
import type { Facts } from '../model/store.ts';
import type { VppStats } from './vpp-stats.ts';

/**
 * Bounds the pause of VPP's session scan (src/vpp/drivers/sessions.ts).
 *
 * While it rests no session ends: not those of endpoints that drain, which is what we want, and
 * not those whose time is over either, nor those of endpoints that are dead. So the pause ends when
 * the last endpoint that began to drain has had the configured time, and all the same when it has
 * lasted twice that long, or when sessions have grown too much. Then one scan cuts what must go, and
 * if endpoints still drain the next pause begins: who begins to drain later must find it in force.
 */
export interface SessionPauseOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly stats: VppStats;
  /** Identifies the run of VPP in which a pause is in force; undefined when none is. */
  readonly paused: () => object | undefined;
  /** How long an endpoint may drain. */
  readonly drainSeconds: () => number;
  /** Names of the endpoints that drain now. */
  readonly draining: () => Iterable<string>;
  /** Starts or stops the scan. */
  readonly scan: (on: boolean) => Promise<void>;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const tickMs = 1_000;
/** Enough for two scans of the whole table with the settings of docs/operations.md. */
export const scanSeconds = 6;
/** Sessions that a pause may add: a quarter of the smallest table that we set up. */
export const growthMax = 65_536;

/** How long a pause lasts at most, in times that an endpoint may drain. */
const drainsMax = 2;

interface Pause {
  readonly session: object;
  /** Since when each endpoint drains. */
  readonly since: Map<string, number>;
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
  const since = new Map<string, number>();
  return { session, since, startMs, startCount: undefined, scanUntilMs: undefined };
}

async function tick(options: SessionPauseOptions, pause: Pause): Promise<void> {
  const nowMs = options.clock.monotonic();
  const drainMs = options.drainSeconds() * 1000;
  noteDraining(pause.since, options.draining(), nowMs);
  if (pause.scanUntilMs !== undefined) {
    if (nowMs < pause.scanUntilMs) return;
    await options.scan(false);
    Object.assign(pause, { startMs: nowMs, startCount: undefined, scanUntilMs: undefined });
    return;
  }
  const stat = (await options.stats.read(['/cnat/sessions/total']))?.get('/cnat/sessions/total');
  const count = stat?.kind === 'gauge' ? stat.value : 0;
  pause.startCount ??= count;
  const restedMs = nowMs - pause.startMs;
  const newestMs = [...pause.since.values()].reduce((a, b) => Math.max(a, b), pause.startMs);
  const hasTime = nowMs - newestMs < drainMs && restedMs < drainsMax * drainMs;
  const grown = count - pause.startCount;
  if (hasTime && grown < growthMax) return;
  const seconds = restedMs / 1000;
  options.log('connections to terminating endpoints are no longer kept', { seconds, grown });
  await options.scan(true);
  pause.scanUntilMs = nowMs + scanSeconds * 1000;
}

function noteDraining(since: Map<string, number>, names: Iterable<string>, nowMs: number): void {
  const now = new Set(names);
  for (const name of since.keys()) if (!now.has(name)) since.delete(name);
  for (const name of now) if (!since.has(name)) since.set(name, nowMs);
}

/** Names of the endpoints that still serve connections while they terminate. */
export function* drainingEndpoints({ slices }: Facts): Generator<string> {
  for (const slice of slices.values()) {
    // A datagram has no connection that could go on.
    if (slice.ports.every((port) => port.protocol === 'UDP')) continue;
    for (const { ip, serving, terminating } of slice.endpoints)
      if (serving && terminating) yield `${slice.service} ${ip}`;
  }
}
