import type { Clock, Timer } from '../core/clock.ts';
import type { Uplink } from '../model/facts.ts';
import { concerns, type Watched, watchKernel } from './kernel-events.ts';
import { createRepairPace, type RepairKind } from './repair-pace.ts';
import { type ClaimOptions, repairUplink } from './uplink.ts';

/**
 * Claims the uplink and keeps the claim true: DHCP clients renew addresses on it, people and
 * network daemons change what they find. Claiming again is the repair, and writes only what
 * differs. The kernel's events say when to look; as they can be lost, and sysctls have none, the
 * claim is also repeated at an interval.
 */
export interface KeepOptions {
  /** What to claim, asked before each claim: the configuration may have changed. */
  readonly claim: () => ClaimOptions;
  /** The first claim, and each later one that found something else. */
  readonly onClaimed: (uplink: Uplink) => void;
  /** A later claim had to write something; `asked` when `claim` answered something else. */
  readonly onRepaired?: (changes: readonly string[], kind: RepairKind | 'asked') => void;
  /** A later claim failed; the next one may not. */
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface KeptUplink extends AsyncDisposable {
  /** What `claim` answers may have changed: look soon. */
  look(): void;
}

export const keepIntervalMs = 30_000;
/** From the word that something else is wanted to the look: BGP tells of many routes at once. */
const askedMs = 1_000;

/** Rejects when the first claim fails. Disposing stops the repairs, and releases nothing. */
export async function keepUplink(options: KeepOptions): Promise<KeptUplink> {
  const { clock, signal } = options;
  const pace = createRepairPace(keepIntervalMs);
  let watched: Watched | undefined;
  let timer: Timer | undefined;
  let dueMs = Number.POSITIVE_INFINITY;
  let looking = Promise.resolve();
  let stopped = false;

  const look = () => lookIn(pace.delayMs(clock.monotonic()));
  /** The sooner of two looks is the one that is made. */
  function lookIn(delayMs: number): void {
    const atMs = clock.monotonic() + delayMs;
    if (stopped || signal.aborted || atMs >= dueMs) return;
    dueMs = atMs;
    timer?.cancel();
    timer = clock.after(delayMs, () => {
      looking = looking.then(repair);
    });
  }

  // Subscribed before the first claim, so no event is lost after it.
  const events = watchKernel({
    namespace: options.claim().namespace,
    onEvent: (event) => watched !== undefined && concerns(watched, event) && look(),
    onLost: look,
  });
  const claims = createClaims(options, (changes) => pace.repaired(changes, clock.monotonic()));

  async function repair(): Promise<void> {
    dueMs = Number.POSITIVE_INFINITY;
    if (stopped || signal.aborted) return;
    watched = (await claims.again()) ?? watched;
    lookIn(keepIntervalMs);
  }

  const stop = () => {
    stopped = true;
    timer?.cancel();
    events[Symbol.dispose]();
  };
  try {
    watched = await claims.first();
  } catch (error) {
    stop();
    throw error;
  }
  signal.addEventListener('abort', stop, { once: true });
  lookIn(keepIntervalMs);
  return {
    look: () => lookIn(askedMs),
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', stop);
      stop();
      await looking;
    },
  };
}

/** The claims of one keeper: who is told what. */
function createClaims(
  { claim, onClaimed, onRepaired, onError }: KeepOptions,
  rate: (changes: readonly string[]) => RepairKind,
) {
  let told = '';
  let asked = '';

  async function make(again: boolean): Promise<Watched> {
    const options = claim();
    const { uplink, changes, watched } = await repairUplink(options, again);
    const wish = JSON.stringify(options);
    if (again && changes.length > 0)
      onRepaired?.(changes, wish === asked ? rate(changes) : 'asked');
    asked = wish;
    const text = JSON.stringify(uplink);
    if (text !== told) onClaimed(uplink);
    told = text;
    return watched;
  }

  return {
    first: () => make(false),
    async again(): Promise<Watched | undefined> {
      try {
        return await make(true);
      } catch (error) {
        // Paced like a repair: an uplink that is gone must not be looked for at each event.
        rate([String(error)]);
        onError(error);
        return undefined;
      }
    },
  };
}
