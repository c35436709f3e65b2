import type { Labels } from '../model/facts.ts';
import { isObject, type Json } from './json.ts';

/**
 * One copy of each text and of each set of labels.
 *
 * A cluster says the same words very often: node names, zones, port names, the labels of all Pods
 * of a Deployment. JSON.parse makes a new string for each; sharing them makes the facts a third
 * of their size, and equal labels mostly identical, so that comparing them is one step.
 */
export interface Interner {
  text(value: string): string;
  /** String values of an object, without those in `drop`. */
  labels(value: Json, drop?: (key: string) => boolean): Labels;
}

/** Distinct texts or label sets kept; then the pool starts anew, which only costs memory. */
const poolLimit = 200_000;

const noLabels: Labels = Object.freeze({});

export function createInterner(): Interner {
  let texts = new Map<string, string>();
  let sets = new Map<string, Labels>();

  function text(value: string): string {
    const known = texts.get(value);
    if (known !== undefined) return known;
    if (texts.size >= poolLimit) texts = new Map();
    texts.set(value, value);
    return value;
  }

  return {
    text,
    labels(value, drop) {
      if (!isObject(value)) return noLabels;
      const labels: Record<string, string> = {};
      const words: string[] = [];
      for (const [key, item] of Object.entries(value)) {
        if (typeof item !== 'string' || drop?.(key) === true) continue;
        labels[text(key)] = text(item);
        words.push(key, item);
      }
      if (words.length === 0) return noLabels;
      // NUL is in no key or value, so different sets have different ids. Joined, not added up:
      // that would leave a rope of pieces in memory.
      const id = words.join('\0');
      const known = sets.get(id);
      if (known !== undefined) return known;
      if (sets.size >= poolLimit) sets = new Map();
      sets.set(id, labels);
      return labels;
    },
  };
}
