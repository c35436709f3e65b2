import type { Clock, Timer } from '../core/clock.ts';
import type { Snapshot, Store } from '../model/store.ts';
import { departureReason } from '../routing/departure.ts';

/**
 * The clock of a node's way out (RFC 8326): for `bgp.drain.gracefulSeconds` the routes of its
 * Services ask to be avoided, then the fact says that this time is over and they are withdrawn.
 */
export interface DepartureWatch extends Disposable {
  /** After each round. */
  onRound(snapshot: Pick<Snapshot, 'changed' | 'facts'>): void;
}

const key = 'departure';

export function watchDeparture(options: {
  readonly store: Pick<Store, 'commit'>;
  readonly clock: Clock;
  readonly log: (message: string, fields: object) => void;
}): DepartureWatch {
  const { store, clock, log } = options;
  let timer: Timer | undefined;
  let isOver: boolean | undefined;

  function become(over: boolean): void {
    timer?.cancel();
    timer = undefined;
    if (isOver === over) return;
    isOver = over;
    store.commit(key, [[key, { isOver: over }]]);
  }

  function leave(reason: string, seconds: number): void {
    log('this node leaves: its Service routes ask to be avoided', { reason, seconds });
    timer = clock.after(seconds * 1000, () => {
      log('this node leaves: its Service routes are withdrawn', { reason });
      become(true);
    });
  }

  return {
    onRound({ changed, facts }) {
      const config = facts.config.get('config');
      if (config === undefined) return;
      if (!changed.config && !changed.nodes?.has(config.nodeName)) return;
      const self = facts.nodes.get(config.nodeName);
      if (self === undefined) return;
      const reason = departureReason(config, self);
      if (reason === undefined) become(false);
      else if (isOver === undefined) become(true);
      else if (!isOver && timer === undefined) leave(reason, config.bgp.drain.gracefulSeconds);
    },
    [Symbol.dispose]() {
      timer?.cancel();
    },
  };
}
