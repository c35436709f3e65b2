import type { IncomingMessage } from 'node:http';
import { createBackoff } from '../core/backoff.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { isObject, type Json, type JsonObject, listOf, objectOf, textOf } from './json.ts';
import { formatError, KubeError } from './kube-error.ts';
import { createLineSplitter, type LineSplitter } from './lines.ts';
import type { KubeClient } from './request.ts';

/**
 * Keeps a picture of one resource: list, then watch, for ever.
 *
 * The first picture comes as one stream (WatchList, KEP-3157) or, where the server has none, in
 * pages. It replaces what was there in one step when it is complete: half a list never deletes
 * anything. A watch that ends is resumed from the last revision that was seen; a revision that the
 * server no longer knows (410, as a status or as an ERROR event), a line that is no JSON, or an
 * unknown ERROR starts a new picture.
 *
 * A server that went silent is noticed in three ways: TCP keepalive (a dead host), no bookmark for
 * three times the minute in which servers send them (a stopped process), and at the latest when a
 * watch outlives the timeout that it asked for.
 *
 * A resource whose CRD need not be installed is none while the server says 404: an empty picture is
 * as complete as any, and from time to time the reflector looks again. Where objects were seen
 * before, 404 is believed only when it stays: deleting a CRD deletes its objects first, so it may
 * as well be a server that has not read its CRDs yet.
 */
export interface Reflector {
  state(): ReflectorState;
  /** Resolves with the first complete picture. */
  readonly synced: Promise<void>;
  /** Resolves when the signal has ended it. */
  readonly ended: Promise<void>;
}

export interface ReflectorState {
  readonly synced: boolean;
  /** Clock time of the last line or page from the server; 0 when there was none. */
  readonly lastEventMs: number;
  /** Why there is no watch now. */
  readonly error?: string;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: JsonObject;
}

/** A complete picture in the making. */
export interface Picture {
  put(object: JsonObject): void;
  remove(object: JsonObject): void;
  /** Makes it the truth. */
  finish(): void;
}

/** Receives what a reflector sees. */
export interface Sink {
  /** Events that arrived together, in order. */
  apply(events: readonly WatchEvent[]): void;
  startPicture(): Picture;
}

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly path: string;
  readonly labelSelector: string;
  readonly sink: Sink;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called after each failure, before the wait. */
  readonly onError: (error: unknown, retryMs: number) => void;
  readonly random?: () => number;
  /** False: always pages. */
  readonly watchList?: boolean;
  /** True: a server that does not know the resource (404) has none of it. */
  readonly optional?: boolean;
}

/** Objects of one page of a list. */
const pageLimit = 500;
/** Lists begun again because a page expired, before the failure counts. */
const listAttemptsLimit = 3;
/** A watch line: etcd takes objects of up to 1.5 MiB, escaped and wrapped. */
const lineLimitBytes = 8 * 1024 * 1024;
/** A watch asks for a random time in this range, so that a cluster's watches do not end together. */
const watchSeconds = { least: 300, most: 600 };
/** Beyond the time that the watch asked for. */
const overtimeMs = 10_000;
/** After a first bookmark on a stream, the longest time without a line. */
const silenceMs = 180_000;
/** During the first picture, the longest time without a line. */
const pictureSilenceMs = 15_000;
/** A watch that ended sooner than this counts as a failure for the backoff. */
const shortWatchMs = 1000;
const backoffLimits = { firstMs: 800, maxMs: 30_000 };
/** A resource that the server does not know is looked for again after a random time in this range. */
const unknownMs = { least: 120_000, most: 180_000 };
/** How long a server says 404 until it is believed that objects which were seen are gone. */
const goneMs = 60_000;

