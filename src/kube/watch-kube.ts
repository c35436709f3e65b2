import type { Clock } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import type { Store } from '../model/store.ts';
import type { KubeAccess } from './access.ts';
import { createInterner } from './intern.ts';
import { type KubeKind, type WatchedKind, watchedKinds } from './kinds.ts';
import { formatError } from './kube-error.ts';
import { type ReflectorState, watchResource } from './reflector.ts';
import { createKubeClient } from './request.ts';
import { createFactSink } from './sink.ts';

/** The source: everything that the cluster says, in the store. */
export interface KubeSource extends AsyncDisposable {
  /** Resolves when the first complete picture of every kind is in the store. */
  readonly synced: Promise<void>;
  /** One entry a kind. */
  state(): readonly (ReflectorState & { readonly kind: KubeKind })[];
}

/** The part of pino's logger that is used. */
export interface KubeLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface WatchKubeOptions {
  readonly store: Store;
  readonly access: KubeAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: KubeLog;
  /** All problems of the cluster's objects as they are now; called when they change. */
  readonly onProblems: (problems: readonly Problem[]) => void;
  /** For measuring: called for each event when it was read, with `clock.monotonic()`. */
  readonly onReceived?: (kind: KubeKind, key: string, monotonicMs: number) => void;
  /** Default: all. */
  readonly kinds?: readonly KubeKind[];
  /** False: lists in pages even where the server has WatchList. */
  readonly watchList?: boolean;
}

/** Watches until the signal aborts or the result is disposed. */
export function watchKube(options: WatchKubeOptions): KubeSource {
  const { clock, access, store } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const client = createKubeClient(access, clock);
  const interner = createInterner();
  const kinds = options.kinds ?? (Object.keys(watchedKinds) as KubeKind[]);
  const parts = kinds.map((kind) => startKind(watchedKinds[kind]));

  function startKind<K extends KubeKind>(watched: WatchedKind<K>) {
    const { onReceived } = options;
    const received = (kind: KubeKind, key: string) => onReceived?.(kind, key, clock.monotonic());
    const sink = createFactSink(watched, {
      store,
      interner,
      onProblemsChanged: tellProblems,
      ...(onReceived === undefined ? {} : { onReceived: received }),
    });
    const { path, labelSelector, kind, optional = false } = watched;
    const onError = (error: unknown, retryMs: number) => {
      const fields = { kind, error: formatError(error), retryMs: Math.round(retryMs) };
      options.log.warn(fields, 'watch failed');
    };
    const watchList = options.watchList === undefined ? {} : { watchList: options.watchList };
    // Its own signal each: all of their listeners on one would look like a leak to Node.
    const own = AbortSignal.any([signal]);
    const fixed = { client, path, labelSelector, sink, clock, signal: own, onError, optional };
    const reflector = watchResource({ ...fixed, ...watchList });
    reflector.synced.then(
      () => options.log.info({ kind, objects: store.facts[kind].size }, 'synced'),
      () => undefined, // ended before: the caller did that
    );
    return { kind, sink, reflector };
  }

  function tellProblems(): void {
    options.onProblems(parts.flatMap((part) => part.sink.problems()));
  }

  const synced = Promise.all(parts.map((part) => part.reflector.synced)).then(() => undefined);
  // A daemon that ends before the first picture has nobody waiting for it.
  synced.catch(() => undefined);
  return {
    synced,
    state: () => parts.map(({ kind, reflector }) => ({ kind, ...reflector.state() })),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the Kubernetes source was closed'));
      await Promise.all(parts.map((part) => part.reflector.ended));
      await client[Symbol.asyncDispose]();
    },
  };
}
