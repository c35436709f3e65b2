import { type Clock, sleep } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import type { GobgpClient } from './client.ts';
import type { Log } from './log.ts';
import type { PeerState } from './peer-codec.ts';
import type { PeerDriver } from './peer-driver.ts';

/**
 * Neighbours that exceeded their prefix limit, tried again.
 *
 * GoBGP shuts such a neighbour down and never comes back to it by itself (v3.10.0 and v4.8.0
 * pkg/server/fsm.go, the administrative state PFX_CT). A neighbour that has calmed down would
 * stay lost for ever, so it is taken back after a while. Each time that it exceeds the limit
 * again the wait doubles.
 */
export interface SecondChances {
  /** Pure but for its memory: the neighbours to take back now. `nowMs` is monotonic. */
  due(peers: readonly PeerState[], nowMs: number): readonly Ip[];
}

export interface ChanceTimes {
  /** Milliseconds from exceeding the limit to the first try. Default 5 minutes. */
  readonly firstMs?: number;
  /** Longest wait. Default an hour. */
  readonly maxMs?: number;
  /** How often neighbours are looked at. Default 30 s. */
  readonly everyMs?: number;
}

const defaults = { firstMs: 300_000, maxMs: 3_600_000, everyMs: 30_000 };

interface Chance {
  /** How long the neighbour waits, or waited the last time. */
  readonly waitMs: number;
  /** When it is taken back; undefined while it is. */
  readonly dueMs: number | undefined;
  /** Once it has behaved until then, the next wait is the first one again. */
  readonly forgetMs: number;
}

export function createSecondChances(times: ChanceTimes = {}): SecondChances {
  const { firstMs, maxMs } = { ...defaults, ...times };
  const chances = new Map<Ip, Chance>();

  function shutDown(known: Chance | undefined, nowMs: number): Chance {
    if (known?.dueMs !== undefined) return known;
    const waitMs = known === undefined ? firstMs : Math.min(maxMs, known.waitMs * 2);
    return { waitMs, dueMs: nowMs + waitMs, forgetMs: nowMs };
  }

  return {
    due(peers, nowMs) {
      const takeBack: Ip[] = [];
      const over = new Set<Ip>();
      for (const { row, overLimit, group } of peers) {
        // One that called from inside a range may call again: GoBGP forgets it when it is down.
        if (!overLimit || group !== '') continue;
        over.add(row.address);
        const chance = shutDown(chances.get(row.address), nowMs);
        const { waitMs, dueMs = nowMs } = chance;
        const isDue = nowMs >= dueMs;
        if (isDue) takeBack.push(row.address);
        const next = { waitMs, dueMs: undefined, forgetMs: nowMs + 2 * waitMs };
        chances.set(row.address, isDue ? next : chance);
      }
      for (const [address, chance] of chances) {
        if (over.has(address)) continue;
        // Somebody else took it back, or a new limit did.
        const { waitMs } = chance;
        if (chance.dueMs !== undefined)
          chances.set(address, { waitMs, dueMs: undefined, forgetMs: nowMs + 2 * waitMs });
        else if (nowMs >= chance.forgetMs) chances.delete(address);
      }
      return takeBack;
    },
  };
}

/** Resolves when `signal` is aborted. */
export async function keepSecondChances(
  options: {
    readonly client: GobgpClient;
    readonly peers: PeerDriver;
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly log: Log;
  } & ChanceTimes,
): Promise<void> {
  const { client, peers, clock, signal, log } = options;
  const { everyMs } = { ...defaults, ...options };
  const chances = createSecondChances(options);
  while (!signal.aborted) {
    await sleep(clock, everyMs, signal).catch(() => undefined); // aborted: the loop ends
    if (signal.aborted) return;
    try {
      const sessions = await client.listSessions(signal);
      for (const address of chances.due(sessions, clock.monotonic())) {
        log.info({ peer: address }, 'a neighbour that exceeded its prefix limit is tried again');
        await peers.takeBack(address, signal);
      }
    } catch {
      // Without GoBGP, which the target reports, or before BGP is started, there is nobody to take
      // back. A neighbour that is gone half way is missed by the next dump of the reconciler.
    }
  }
}