/** Starts at once. */
export function watchResource(options: ReflectorOptions): Reflector {
  const state = { synced: false, lastEventMs: 0, error: 'not connected yet' as string | undefined };
  let resolveSynced = () => {};
  let rejectSynced = (_: unknown) => {};
  const synced = new Promise<void>((resolve, reject) => {
    resolveSynced = resolve;
    rejectSynced = reject;
  });
  // Nobody may wait for it when the daemon ends before the first picture.
  synced.catch(() => undefined);
  const connection: Connection = {
    options,
    revision: '',
    watchList: options.watchList !== false,
    onData() {
      state.lastEventMs = options.clock.now();
      state.error = undefined;
    },
    onPicture() {
      state.synced = true;
      resolveSynced();
    },
    picture: 'none',
  };
  const ended = run(connection, (text) => {
    state.error = text;
  }).finally(() => rejectSynced(options.signal.reason));
  return {
    synced,
    ended,
    state: () => ({
      synced: state.synced,
      lastEventMs: state.lastEventMs,
      ...(state.error === undefined ? {} : { error: state.error }),
    }),
  };
}

/** What lasts from one connection to the next. */
interface Connection {
  readonly options: ReflectorOptions;
  /** Of the last event or list; '' when a new picture is needed. */
  revision: string;
  /** Until the server turns out not to have it. */
  watchList: boolean;
  readonly onData: () => void;
  readonly onPicture: () => void;
  /** `unknown`: empty, because the server does not know the resource. */
  picture: 'none' | 'seen' | 'unknown';
}

async function run(connection: Connection, setError: (text: string) => void): Promise<void> {
  const { options } = connection;
  const { clock, signal } = options;
  const random = options.random === undefined ? {} : { random: options.random };
  const backoff = createBackoff({ ...backoffLimits, ...random });
  let unknownSinceMs: number | undefined;
  while (!signal.aborted) {
    const startedMs = clock.monotonic();
    let failure: unknown;
    try {
      await connectOnce(connection);
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    if (isUnknownResource(options, failure)) {
      unknownSinceMs ??= startedMs;
      const isGone = clock.monotonic() - unknownSinceMs >= goneMs;
      if (connection.picture !== 'seen' || isGone) {
        await waitUntilKnown(connection);
        continue;
      }
    } else unknownSinceMs = undefined;
    const isShort = clock.monotonic() - startedMs < shortWatchMs;
    // Only a connection that got somewhere: an overloaded server fails late, again and again.
    if (!isShort && connection.revision !== '') backoff.reset();
    if (failure === undefined && !isShort) continue;
    const waitMs = backoff.next();
    if (failure !== undefined) {
      setError(formatError(failure));
      options.onError(failure, waitMs);
    }
    // Ends early only by the signal, which the loop sees next.
    await sleep(clock, waitMs, signal).catch(() => undefined);
  }
}

function isUnknownResource({ optional }: ReflectorOptions, failure: unknown): boolean {
  return optional === true && failure instanceof KubeError && failure.status === 404;
}

/** Makes nothing the picture of a resource that the server does not know, and lets time pass. */
async function waitUntilKnown(connection: Connection): Promise<void> {
  const { sink, clock, signal, watchList, random } = connection.options;
  connection.revision = '';
  connection.watchList = watchList !== false;
  connection.onData();
  if (connection.picture !== 'unknown') {
    sink.startPicture().finish();
    connection.picture = 'unknown';
    connection.onPicture();
  }
  const share = (random ?? Math.random)();
  const waitMs = unknownMs.least + share * (unknownMs.most - unknownMs.least);
  await sleep(clock, waitMs, signal).catch(() => undefined);
}

/** One list where needed, and one watch until it ends. */
async function connectOnce(connection: Connection): Promise<void> {
  if (connection.revision === '' && connection.watchList) {
    if (await tryWatchList(connection)) return;
    connection.watchList = false;
  }
  if (connection.revision === '') await listPages(connection);
  try {
    await stream(connection, undefined);
  } catch (error) {
    if (error instanceof KubeError && losesRevision.has(error.status)) connection.revision = '';
    throw error;
  }
}

/** 410: too old. 504: newer than the server's own, which lost its state or was restored. */
const losesRevision = new Set([410, 504]);

/** False when the server has no WatchList; then nothing was changed. */
async function tryWatchList(connection: Connection): Promise<boolean> {
  const picture = connection.options.sink.startPicture();
  try {
    await stream(connection, picture);
    return true;
  } catch (error) {
    if (error instanceof KubeError && refusesWatchList.has(error.status)) return false;
    if (error instanceof NoPictureError) return false;
    throw error;
  }
}

/** 400 and 422: the parameter is refused; 404, 405, 501: by proxies and servers of other make. */
const refusesWatchList = new Set([400, 404, 405, 422, 501]);

/** The server answered the watch but not the question for initial events. */
class NoPictureError extends Error {
  override readonly name = 'NoPictureError';
}

async function listPages(connection: Connection): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await listOnce(connection);
      return;
    } catch (error) {
      const isExpired = error instanceof KubeError && error.status === 410;
      if (!isExpired || attempt === listAttemptsLimit) throw error;
    }
  }
}

