import { createGobgpTarget, type GobgpTarget } from '../../src/bgp/target.ts';
import { type GobgpWatch, watchGobgp } from '../../src/bgp/watch.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { pathRow, peerRow } from '../../src/desired/bgp.ts';
import { createDesired } from '../../src/desired/desired.ts';
import type { Rows } from '../../src/desired/plan.ts';
import type { BgpPeerRow } from '../../src/desired/rows.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { createReconciler } from '../../src/reconcile/reconciler.ts';
import { type Gobgpd, startGobgpd } from './gobgpd.ts';

/** The BGP half of a node: a gobgpd, what is written to it, and what is learned from it. */
export interface Speaker extends AsyncDisposable {
  readonly gobgpd: Gobgpd;
  readonly target: GobgpTarget;
  readonly store: Store;
  readonly watch: GobgpWatch;
  /** Makes `rows` the desired state; a loop like the daemon's writes it and repairs it. */
  want(rows: Rows): void;
  /** Text of the learned routes: `prefix via nexthops`, sorted. */
  learned(): string[];
  failures(): string[];
}

export const quiet = { info: () => undefined, warn: () => undefined };

export async function startSpeaker(
  program: string,
  index: number,
  times: { readonly staleSeconds?: number; readonly startupSeconds?: number } = {},
): Promise<Speaker> {
  const gobgpd = await startGobgpd(program, index);
  const stop = new AbortController();
  const { signal } = stop;
  const { client } = gobgpd;
  const store = createStore();
  const common = { client, clock: realClock, signal, log: quiet };
  const target = createGobgpTarget(common);
  const watch = watchGobgp({ ...common, store, settleSeconds: 5, ...times });
  const desired = createDesired();
  const reconciler = createReconciler({ targets: [target], desired });
  let wake = () => {};

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const changed = target.sessionChanged();
      await reconciler.round({ signal, mayDelete: () => true });
      const retryMs = reconciler.nextRetryMs();
      const retry = new Promise<void>((resolve) => {
        if (retryMs !== undefined) setTimeout(resolve, retryMs - realClock.monotonic());
      });
      await Promise.race([woken, changed, retry]);
    }
  }
  const running = loop();

  return {
    gobgpd,
    target,
    store,
    watch,
    want(rows) {
      desired.put({ name: 'test', kind: 'Test', rank: 0 }, 'test', { rows, problems: [] });
      wake();
    },
    learned: () =>
      [...store.facts.learnedRoutes.values()]
        .map((route) => `${route.prefix} via ${route.nextHops.join(' ')}`)
        .toSorted(),
    failures: () => [...reconciler.failures()].map((f) => `${f.stage} ${f.key}: ${f.error}`),
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake();
      await running;
      await watch[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      await gobgpd[Symbol.asyncDispose]();
    },
  };
}

export const asn = 64512;

/** A server that listens on its own address only. */
export function serverRows(speaker: Speaker, port: number): Rows {
  const address = ip(speaker.gobgpd.address);
  return { bgpServer: [{ asn, routerId: address, port, listenAddresses: [address] }] };
}

/** An iBGP session; of each pair the lower index waits. */
export function nodePeerRow(local: Speaker, remote: Speaker, port: number): BgpPeerRow {
  const [localAddress, address] = [ip(local.gobgpd.address), ip(remote.gobgpd.address)];
  return peerRow({
    address,
    asn,
    port,
    localAddress,
    passive: localAddress < address,
    description: `node/${address}`,
  });
}

export function pathRows(nextHops: readonly (readonly [string, string])[]) {
  return nextHops.map(([to, via]) => pathRow(prefix(to), ip(via)));
}
