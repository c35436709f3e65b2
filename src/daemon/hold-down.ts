import type { Clock, Timer } from '../core/clock.ts';
import type { Snapshot, Store } from '../model/store.ts';
import { explainAdvertisements } from '../routing/advertise.ts';

/**
 * Hold-down: a Service whose routes are withdrawn again and again stays withdrawn for a while, so
 * that a flapping endpoint of one Service does not shake the routers of the whole site.
 */
export interface HoldDown extends Disposable {
  /** After each round. */
  onRound(snapshot: Pick<Snapshot, 'changed'>): void;
}

interface History {
  announced: boolean;
  /** Monotonic times of the last withdrawals, the oldest first. */
  withdrawals: number[];
}

export function watchHoldDown(options: {
  readonly store: Pick<Store, 'commit' | 'facts'>;
  readonly clock: Clock;
  readonly log: (message: string, fields: object) => void;
}): HoldDown {
  const { store, clock, log } = options;
  const { facts } = store;
  /** Of Services that were announced once; others need no memory. */
  const histories = new Map<string, History>();
  const timers = new Map<string, Timer>();

  function release(service: string): void {
    timers.get(service)?.cancel();
    timers.delete(service);
    // It is announced again; its next withdrawal counts.
    histories.set(service, { announced: true, withdrawals: [] });
    store.commit('heldDown', [[service, undefined]]);
  }

  function look(key: string): void {
    const config = facts.config.get('config');
    const service = facts.services.get(key);
    if (service === undefined || config === undefined) {
      if (timers.has(key)) release(key);
      histories.delete(key);
      return;
    }
    if (facts.heldDown.has(key)) return;
    const announced = explainAdvertisements(facts, service).some((one) => one.row !== undefined);
    let history = histories.get(key);
    if (history === undefined) {
      if (!announced) return;
      history = { announced, withdrawals: [] };
      histories.set(key, history);
    }
    const withdrawn = history.announced && !announced;
    history.announced = announced;
    if (!withdrawn) return;
    const { flaps, windowSeconds, seconds } = config.bgp.holdDown;
    const now = clock.monotonic();
    const recent = history.withdrawals.filter((at) => now - at < windowSeconds * 1000);
    history.withdrawals = [...recent, now].slice(-flaps);
    if (seconds === 0 || history.withdrawals.length < flaps) return;
    histories.delete(key);
    log('routes of a Service are held down: withdrawn too often', { service: key, seconds });
    store.commit('heldDown', [[key, true]]);
    timers.set(
      key,
      clock.after(seconds * 1000, () => release(key)),
    );
  }

  return {
    onRound({ changed }) {
      for (const key of new Set([...(changed.services ?? []), ...(changed.slicesOf ?? [])]))
        look(key);
    },
    [Symbol.dispose]() {
      for (const timer of timers.values()) timer.cancel();
    },
  };
}