async function listOnce(connection: Connection): Promise<void> {
  const { client, path, labelSelector, sink, signal } = connection.options;
  const picture = sink.startPicture();
  let token = '';
  let revision = '';
  do {
    const query = formatQuery({ limit: String(pageLimit), labelSelector, continue: token });
    const answer = objectOf(await client.request({ method: 'GET', path: path + query }, signal));
    const metadata = objectOf(answer.metadata);
    revision = textOf(metadata.resourceVersion);
    if (revision === '' || !Array.isArray(answer.items ?? [])) {
      throw new KubeError(`GET ${path}: the answer is no list`);
    }
    for (const item of listOf(answer.items)) if (isObject(item)) picture.put(item);
    connection.onData();
    token = textOf(metadata.continue);
  } while (token !== '');
  picture.finish();
  connection.picture = 'seen';
  connection.revision = revision;
  connection.onPicture();
}

/** One watch stream; with a picture, one that begins with the initial events. */
async function stream(connection: Connection, picture: Picture | undefined): Promise<void> {
  const { client, path, labelSelector, clock, signal } = connection.options;
  const random = connection.options.random ?? Math.random;
  const span = watchSeconds.most - watchSeconds.least;
  const seconds = watchSeconds.least + Math.floor(random() * (span + 1));
  const query = formatQuery({
    watch: '1',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(seconds),
    labelSelector,
    ...(picture === undefined
      ? { resourceVersion: connection.revision }
      : { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }),
  });
  const response = await client.open({ method: 'GET', path: path + query }, signal);
  const endMs = clock.monotonic() + seconds * 1000 + overtimeMs;
  const guard = guardSilence(response, clock, endMs, picture !== undefined);
  const abort = () => response.destroy(new KubeError('the watch was given up'));
  signal.addEventListener('abort', abort, { once: true });
  connection.onData();
  try {
    await readStream(connection, response, picture, guard);
  } finally {
    guard.stop();
    signal.removeEventListener('abort', abort);
    response.destroy();
  }
}

async function readStream(
  connection: Connection,
  response: IncomingMessage,
  picture: Picture | undefined,
  guard: SilenceGuard,
): Promise<void> {
  const splitter = createLineSplitter(lineLimitBytes);
  let pending = picture;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    guard.onData();
    const lines = cutLines(connection, splitter, chunk, pending);
    if (lines.length === 0) continue;
    connection.onData();
    pending = takeLines(connection, lines, pending, guard);
  }
  if (pending !== undefined) throw new NoPictureError('the watch ended before its initial events');
}

/** A line beyond the limit would come again on resumption, and in WatchList: pages can take it. */
function cutLines(
  connection: Connection,
  splitter: LineSplitter,
  chunk: Buffer,
  picture: Picture | undefined,
): readonly string[] {
  try {
    return splitter.push(chunk);
  } catch (error) {
    connection.revision = '';
    if (picture !== undefined) throw new NoPictureError(formatError(error));
    throw error;
  }
}

