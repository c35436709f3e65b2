import type { Ip } from '../core/ip.ts';
import type { Store } from '../model/store.ts';
import type { BfdNews, BfdState } from '../vpp/bfd-states.ts';

/**
 * Which neighbours are down, as VPP's BFD sees it, as facts.
 *
 * Down is a session that was up and is not any more, until it is up again. One that never was up
 * says nothing: the neighbour may have no BFD. Neither does one that either side was told to end.
 */
export interface BfdWatch {
  /** What VPP says; takes effect at once. */
  onNews(news: BfdNews): void;
  /**
   * `wanted`: neighbours with whom there shall be a session now; `taken`: keys of facts of this
   * kind whose changes the round has written.
   */
  onRound(wanted: Iterable<string>, taken?: ReadonlySet<string>): void;
  /** States of the wanted sessions, by the neighbour's address. */
  states(): ReadonlyMap<string, BfdState>;
}

interface Session {
  state: BfdState;
  /** It was up, and nobody was told to end it since. */
  wasUp: boolean;
}

export function watchBfd(parts: {
  readonly store: Store;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}): BfdWatch {
  const { store, log } = parts;
  const sessions = new Map<string, Session>();
  let wanted = new Set<string>();

  function learn(peer: Ip, state: BfdState): void {
    const before = sessions.get(peer);
    let wasUp = before?.wasUp ?? false;
    if (state === 'up') wasUp = true;
    if (state === 'adminDown') wasUp = false;
    sessions.set(peer, { state, wasUp });
    if (before?.state !== state) log('BFD session', { peer, state });
  }

  /** `written`: neighbours whose routes a round has taken out. */
  function commit(written: ReadonlySet<string> = new Set()): void {
    const known = store.facts.bfdDown;
    const factOf = (peer: string) => {
      const session = sessions.get(peer);
      const isDown = wanted.has(peer) && session?.wasUp === true && session.state !== 'up';
      if (!isDown) return undefined;
      return known.get(peer) === 'written' || (known.has(peer) && written.has(peer))
        ? 'written'
        : 'new';
    };
    const changes = [...new Set([...known.keys(), ...sessions.keys()])]
      .map((peer) => [peer, factOf(peer)] as const)
      .filter(([peer, fact]) => known.get(peer) !== fact);
    if (changes.length > 0) store.commit('bfdDown', changes);
  }

  return {
    onNews({ states, whole }) {
      // A VPP that began anew has forgotten who was up.
      if (whole)
        for (const peer of sessions.keys()) if (!states.has(peer as Ip)) sessions.delete(peer);
      for (const [peer, state] of states) learn(peer, state);
      commit();
    },
    onRound(now, taken) {
      const before = wanted;
      wanted = new Set(now);
      // VPP has no event for a session that is deleted.
      for (const peer of before) if (!wanted.has(peer)) sessions.delete(peer);
      commit(taken);
    },
    states: () =>
      new Map(
        [...sessions]
          .filter(([peer]) => wanted.has(peer))
          .map(([peer, { state }]) => [peer, state]),
      ),
  };
}
