import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import { formatObject, selectObjects } from './lists.ts';
import { ApiError, formatStatus, type JsonObject, type KubeObject } from './objects.ts';
import { formatGroupVersion, type Resource } from './resources.ts';
import type { Matcher } from './selectors.ts';
import type { Change, Storage } from './storage.ts';

/**
 * One watch: a chunked HTTP response with one JSON event a line.
 *
 * With a selector, an object that starts to match is ADDED and one that stops to match is
 * DELETED, whatever happened to it. Bookmarks carry the revision on while nothing happens. A
 * client that does not read is cut off: it resumes from the last revision that it saw.
 */
export interface WatchRequest {
  readonly resource: Resource;
  /** '' for all namespaces. */
  readonly namespace: string;
  readonly matches: Matcher;
  /** '' or '0': the current state first, as synthetic ADDED events. */
  readonly resourceVersion: string;
  readonly bookmarks: boolean;
  /** WatchList (KEP-3157): the current state, then a marked bookmark, then changes. */
  readonly sendInitialEvents: boolean;
  /** 0: the server chooses. */
  readonly timeoutSeconds: number;
}

export interface WatchOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  /** Between bookmarks; a real server sends one about every minute. */
  readonly bookmarkMs: number;
}

/** A watcher whose unsent text grows beyond this many bytes is cut off. */
const backlogLimitBytes = 64 * 1024 * 1024;

/** What the server chooses when the client names no timeout. */
const defaultTimeoutSeconds = 1800;

/** Serves until the client, the timeout or `signal` ends it. */
export function serveWatch(
  response: ServerResponse,
  request: WatchRequest,
  options: WatchOptions,
  signal: AbortSignal,
): void {
  const { storage, clock } = options;
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache' });
  response.flushHeaders();
  const write = (line: string) => {
    if (response.writableLength > backlogLimitBytes) response.destroy();
    else response.write(line);
  };
  if (!writeStart(write, request, storage)) {
    response.end();
    return;
  }
  const unsubscribe = storage.subscribe(request.resource, (change) => {
    const line = formatChange(change, request);
    if (line !== undefined) write(line);
  });
  const bookmark = () => write(formatBookmark(request.resource, storage.revision, false));
  let bookmarkTimer: Timer | undefined;
  const rearm = () => {
    bookmarkTimer = clock.after(options.bookmarkMs, () => {
      bookmark();
      rearm();
    });
  };
  if (request.bookmarks) rearm();
  const end = () => {
    if (request.bookmarks) bookmark();
    response.end();
  };
  const seconds = request.timeoutSeconds === 0 ? defaultTimeoutSeconds : request.timeoutSeconds;
  const timeout = clock.after(seconds * 1000, end);
  signal.addEventListener('abort', end);
  response.once('close', () => {
    unsubscribe();
    bookmarkTimer?.cancel();
    timeout.cancel();
    signal.removeEventListener('abort', end);
  });
}

/** Initial state or missed changes; false when the revision is gone and the stream must end. */
function writeStart(
  write: (line: string) => void,
  request: WatchRequest,
  storage: Storage,
): boolean {
  const { resource, resourceVersion } = request;
  const fromState = resourceVersion === '' || resourceVersion === '0';
  if (fromState || request.sendInitialEvents) {
    const objects = selectObjects(storage, resource, request.namespace, request.matches);
    writeAll(write, objects);
    if (request.sendInitialEvents) write(formatBookmark(resource, storage.revision, true));
    return true;
  }
  const missed = storage.since(resource, Number(resourceVersion));
  if (missed === undefined) {
    const text = `too old resource version: ${resourceVersion}`;
    const status = formatStatus(new ApiError(410, 'Expired', text));
    write(formatEvent('ERROR', JSON.stringify(status)));
    return false;
  }
  for (const change of missed) {
    const line = formatChange(change, request);
    if (line !== undefined) write(line);
  }
  return true;
}

function writeAll(write: (line: string) => void, objects: readonly KubeObject[]): void {
  let batch = '';
  for (const object of objects) {
    batch += formatEvent('ADDED', formatObject(object));
    if (batch.length < 256 * 1024) continue;
    write(batch);
    batch = '';
  }
  if (batch !== '') write(batch);
}

/** A change as this watcher sees it; undefined when it does not concern it. */
function formatChange(change: Change, request: WatchRequest): string | undefined {
  const { object, previous } = change;
  if (request.namespace !== '' && object.metadata.namespace !== request.namespace) return undefined;
  const isIn = change.type !== 'DELETED' && request.matches(object);
  const wasIn = previous !== undefined && request.matches(previous);
  if (isIn) return formatEvent(wasIn ? 'MODIFIED' : 'ADDED', formatObject(object));
  if (!wasIn) return undefined;
  // As in a real server, the state that matched last, under the revision of this change.
  const { resourceVersion } = object.metadata;
  const metadata = { ...previous.metadata, resourceVersion };
  return formatEvent('DELETED', JSON.stringify({ ...previous, metadata }));
}

function formatBookmark(resource: Resource, revision: number, ends: boolean): string {
  const annotations = ends ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const object: JsonObject = {
    kind: resource.kind,
    apiVersion: formatGroupVersion(resource),
    metadata: { resourceVersion: String(revision), creationTimestamp: null, ...annotations },
  };
  return formatEvent('BOOKMARK', JSON.stringify(object));
}

function formatEvent(type: string, objectText: string): string {
  return `{"type":"${type}","object":${objectText}}\n`;
}
