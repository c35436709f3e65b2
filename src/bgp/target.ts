import { createBackoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Target } from '../reconcile/driver.ts';
import type { GobgpClient } from './client.ts';
import { createPathDriver, createServerDriver } from './drivers.ts';
import type { Log } from './log.ts';
import type { SessionState } from './peer-codec.ts';
import { createPeerDriver, type PasswordOf } from './peer-driver.ts';
import { createPolicyDriver } from './policy-driver.ts';
import { keepSecondChances } from './second-chance.ts';
import { createEnds, type Ends, guessReason } from './session-ends.ts';

/**
 * GoBGP as a target.
 *
 * A session lasts while one gobgpd process keeps what it was told. Its end is seen in two ways:
 * a stream of events that is held open breaks when the process dies (within 12 ms of a kill,
 * measured), and a GetBgp every few seconds finds that somebody stopped BGP inside a living
 * process. Either way the reconciler sees a new session, dumps, finds nothing and writes it
 * all again: replay is no code of its own.
 */
export interface GobgpTarget extends Target, AsyncDisposable {
  readonly name: 'gobgp';
  /** For `kvr show peers`, metrics and health. Throws while GoBGP is not there. */
  listPeers(signal: AbortSignal): Promise<readonly PeerStatus[]>;
}

export interface PeerStatus {
  readonly address: string;
  readonly asn: number;
  readonly state: SessionState;
  /** Seconds in Established; 0 otherwise. */
  readonly uptimeSeconds: number;
  /** Prefixes; `accepted` counts all but loops, also what the import policy rejects. */
  readonly received: number;
  readonly accepted: number;
  readonly advertised: number;
  /** Sessions that ended since the daemon or gobgpd began, whatever was later. */
  readonly flaps: number;
  readonly description: string;
  /** Why there is no session or the last one ended; '' when GoBGP does not say. */
  readonly lastError: string;
}

const reconnectFirstMs = 50;
const reconnectMaxMs = 1_000;
/** How soon a StopBgp by somebody else is noticed. */
const probeEveryMs = 5_000;

export function createGobgpTarget(options: {
  readonly client: GobgpClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Default: there are no passwords. */
  readonly passwordOf?: PasswordOf;
}): GobgpTarget {
  const { client, clock, log, passwordOf = () => undefined } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const current = createSession();
  const peers = createPeerDriver(client, passwordOf);
  const drivers = [
    createServerDriver(client, current.renew),
    createPolicyDriver(client),
    createPathDriver(client),
    peers,
  ];
  const ends = createEnds();
  const running = Promise.all([
    keepSession({ client, clock, log, signal, current, ends }),
    keepSecondChances({ client, peers, clock, log, signal }),
  ]);

  return {
    name: 'gobgp',
    get session() {
      return current.session;
    },
    drivers,
    sessionChanged: current.changed,
    async listPeers(callSignal) {
      const peers = await client.listPeers(callSignal);
      const nowSeconds = clock.now() / 1000;
      return peers.map((peer) => {
        const { row, session, received, accepted, advertised } = peer;
        const up = session === 'established';
        const { count, reason } = ends.of(row.address);
        return {
          address: row.address,
          asn: row.asn,
          state: session,
          uptimeSeconds: up ? Math.max(0, Math.round(nowSeconds - peer.upSince)) : 0,
          received,
          accepted,
          advertised,
          flaps: count,
          description: row.description,
          lastError: reason === '' && !up ? guessReason(peer) : reason,
        };
      });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

interface Session {
  readonly session: object | undefined;
  /** A new session, because GoBGP lost what it was told. */
  renew(): void;
  end(): void;
  changed(): Promise<void>;
}

function createSession(): Session {
  let session: object | undefined;
  let wake: (() => void) | undefined;
  let waiting: Promise<void> | undefined;
  function become(next: object | undefined): void {
    session = next;
    const callback = wake;
    wake = undefined;
    waiting = undefined;
    callback?.();
  }
  return {
    get session() {
      return session;
    },
    renew: () => become({}),
    end: () => {
      if (session !== undefined) become(undefined);
    },
    changed() {
      waiting ??= new Promise<void>((resolve) => {
        wake = resolve;
      });
      return waiting;
    },
  };
}

interface Keeping {
  readonly client: GobgpClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly current: Session;
  readonly ends: Ends;
}

/** Resolves when `signal` is aborted. */
async function keepSession(keeping: Keeping): Promise<void> {
  const { client, clock, log, signal, current } = keeping;
  const backoff = createBackoff({ firstMs: reconnectFirstMs, maxMs: reconnectMaxMs });
  let reported = false;
  while (!signal.aborted) {
    try {
      const state = await client.getBgp(signal);
      log.info(
        { socket: client.socket, version: client.version, asn: state.asn },
        'gobgp connected',
      );
      backoff.reset();
      reported = false;
      keeping.ends.reset();
      current.renew();
      await holdSession(keeping, state.asn !== 0);
    } catch (error) {
      if (signal.aborted) break;
      if (!reported) log.warn({ socket: client.socket, err: error }, 'gobgp is not there');
      reported = true;
    }
    current.end();
    await sleep(clock, backoff.next(), signal).catch(() => undefined); // aborted: the loop ends
  }
  current.end();
}

/** Rejects when the process behind the session is gone. */
async function holdSession(keeping: Keeping, startedAtFirst: boolean): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([keeping.signal, ended.signal]);
  try {
    const held = keeping.client.hold(keeping.ends.note, signal);
    await Promise.race([held, probe(keeping, startedAtFirst, signal)]);
  } finally {
    ended.abort();
  }
}

async function probe(keeping: Keeping, startedAtFirst: boolean, signal: AbortSignal) {
  let started = startedAtFirst;
  for (;;) {
    await sleep(keeping.clock, probeEveryMs, signal);
    const { asn } = await keeping.client.getBgp(signal);
    if (started && asn === 0) {
      keeping.log.warn({}, 'gobgp was stopped by somebody else');
      keeping.client.resetWatches();
      keeping.current.renew();
    }
    started = asn !== 0;
  }
}
