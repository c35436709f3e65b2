import { realClock } from '../../src/core/clock.ts';
import { type Loop, type LoopOptions, startLoop } from '../../src/daemon/loop.ts';
import { createStore, type FactKind, type FactTypes, type Store } from '../../src/model/store.ts';
import { createVppTarget, type VppTarget } from '../../src/vpp/target.ts';
import type { Wire } from './wire.ts';

/** What of a daemon writes to a data plane: its loop and its session. */
export interface WritingDaemon extends AsyncDisposable {
  readonly loop: Loop;
  readonly vpp: VppTarget;
}

export function startDaemon(
  wire: Wire,
  store: Store,
  given: Pick<LoopOptions, 'onRound' | 'onStage'> = {},
): WritingDaemon {
  const stop = new AbortController();
  const { signal } = stop;
  const vpp = createVppTarget({ connect: (s) => wire.connect(s), clock: realClock, signal });
  const loop = startLoop({ store, targets: [vpp], clock: realClock, signal, ...given });
  return {
    loop,
    vpp,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('this daemon is over'));
      await loop.finished;
      await vpp[Symbol.asyncDispose]();
    },
  };
}

/** What the store of the next daemon knows when it has everything: the same facts, all new. */
export function copyStore(from: Store): Store {
  const to = createStore();
  for (const kind of from.synced) copyFacts(kind, from, to);
  return to;
}

export function copyFacts<K extends FactKind>(kind: K, from: Store, to: Store): void {
  const facts: { readonly [P in FactKind]: ReadonlyMap<string, FactTypes[P]> } = from.facts;
  const held: ReadonlyMap<string, FactTypes[K]> = facts[kind];
  to.replace(kind, held);
}
