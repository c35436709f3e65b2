import type { Clock } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import type { Facts } from '../model/store.ts';
import { onLinkNextHops } from '../routing/next-hops.ts';
import type { Round } from './loop.ts';

/**
 * Keeps the neighbours of the uplink known to VPP: at once after a change of next hops or of
 * VPP itself, a few times more in case the first answer was lost, and slowly for ever.
 */
export interface Probing extends Disposable {
  /** To be told of each round. */
  onRound(round: Round, session: object | undefined): void;
}

/** Between the first datagrams after a change; then `repeatMs` for ever. */
const pausesMs = [200, 800, 2_000] as const;
const repeatMs = 30_000;

export function createProbing(options: {
  readonly facts: Facts;
  readonly clock: Clock;
  readonly send: (addresses: readonly Ip[]) => void;
}): Probing {
  const { clock, facts } = options;
  let timer: { cancel(): void } | undefined;
  let known = '';
  let lastSession: object | undefined;

  function probe(step: number): void {
    options.send(onLinkNextHops(facts));
    timer = clock.after(pausesMs[step] ?? repeatMs, () => probe(step + 1));
  }

  return {
    onRound(round, session) {
      const { changed } = round.snapshot;
      const touched = changed.uplink ?? changed.nodes ?? changed.learnedRoutes;
      if (session === undefined || (touched === undefined && session === lastSession)) return;
      const wanted = onLinkNextHops(facts).join(' ');
      if (wanted === known && session === lastSession) return;
      known = wanted;
      lastSession = session;
      timer?.cancel();
      probe(0);
    },
    [Symbol.dispose]() {
      timer?.cancel();
    },
  };
}
