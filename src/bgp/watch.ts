import { createBackoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { Store } from '../model/store.ts';
import type { GobgpClient } from './client.ts';
import { isConverged } from './converged.ts';
import { type ServerState, watchBatchPaths } from './dialect.ts';
import { GobgpError, GrpcCode } from './error.ts';
import type { Log } from './log.ts';
import type { GobgpVersion, WatchEvent } from './path-codec.ts';
import { createRouteTable, type NewsMode, type RouteTable, routesMax } from './route-table.ts';

/**
 * GoBGP's best paths as facts: `learnedRoutes` in the store.
 *
 * A stream begins with all best paths and goes on with changes. When it breaks, the routes
 * stay: the neighbours are as well as before, VPP forwards, only the one that tells us is
 * away. They become stale. A new gobgpd starts with an empty table and learns it again within
 * seconds; until then its silence about a route means nothing. Stale routes are removed
 * - at once when GoBGP withdraws them by name or gives them other next hops,
 * - when all neighbours that were up before are up again with a complete table,
 * - `staleSeconds` after the stream broke, whatever happens.
 *
 * The start of the daemon is the same thing: the routes that a former daemon left in VPP are
 * the stale ones, and `learnedRoutes` is marked synced, which allows their deletion, when the
 * neighbours are complete or after `startupSeconds`.
 *
 * GoBGP buffers without limit for a slow reader (measured: 250 MB in a few seconds), so the
 * stream is always drained; what waits here is at most one entry per prefix.
 */
export interface GobgpWatch extends AsyncDisposable {
  /** True while a stream is open and its first table is in the store. */
  readonly live: boolean;
  /** Routes that an earlier stream brought and the present one has not confirmed. */
  readonly staleCount: number;
  /** News that found no place because there are more than `routesMax` routes; see RouteTable. */
  readonly refused: number;
}

export interface GobgpWatchOptions {
  readonly client: GobgpClient;
  readonly store: Store;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Longest life of a route after GoBGP went away. Default 120. */
  readonly staleSeconds?: number;
  /** Longest wait at the start for neighbours that are not up. Default 10. */
  readonly startupSeconds?: number;
  /** A session that is this old counts as complete without End-of-RIB. Default 10. */
  readonly settleSeconds?: number;
  /** A session came up or ended while the stream was open. */
  readonly onSession?: (established: boolean) => void;
  /** News that was seen at `sinceMs` (monotonic milliseconds) is in the store now. */
  readonly onCommitted?: (sinceMs: number) => void;
  /** `refused` is another number than before. */
  readonly onRefused?: (refused: number) => void;
  /** Routes that are taken. Default 1,000,000. */
  readonly routesMax?: number;
}

const convergePollMs = 500;
/**
 * The stream must have been quiet that long before silence about a route counts: what GoBGP
 * says of a peer can overtake the paths that it has queued for the stream.
 */
const quietMs = 1_000;
const reconnectFirstMs = 50;
const reconnectMaxMs = 1_000;
/** The reconciler writes peers within a second; those that are missing then are not wanted. */
const replayMs = 10_000;
/** The first table must be complete by then; GoBGP sends none when BGP stops in between. */
const firstTableTimeoutMs = 60_000;

/** Why stale routes are kept, or why absence means nothing yet. */
interface Hold {
  deadlineMs: number;
  /** Neighbours that were up when the stream broke; undefined at the start of the daemon. */
  readonly expected: ReadonlySet<string> | undefined;
}

interface Watching {
  readonly options: Required<GobgpWatchOptions>;
  readonly routes: RouteTable;
  readonly established: Set<string>;
  hold: Hold | undefined;
  live: boolean;
  flushing: boolean;
  /** Monotonic milliseconds of the last path news. */
  lastNewsMs: number;
  refusedReported: number;
  /** Monotonic milliseconds; means something while `live`. */
  liveSinceMs: number;
}

export function watchGobgp(given: GobgpWatchOptions): GobgpWatch {
  const stop = new AbortController();
  const options: Required<GobgpWatchOptions> = {
    staleSeconds: 120,
    startupSeconds: 10,
    settleSeconds: 10,
    onSession: () => undefined,
    onCommitted: () => undefined,
    onRefused: () => undefined,
    routesMax,
    ...given,
    signal: AbortSignal.any([given.signal, stop.signal]),
  };
  const { clock, store } = options;
  const watching: Watching = {
    options,
    routes: createRouteTable(store, options.routesMax),
    established: new Set(),
    hold: {
      deadlineMs: clock.monotonic() + options.staleSeconds * 1000,
      expected: undefined,
    },
    live: false,
    flushing: false,
    lastNewsMs: clock.monotonic(),
    refusedReported: 0,
    liveSinceMs: 0,
  };
  watching.routes.markStale();
  const running = Promise.all([keepStream(watching), keepHold(watching)]);
  return {
    get live() {
      return watching.live;
    },
    get staleCount() {
      return watching.routes.staleCount;
    },
    get refused() {
      return watching.routes.refused;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Opens the stream again and again. Resolves when the signal is aborted. */
async function keepStream(watching: Watching): Promise<void> {
  const { client, clock, signal, log } = watching.options;
  const backoff = createBackoff({ firstMs: reconnectFirstMs, maxMs: reconnectMaxMs });
  while (!signal.aborted) {
    try {
      const server = await client.getBgp(signal);
      // Before StartBgp there is no first table, so the stream would wait for ever.
      if (server.asn !== 0)
        await readStream(watching, newsMode(client.version, server), backoff.reset);
    } catch (error) {
      if (signal.aborted) break;
      if (watching.live)
        log.warn(
          { err: error, routes: watching.options.store.facts.learnedRoutes.size },
          'gobgp watch ended',
        );
    }
    if (watching.live) lose(watching);
    await sleep(clock, backoff.next(), signal).catch(() => undefined); // aborted: the loop ends
  }
}

function newsMode(version: GobgpVersion | undefined, server: ServerState): NewsMode {
  if (!server.multipath) return 'best';
  return version === 4 ? 'deltas' : 'sets';
}

/** Rejects at the end of the stream. */
async function readStream(watching: Watching, mode: NewsMode, onTable: () => void): Promise<void> {
  const { client, clock, signal, log } = watching.options;
  const tooLate = new AbortController();
  const timer = clock.after(firstTableTimeoutMs, () => tooLate.abort());
  let peersListed = false;
  // A stream that broke before its table was complete may have left routes too.
  expectConfirmation(watching, undefined);
  watching.routes.begin(mode);
  watching.established.clear();

  const readEvent = (event: WatchEvent): void => {
    if (event.kind === 'peer') {
      if (event.type === 'endOfInit') peersListed = true;
      else notePeer(watching, event);
      return;
    }
    watching.lastNewsMs = clock.monotonic();
    watching.routes.apply(event.paths);
    scheduleFlush(watching);
    if (watching.live || !peersListed || !isLastOfTable(client.version, event.count)) return;
    timer.cancel();
    watching.routes.flush();
    becomeLive(watching);
    onTable();
    log.info(
      { routes: watching.options.store.facts.learnedRoutes.size, mode },
      'gobgp table is complete',
    );
  };

  try {
    await client.watch(readEvent, AbortSignal.any([signal, tooLate.signal]));
  } catch (error) {
    if (!tooLate.signal.aborted) throw error;
    throw new GobgpError('WatchEvent', GrpcCode.deadlineExceeded, 'no first table', {
      cause: error,
    });
  } finally {
    timer.cancel();
  }
}

/**
 * GoBGP 3 sends its table in one message. GoBGP 4 splits it when a message would exceed the
 * batch size, sends one path more than that, and ends with the rest, which may be empty
 * (v4.8.0 pkg/server/grpc_server.go).
 */
function isLastOfTable(version: GobgpVersion | undefined, count: number): boolean {
  return version === 3 || count <= watchBatchPaths;
}

function notePeer({ established, options }: Watching, event: WatchEvent & { kind: 'peer' }): void {
  if (event.address === undefined) return;
  const known = established.has(event.address);
  if (event.type === 'state' && event.established !== known) options.onSession(event.established);
  if (event.established) established.add(event.address);
  else established.delete(event.address);
}

/** All that arrives in one turn of the event loop becomes one commit. */
function scheduleFlush(watching: Watching): void {
  if (watching.flushing) return;
  watching.flushing = true;
  const { clock, onCommitted } = watching.options;
  const sinceMs = clock.monotonic();
  setImmediate(() => {
    watching.flushing = false;
    // During the first table GoBGP may be half way: what is there is true already.
    if (watching.routes.flush()) onCommitted(sinceMs);
    reportRefused(watching);
    askAgain(watching);
  });
}

function reportRefused(watching: Watching): void {
  const { routes, options, live, refusedReported } = watching;
  const { refused } = routes;
  // A new stream begins with none, which means something when its table is complete.
  if (refused === refusedReported || (refused === 0 && !live)) return;
  watching.refusedReported = refused;
  if (refusedReported === 0)
    options.log.warn({ routesMax: options.routesMax }, 'too many routes: further ones are ignored');
  options.onRefused(refused);
}

/** GoBGP tells a route once. What was refused comes again with another stream only. */
function askAgain({ routes, options, live }: Watching): void {
  if (!live || !routes.hasRoomAgain) return;
  options.log.info(
    { refused: routes.refused },
    'there is room for refused routes: all are asked for',
  );
  options.client.resetWatches();
}

function becomeLive(watching: Watching): void {
  const { clock, startupSeconds } = watching.options;
  watching.live = true;
  reportRefused(watching);
  watching.liveSinceMs = clock.monotonic();
  const { hold } = watching;
  if (hold !== undefined && hold.expected === undefined) {
    hold.deadlineMs = Math.min(hold.deadlineMs, clock.monotonic() + startupSeconds * 1000);
  }
}

function lose(watching: Watching): void {
  const { staleSeconds, log } = watching.options;
  watching.live = false;
  expectConfirmation(watching, new Set(watching.established));
  log.warn(
    { staleRoutes: watching.routes.staleCount, staleSeconds },
    'gobgp went away; its routes are kept for now',
  );
}

/** What is in the store has to be confirmed, or goes when its time is over. */
function expectConfirmation(watching: Watching, expected: ReadonlySet<string> | undefined): void {
  const { clock, staleSeconds } = watching.options;
  watching.routes.flush();
  watching.routes.markStale();
  if (watching.routes.staleCount === 0) return;
  // A second loss before the first is healed does not prolong the life of stale routes.
  watching.hold ??= { deadlineMs: clock.monotonic() + staleSeconds * 1000, expected };
}

/** Ends holds. Resolves when the signal is aborted. */
async function keepHold(watching: Watching): Promise<void> {
  const { clock, signal } = watching.options;
  while (!signal.aborted) {
    await sleep(clock, convergePollMs, signal).catch(() => undefined); // aborted: the loop ends
    const { hold } = watching;
    if (signal.aborted || hold === undefined) continue;
    const expired = clock.monotonic() >= hold.deadlineMs;
    const quiet = watching.live && clock.monotonic() - watching.lastNewsMs >= quietMs;
    if (expired || (quiet && (await hasConverged(watching, hold)))) {
      release(watching, hold, expired);
    }
  }
}

async function hasConverged(watching: Watching, hold: Hold): Promise<boolean> {
  const { client, clock, settleSeconds, signal } = watching.options;
  try {
    const peers = await client.listSessions(signal);
    const replayed = clock.monotonic() - watching.liveSinceMs >= replayMs;
    const time = { nowSeconds: clock.now() / 1000, settleSeconds, replayed };
    return watching.live && isConverged(peers, hold.expected, time);
  } catch {
    return false; // gobgp is away again; the stream finds out and says so
  }
}

function release(watching: Watching, hold: Hold, expired: boolean): void {
  const { store, log } = watching.options;
  // News of the last paths may still wait: it must confirm before the rest is dropped.
  watching.routes.flush();
  const removed = watching.routes.dropStale();
  askAgain(watching);
  watching.hold = undefined;
  if (!store.synced.has('learnedRoutes')) store.markSynced('learnedRoutes');
  log.info(
    { removed, expired, expected: hold.expected?.size },
    'absent routes of gobgp are gone routes from now on',
  );
}
