import * as gobgp3 from '../../proto/generated/gobgp3.ts';
import * as gobgp4 from '../../proto/generated/gobgp4.ts';
import { decodeNlri, readAttributes } from '../../src/bgp/attribute-decoder.ts';
import type { GobgpClient } from '../../src/bgp/client.ts';
import { dialect3 } from '../../src/bgp/dialect.ts';
import type { PasswordOf } from '../../src/bgp/peer-driver.ts';
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
import { type Gobgpd, type Site, startGobgpd } from './gobgpd.ts';

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
  /** Calls that changed something, by their names, since the last time this was asked. */
  calls(): string[];
}

export interface SpeakerOptions {
  readonly staleSeconds?: number;
  readonly startupSeconds?: number;
  readonly passwordOf?: PasswordOf;
  readonly site?: Site;
  readonly onSession?: (established: boolean) => void;
  readonly onCommitted?: (sinceMs: number) => void;
  /** What is wanted at the first round. */
  readonly rows?: Rows;
}

export const quiet = { info: () => undefined, warn: () => undefined };

export async function startSpeaker(
  program: string,
  index: number,
  options: SpeakerOptions = {},
): Promise<Speaker> {
  const gobgpd = await startGobgpd(program, index, options.site);
  const attached = attachSpeaker(gobgpd, options);
  return {
    ...attached,
    async [Symbol.asyncDispose]() {
      await attached[Symbol.asyncDispose]();
      await gobgpd[Symbol.asyncDispose]();
    },
  };
}

/** A daemon beside a gobgpd; when it ends, the gobgpd goes on. */
export function attachSpeaker(gobgpd: Gobgpd, options: SpeakerOptions = {}): Speaker {
  const stop = new AbortController();
  const { signal } = stop;
  const { passwordOf, rows: firstRows, site: _, ...times } = options;
  let calls: string[] = [];
  const client = spyOn(gobgpd.client, (name) => calls.push(name));
  const store = createStore();
  const common = { client, clock: realClock, signal, log: quiet };
  const target = createGobgpTarget({ ...common, ...(passwordOf && { passwordOf }) });
  const watch = watchGobgp({ ...common, store, settleSeconds: 5, ...times });
  const desired = createDesired();
  const put = (rows: Rows) =>
    desired.put({ name: 'test', kind: 'Test', rank: 0 }, 'test', { rows, problems: [] });
  if (firstRows !== undefined) put(firstRows);
  const reconciler = createReconciler({ targets: [target], desired });
  let wake = () => {};

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const changed = target.sessionChanged();
      try {
        await reconciler.round({ signal, mayDelete: () => true });
      } catch (error) {
        // A call that the end cut off.
        if (signal.aborted) return;
        throw error;
      }
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
      put(rows);
      wake();
    },
    learned: () =>
      [...store.facts.learnedRoutes.values()]
        .map((route) => `${route.prefix} via ${route.nextHops.join(' ')}`)
        .toSorted(),
    calls() {
      const made = calls;
      calls = [];
      return made;
    },
    failures: () => [...reconciler.failures()].map((f) => `${f.stage} ${f.key}: ${f.error}`),
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake();
      await running;
      await watch[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

/** The same client; `note` hears of each call that changes something. */
function spyOn(client: GobgpClient, note: (name: string) => void): GobgpClient {
  const told = <T extends unknown[], R>(name: string, call: (...args: T) => R) => ({
    value: (...args: T) => {
      note(name);
      return call(...args);
    },
  });
  return Object.create(client, {
    startBgp: told('StartBgp', client.startBgp),
    stopBgp: told('StopBgp', client.stopBgp),
    applyPaths: told('AddPathStream', client.applyPaths),
    call: {
      value: (name: string, ...rest: [Parameters<GobgpClient['call']>[1], AbortSignal]) => {
        note(name);
        return client.call(name, ...rest);
      },
    },
  });
}

/** What a speaker has of each prefix, learned or own, one line a path, sorted. */
export async function table(speaker: Speaker): Promise<string[]> {
  const { client } = speaker.gobgpd;
  const lines: string[] = [];
  if ((await client.getBgp(AbortSignal.timeout(10_000))).asn === 0) return lines;
  for (const family of [4, 6] as const) {
    const messages = await client.list(
      'ListPath',
      (d) => d.listPaths(family),
      (d) => (bytes) =>
        (d === dialect3 ? gobgp3 : gobgp4).ListPathResponse.decode(bytes).destination?.paths,
      AbortSignal.timeout(10_000),
    );
    for (const path of messages.flat()) {
      const found = readAttributes(path.pattrsBinary);
      const words = [
        decodeNlri(path.nlriBinary, family),
        `via ${found.nextHop}`,
        ...found.communities,
        ...(found.localPreference === undefined ? [] : [`pref ${found.localPreference}`]),
        ...(found.med === undefined ? [] : [`med ${found.med}`]),
        `path ${found.asPath.join(' ')}`.trim(),
      ];
      lines.push(words.join(' '));
    }
  }
  return lines.toSorted();
}

export const asn = 64512;

/** A server that listens on its own address only. */
export function serverRows(speaker: Speaker, port: number, own = asn): Rows {
  const address = ip(speaker.gobgpd.address);
  return { bgpServer: [{ asn: own, routerId: address, port, listenAddresses: [address] }] };
}

/** A session, iBGP unless said otherwise; of each pair the lower index waits. */
export function nodePeerRow(
  local: Speaker,
  remote: Speaker,
  port: number,
  more: Partial<BgpPeerRow> = {},
): BgpPeerRow {
  const [localAddress, address] = [ip(local.gobgpd.address), ip(remote.gobgpd.address)];
  return peerRow({
    address,
    asn,
    port,
    localAddress,
    passive: localAddress < address,
    description: `node/${address}`,
    ...more,
  });
}

export function pathRows(nextHops: readonly (readonly [string, string])[]) {
  return nextHops.map(([to, via]) => pathRow(prefix(to), ip(via)));
}
