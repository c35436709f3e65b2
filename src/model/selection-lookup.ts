import { addToGroup, removeFromGroup } from '../core/groups.ts';
import type { LabelSelector, Labels, PodSelector } from './facts.ts';

/**
 * Values by their selectors of pods: which of them may select a pod, without asking all.
 *
 * A value is kept under one `key=value` that its selector requires, of the pods or else of their
 * namespaces, so a pod's labels are asked for by each of their pairs. What requires no pair is
 * asked for always; what names its namespace only there.
 */
export interface SelectionLookup<Value extends Selecting> {
  add(value: Value): void;
  delete(value: Value): void;
  /** Adds to `into` at least every value that selects a pod with these labels. */
  collect(where: PodPlace, into: Set<Value>): void;
  /** Those that select namespaces by labels. */
  readonly ofNamespaces: ReadonlySet<Value>;
}

interface Selecting {
  readonly selector: PodSelector;
}

interface PodPlace {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  readonly labels: Labels;
}

export function createSelectionLookup<Value extends Selecting>(): SelectionLookup<Value> {
  const inNamespace = new Map<string, LabelLookup<Value>>();
  const byPods = createLabelLookup<Value>();
  const byNamespaces = createLabelLookup<Value>();
  const ofNamespaces = new Set<Value>();
  return {
    ofNamespaces,
    add(value) {
      const { namespace, pods } = value.selector;
      if (typeof namespace === 'string') {
        const lookup = inNamespace.get(namespace) ?? createLabelLookup<Value>();
        inNamespace.set(namespace, lookup);
        lookup.add(value, pods);
        return;
      }
      ofNamespaces.add(value);
      if (requiredPairs(pods).length > 0) byPods.add(value, pods);
      else byNamespaces.add(value, namespace);
    },
    delete(value) {
      const { namespace } = value.selector;
      if (typeof namespace === 'string') {
        const lookup = inNamespace.get(namespace);
        lookup?.delete(value);
        if (lookup?.size === 0) inNamespace.delete(namespace);
        return;
      }
      ofNamespaces.delete(value);
      byPods.delete(value);
      byNamespaces.delete(value);
    },
    collect({ namespace, namespaceLabels, labels }, into) {
      inNamespace.get(namespace)?.collect(labels, into);
      byPods.collect(labels, into);
      byNamespaces.collect(namespaceLabels, into);
    },
  };
}

interface LabelLookup<Value> {
  add(value: Value, selector: LabelSelector): void;
  delete(value: Value): void;
  collect(labels: Labels, into: Set<Value>): void;
  readonly size: number;
}

function createLabelLookup<Value>(): LabelLookup<Value> {
  const byPair = new Map<string, Set<Value>>();
  const unkeyed = new Set<Value>();
  /** Under which pairs a value is. */
  const pairsOf = new Map<Value, readonly string[]>();

  function crowdAt(pairs: readonly string[]): number {
    return Math.max(0, ...pairs.map((pair) => byPair.get(pair)?.size ?? 0));
  }

  return {
    get size() {
      return pairsOf.size;
    },
    add(value, selector) {
      // Many selectors name the application, few the component: the less crowded place is better.
      const [first, ...others] = requiredPairs(selector);
      const pairs = others.reduce(
        (best, one) => (best !== undefined && crowdAt(one) < crowdAt(best) ? one : best),
        first,
      );
      pairsOf.set(value, pairs ?? []);
      if (pairs === undefined) unkeyed.add(value);
      for (const pair of pairs ?? []) addToGroup(byPair, pair, value);
    },
    delete(value) {
      unkeyed.delete(value);
      for (const pair of pairsOf.get(value) ?? []) removeFromGroup(byPair, pair, value);
      pairsOf.delete(value);
    },
    collect(labels, into) {
      for (const value of unkeyed) into.add(value);
      for (const key in labels)
        for (const value of byPair.get(pairText(key, labels[key])) ?? []) into.add(value);
    },
  };
}

/** An entry for each requirement that names values: the pairs of which one must be there. */
function requiredPairs({ matchLabels, matchExpressions }: LabelSelector): string[][] {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => [pairText(key, value)]),
    ...matchExpressions
      .filter(({ operator }) => operator === 'In')
      .map(({ key, values }) => values.map((value) => pairText(key, value))),
  ];
}

function pairText(key: string, value: string | undefined): string {
  return `${key}=${value}`;
}
