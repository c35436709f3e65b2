import type { Problem } from '../core/problem.ts';
import type { FactTypes, Store } from '../model/store.ts';
import type { Interner } from './intern.ts';
import { factsEqual, type JsonObject } from './json.ts';
import type { KubeKind, WatchedKind } from './kinds.ts';
import { keyOfObject, projectObject } from './projection.ts';
import type { Picture, Sink, WatchEvent } from './reflector.ts';

/**
 * Where the objects of one kind become facts in the store.
 *
 * A fact that is equal to the one in the store stays the same value, and nothing is committed:
 * most updates of Nodes and Pods, and nearly all of a relist, change nothing that we read.
 */
export interface FactSink extends Sink {
  /** Problems of the objects as they are now. */
  problems(): readonly Problem[];
}

/** Objects with problems that are remembered; of further ones only the facts are kept. */
const problemObjectsLimit = 1000;

export function createFactSink<K extends KubeKind>(
  watched: WatchedKind<K>,
  options: {
    readonly store: Store;
    readonly interner: Interner;
    readonly onProblemsChanged: () => void;
    /** Called for each event, with the key. */
    readonly onReceived?: (kind: KubeKind, key: string) => void;
  },
): FactSink {
  const { store, interner, onReceived } = options;
  const { kind } = watched;
  const facts: { readonly [P in KubeKind]: ReadonlyMap<string, FactTypes[P]> } = store.facts;
  const held: ReadonlyMap<string, FactTypes[K]> = facts[kind];
  const problems = new Map<string, readonly Problem[]>();
  let problemsChanged = false;

  function note(into: Map<string, readonly Problem[]>, key: string, found: readonly Problem[]) {
    if (found.length === 0) {
      if (into.delete(key) && into === problems) problemsChanged = true;
    } else if (into.has(key) || into.size < problemObjectsLimit) {
      if (into === problems && !factsEqual(into.get(key), found)) problemsChanged = true;
      into.set(key, found);
    }
  }

  /** The fact that the object means, given the one that we have. */
  function read(
    key: string,
    object: JsonObject,
    before: FactTypes[K] | undefined,
    into: Map<string, readonly Problem[]>,
  ): FactTypes[K] | undefined {
    const found = projectObject(watched.objectKind, key, object, interner, watched.project);
    note(into, key, found.problems);
    if (found.fact === 'keep') return before;
    return before !== undefined && factsEqual(before, found.fact) ? before : found.fact;
  }

  function tellProblems(): void {
    if (!problemsChanged) return;
    problemsChanged = false;
    options.onProblemsChanged();
  }

  return {
    problems: () => [...problems.values()].flat(),
    apply(events: readonly WatchEvent[]) {
      const changes = new Map<string, FactTypes[K] | undefined>();
      for (const { type, object } of events) {
        const key = keyOfObject(object);
        if (key === '') continue; // no API server sends one
        onReceived?.(kind, key);
        const before = changes.has(key) ? changes.get(key) : held.get(key);
        if (type === 'DELETED') note(problems, key, []);
        const after = type === 'DELETED' ? undefined : read(key, object, before, problems);
        if (after !== before) changes.set(key, after);
      }
      if (changes.size > 0) store.commit(kind, changes);
      tellProblems();
    },
    startPicture(): Picture {
      const picture = new Map<string, FactTypes[K]>();
      const pictureProblems = new Map<string, readonly Problem[]>();
      return {
        put(object) {
          const key = keyOfObject(object);
          if (key === '') return;
          const fact = read(key, object, picture.get(key) ?? held.get(key), pictureProblems);
          if (fact === undefined) picture.delete(key);
          else picture.set(key, fact);
        },
        remove(object) {
          const key = keyOfObject(object);
          picture.delete(key);
          pictureProblems.delete(key);
        },
        finish() {
          store.replace(kind, picture);
          problems.clear();
          for (const [key, found] of pictureProblems) problems.set(key, found);
          problemsChanged = true;
          tellProblems();
        },
      };
    },
  };
}
