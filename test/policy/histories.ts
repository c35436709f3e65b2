import fc from 'fast-check';
import type { FactKind } from '../../src/model/store.ts';
import { cluster } from './arbitraries.ts';
import type { Cluster } from './reference.ts';

/** One fact that a source puts; undefined deletes it. */
export type Commit = readonly [kind: FactKind, key: string, fact: unknown];

/** What makes the cluster, in the order of its lists. */
export function commitsOf(one: Cluster): Commit[] {
  return (['nodes', 'namespaces', 'pods', 'policies', 'clusterPolicies'] as const).flatMap((kind) =>
    one[kind].map((fact): Commit => [kind, fact.key, fact]),
  );
}

/**
 * A cluster and events in any order that end in it: objects come as they are and as they were in
 * other clusters, and go, before or after those that they select or that select them.
 *
 * @param extra what belongs to a cluster besides its objects
 */
export function history(extra: (one: Cluster) => readonly Commit[] = () => []) {
  const all = (one: Cluster) => [...commitsOf(one), ...extra(one)];
  return fc
    .record({
      last: cluster,
      before: fc.array(cluster, { maxLength: 2 }),
      gone: fc.subarray([
        'pods',
        'namespaces',
        'policies',
        'clusterPolicies',
        'nodes',
        'attachments',
      ]),
      seed: fc.noBias(fc.nat()),
    })
    .map(({ last, before, gone, seed }) => {
      const random = numbers(seed);
      const noise = before.flatMap(all);
      const deletes = noise
        .filter(([kind]) => gone.includes(kind))
        .map(([kind, key]): Commit => [kind, key, undefined]);
      return { last, events: endIn(all(last), shuffle([...noise, ...deletes], random), random) };
    });
}

/** Numbers without a visible order, the same for the same seed: a linear congruence, mod 2^32. */
function numbers(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 1_664_525n + 1_013_904_223n) % 4_294_967_296n;
    return Number(state);
  };
}

function shuffle<T>(all: readonly T[], random: () => number): T[] {
  return all
    .map((one) => ({ one, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** Mixes in what shall be in the end, so that of each object this is the last event. */
function endIn(
  final: readonly Commit[],
  noise: readonly Commit[],
  random: () => number,
): readonly Commit[] {
  const wanted = new Map(final.map((one) => [keyOf(one), one]));
  for (const [kind, key] of noise)
    if (!wanted.has(keyOf([kind, key, undefined])))
      wanted.set(keyOf([kind, key, undefined]), [kind, key, undefined]);
  const mixed = shuffle([...noise, ...wanted.values()], random);
  const lastAt = new Map(mixed.map((one, at) => [keyOf(one), at]));
  const firstAt = new Map(mixed.map((one, at) => [one, at]));
  for (const [key, one] of wanted) {
    const from = firstAt.get(one) ?? 0;
    const to = lastAt.get(key) ?? from;
    const other = mixed[to] ?? one;
    mixed[to] = one;
    mixed[from] = other;
  }
  return mixed;
}

function keyOf([kind, key]: Commit): string {
  return `${kind} ${key}`;
}