/** Applies lines that arrived together; returns the picture while it is incomplete. */
function takeLines(
  connection: Connection,
  lines: readonly string[],
  picture: Picture | undefined,
  guard: SilenceGuard,
): Picture | undefined {
  const { sink } = connection.options;
  const events: WatchEvent[] = [];
  let pending = picture;
  let revision = connection.revision;
  let failure: unknown;
  for (const line of lines) {
    if (line === '') continue;
    try {
      const { type, object } = parseLine(line);
      const next = textOf(objectOf(object.metadata).resourceVersion);
      // A watch only goes forward (KEP-5504), unless etcd was restored from a backup.
      if (pending === undefined && next !== '' && Number(next) < Number(revision)) {
        throw new KubeError(`the watch went back from revision ${revision} to ${next}`);
      }
      if (type === 'BOOKMARK') {
        guard.onBookmark();
        if (pending !== undefined && endsInitialEvents(object)) {
          pending.finish();
          pending = undefined;
          connection.picture = 'seen';
          connection.onPicture();
        }
      } else if (pending === undefined) events.push({ type, object });
      else if (type === 'DELETED') pending.remove(object);
      else pending.put(object);
      revision = next || revision;
    } catch (error) {
      failure = error;
      break;
    }
  }
  // Such as "the required storage feature RequestWatchProgress is disabled" (500, etcd before
  // 3.4.25): it takes the question and cannot answer it. Seen on kube-apiserver 1.33.
  if (pending !== undefined && failure instanceof ServerError) {
    throw new NoPictureError(failure.message);
  }
  // What came before a bad line is good.
  if (events.length > 0) sink.apply(events);
  // Until the picture is complete there is nothing to resume.
  connection.revision = pending === undefined && failure === undefined ? revision : '';
  if (failure !== undefined) throw failure;
  return pending;
}

/** One event. Throws for what is none, and for ERROR. */
function parseLine(line: string): {
  readonly type: WatchEvent['type'] | 'BOOKMARK';
  readonly object: JsonObject;
} {
  const event = objectOf(parseJson(line));
  const { type, object } = event;
  if (!isObject(object)) throw new KubeError('a watch line has no object');
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return { type, object };
    case 'ERROR': {
      const status = typeof object.code === 'number' ? object.code : 0;
      throw new ServerError(`the watch failed: ${textOf(object.message)}`, { status });
    }
    default:
      throw new KubeError(`a watch line has the unknown type ${JSON.stringify(type)}`);
  }
}

function parseJson(line: string): Json {
  try {
    return JSON.parse(line) as Json;
  } catch (cause) {
    throw new KubeError('a watch line is not JSON', { cause });
  }
}

function endsInitialEvents(object: JsonObject): boolean {
  const annotations = objectOf(objectOf(object.metadata).annotations);
  return annotations['k8s.io/initial-events-end'] === 'true';
}

/** An ERROR event. */
class ServerError extends KubeError {}

interface SilenceGuard {
  onData(): void;
  onBookmark(): void;
  stop(): void;
}

/** Ends a stream on which nothing comes any more. */
function guardSilence(
  response: IncomingMessage,
  clock: Clock,
  endMs: number,
  awaitsPicture: boolean,
): SilenceGuard {
  let limitMs = awaitsPicture ? pictureSilenceMs : Number.POSITIVE_INFINITY;
  let lastMs = clock.monotonic();
  let timer = arm();

  // Data only moves `lastMs`: the timer finds out when it fires, so that a line costs nothing.
  function arm() {
    const dueMs = Math.min(endMs, lastMs + limitMs);
    return clock.after(Math.max(0, dueMs - clock.monotonic()), () => {
      if (clock.monotonic() < Math.min(endMs, lastMs + limitMs)) {
        timer = arm();
        return;
      }
      const silentMs = Math.round(clock.monotonic() - lastMs);
      const text = `the watch was silent for ${silentMs} ms`;
      response.destroy(
        limitMs === pictureSilenceMs ? new NoPictureError(text) : new KubeError(text),
      );
    });
  }

  return {
    onData() {
      lastMs = clock.monotonic();
    },
    onBookmark() {
      if (limitMs === silenceMs) return;
      limitMs = silenceMs;
      timer.cancel();
      timer = arm();
    },
    stop: () => timer.cancel(),
  };
}

function formatQuery(fields: Readonly<Record<string, string>>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== '');
  return `?${new URLSearchParams(given).toString()}`;
}
