import { realClock } from '../../src/core/clock.ts';
import { type Loop, type LoopOptions, startLoop } from '../../src/daemon/loop.ts';
import type { FactKind, FactTypes, Store } from '../../src/model/store.ts';
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

export function copyFacts<K extends FactKind>(kind: K, from: Store, to: Store): void {
  const facts: { readonly [P in FactKind]: ReadonlyMap<string, FactTypes[P]> } = from.facts;
  const held: ReadonlyMap<string, FactTypes[K]> = facts[kind];
  to.replace(kind, held);
}

/** The rest of a kind of which the other store may know some already. */
export function addFacts<K extends FactKind>(kind: K, from: Store, to: Store): void {
  const before: { readonly [P in FactKind]: ReadonlyMap<string, FactTypes[P]> } = from.facts;
  const since: { readonly [P in FactKind]: ReadonlyMap<string, FactTypes[P]> } = to.facts;
  to.replace(kind, new Map([...before[kind], ...since[kind]]));
}
