import { type Clock, realClock } from '../../src/core/clock.ts';
import type { Problem } from '../../src/core/problem.ts';
import { type KubeAccess, loadKubeAccess } from '../../src/kube/access.ts';
import type { KubeKind } from '../../src/kube/kinds.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/request.ts';
import { type KubeSource, watchKube } from '../../src/kube/watch-kube.ts';
import { createStore, type Store } from '../../src/model/store.ts';

/** A source over a store, with what it said. */
export interface Rig extends AsyncDisposable {
  readonly store: Store;
  readonly source: KubeSource;
  readonly warnings: string[];
  problems(): readonly Problem[];
  /** Resolves when the condition holds; checked after each commit. */
  until(condition: () => boolean): Promise<void>;
  /** Resolves with the next warning. */
  nextWarning(): Promise<string>;
}

export async function accessOf(url: string): Promise<KubeAccess> {
  return loadKubeAccess({ kubeconfig: '', server: url, environment: {} });
}

/** Watches `kinds` at `url`. */
export async function startRig(
  url: string,
  kinds: readonly KubeKind[],
  options: { readonly clock?: Clock; readonly watchList?: boolean } = {},
): Promise<Rig> {
  const store = createStore();
  const warnings: string[] = [];
  let problems: readonly Problem[] = [];
  let told = () => {};
  const source = watchKube({
    store,
    access: await accessOf(url),
    clock: options.clock ?? realClock,
    signal: new AbortController().signal,
    log: {
      info: () => {},
      warn: (fields) => {
        warnings.push(JSON.stringify(fields));
        told();
      },
    },
    onProblems(all) {
      problems = all;
    },
    kinds,
    ...(options.watchList === undefined ? {} : { watchList: options.watchList }),
  });
  return {
    store,
    source,
    warnings,
    problems: () => problems,
    async until(condition) {
      while (!condition()) {
        await store.changed();
        store.takeSnapshot();
      }
    },
    nextWarning: () =>
      new Promise((resolve) => {
        told = () => resolve(warnings.at(-1) ?? '');
      }),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** Requests to a test server. */
export interface Writer extends AsyncDisposable {
  create(path: string, body: object): Promise<unknown>;
  patch(path: string, body: object): Promise<unknown>;
  remove(path: string): Promise<unknown>;
}

export async function createWriter(url: string): Promise<Writer> {
  const client: KubeClient = createKubeClient(await accessOf(url), realClock);
  const signal = () => new AbortController().signal;
  return {
    create: (path, body) => client.request({ method: 'POST', path, body }, signal()),
    patch: (path, body) => client.request({ method: 'PATCH', path, body }, signal()),
    remove: (path) => client.request({ method: 'DELETE', path }, signal()),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
