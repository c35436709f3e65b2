import { compareText } from '../core/ip.ts';
import type { KubeObject } from './objects.ts';
import { objectKey } from './objects.ts';
import { type Resource, resourceName } from './resources.ts';

/**
 * What etcd is to a real API server: objects by resource and key, one counter of revisions for
 * all of them, and a bounded history of changes.
 *
 * Everything is synchronous and objects are immutable, so a list is a consistent picture at one
 * revision, and a watcher that starts from that revision misses nothing. A revision older than
 * the history is *gone*: the client must list again (410).
 */
export interface Storage {
  /** Of the last change. */
  readonly revision: number;
  get(resource: Resource, key: string): KubeObject | undefined;
  /** In order of keys, as etcd gives them. */
  list(resource: Resource): readonly KubeObject[];
  count(resource: Resource): number;
  /** Stores under the next revision and tells the watchers. */
  put(resource: Resource, object: KubeObject): KubeObject;
  remove(resource: Resource, key: string): KubeObject | undefined;
  /** Changes after `revision`; undefined when they are no longer known. */
  since(resource: Resource, revision: number): readonly Change[] | undefined;
  /** Calls back for each change until the returned function is called. */
  subscribe(resource: Resource, callback: (change: Change) => void): () => void;
  /** Forgets the history: every earlier revision is gone. For tests of 410. */
  compact(): void;
}

/** One change of one object. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  /** The new state; of a deletion the last state, under the revision of the deletion. */
  readonly object: KubeObject;
  /** Absent for ADDED. */
  readonly previous?: KubeObject;
}

interface Shelf {
  readonly objects: Map<string, KubeObject>;
  /** Sorted keys; undefined after a key came or went. */
  sortedKeys: readonly string[] | undefined;
  history: Change[];
  /** Revision of the newest change that fell out of the history. */
  compactedRevision: number;
  readonly callbacks: Set<(change: Change) => void>;
}

/** `historyLimit`: changes remembered for each resource. */
export function createStorage(options: { readonly historyLimit: number }): Storage {
  const shelves = new Map<string, Shelf>();
  let revision = 1;
  let compactedRevision = 0;

  function shelfOf(resource: Resource): Shelf {
    const name = resourceName(resource);
    let shelf = shelves.get(name);
    if (shelf === undefined) {
      const fresh = { objects: new Map(), sortedKeys: undefined, history: [] };
      shelf = { ...fresh, compactedRevision, callbacks: new Set() };
      shelves.set(name, shelf);
    }
    return shelf;
  }

  function record(shelf: Shelf, change: Change): void {
    shelf.history.push(change);
    // Trimmed in batches: cutting one from the front of a long array each time would be slow.
    if (shelf.history.length > options.historyLimit * 1.25 + 1) {
      const dropped = shelf.history.length - options.historyLimit;
      shelf.compactedRevision = shelf.history[dropped - 1]?.revision ?? shelf.compactedRevision;
      shelf.history = shelf.history.slice(dropped);
    }
    for (const callback of shelf.callbacks) callback(change);
  }

  return {
    get revision() {
      return revision;
    },
    get: (resource, key) => shelfOf(resource).objects.get(key),
    list(resource) {
      const shelf = shelfOf(resource);
      shelf.sortedKeys ??= [...shelf.objects.keys()].toSorted(compareText);
      return shelf.sortedKeys.flatMap((key) => shelf.objects.get(key) ?? []);
    },
    count: (resource) => shelfOf(resource).objects.size,
    put(resource, object) {
      const shelf = shelfOf(resource);
      const key = objectKey(object);
      const previous = shelf.objects.get(key);
      const stored = withRevision(object, ++revision);
      shelf.objects.set(key, stored);
      if (previous === undefined) {
        shelf.sortedKeys = undefined;
        record(shelf, { type: 'ADDED', revision, object: stored });
      } else record(shelf, { type: 'MODIFIED', revision, object: stored, previous });
      return stored;
    },
    remove(resource, key) {
      const shelf = shelfOf(resource);
      const previous = shelf.objects.get(key);
      if (previous === undefined) return undefined;
      shelf.objects.delete(key);
      shelf.sortedKeys = undefined;
      const last = withRevision(previous, ++revision);
      record(shelf, { type: 'DELETED', revision, object: last, previous });
      return last;
    },
    since(resource, from) {
      const shelf = shelfOf(resource);
      if (from < shelf.compactedRevision) return undefined;
      return shelf.history.filter((change) => change.revision > from);
    },
    subscribe(resource, callback) {
      const { callbacks } = shelfOf(resource);
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    compact() {
      compactedRevision = revision;
      for (const shelf of shelves.values()) {
        shelf.history = [];
        shelf.compactedRevision = revision;
      }
    },
  };
}

function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}
