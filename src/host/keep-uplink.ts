import { type Clock, sleep } from '../core/clock.ts';
import type { Uplink } from '../model/facts.ts';
import { type ClaimOptions, claimUplink } from './uplink.ts';

/**
 * Claims the uplink and keeps the claim true: DHCP clients renew addresses on it, people and
 * network daemons change what they find. Claiming again is the repair, and costs some
 * milliseconds, so it is simply done at an interval.
 */
export interface KeepOptions {
  /** What to claim, asked before each claim: the configuration may have changed. */
  readonly claim: () => ClaimOptions;
  /** The first claim, and each later one that found something else. */
  readonly onClaimed: (uplink: Uplink) => void;
  /** A later claim failed; the next one may not. */
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export const keepIntervalMs = 30_000;

/** Rejects when the first claim fails. Disposing stops the repairs, and releases nothing. */
export async function keepUplink(options: KeepOptions): Promise<AsyncDisposable> {
  const { claim, onClaimed, onError, clock } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const first = await claimUplink(claim());
  let last = JSON.stringify(first);
  onClaimed(first);

  async function repair(): Promise<void> {
    try {
      const uplink = await claimUplink(claim());
      const text = JSON.stringify(uplink);
      if (text !== last) onClaimed(uplink);
      last = text;
    } catch (error) {
      onError(error);
    }
  }

  async function keep(): Promise<void> {
    while (!signal.aborted) {
      try {
        await sleep(clock, keepIntervalMs, signal);
      } catch {
        return; // Only the signal ends a sleep early.
      }
      await repair();
    }
  }

  const kept = keep();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await kept;
    },
  };
}
