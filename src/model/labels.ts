import type { LabelSelector, Labels } from './facts.ts';

/** Whether every wanted label is there. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  for (const key in wanted) if (labelOf(labels, key) !== wanted[key]) return false;
  return true;
}

/**
 * Whether a selector selects what has these labels: all of its requirements must hold, and none is
 * all right. NotIn and DoesNotExist hold where the key is absent (NP-01; meta/v1 LabelSelector).
 */
export function selects({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  if (!hasLabels(labels, matchLabels)) return false;
  for (const { key, operator, values } of matchExpressions)
    if (!holds(operator, values, labelOf(labels, key))) return false;
  return true;
}

function holds(
  operator: LabelSelector['matchExpressions'][number]['operator'],
  values: readonly string[],
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** A label may be called `constructor`, which every object has. */
function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/** Whether a selector has no requirement: it selects everything. */
export function isUnlimited({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return matchExpressions.length === 0 && Object.keys(matchLabels).length === 0;
}
