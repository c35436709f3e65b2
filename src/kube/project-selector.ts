import type { LabelSelector } from '../model/facts.ts';
import { listOf, objectOf, textOf } from './json.ts';
import type { ProjectionContext } from './projection.ts';

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** A selector; null and absent are `{}`, everything (NP-01). Undefined when it cannot be read. */
export function selectorOf(
  value: unknown,
  field: string,
  context: ProjectionContext,
): LabelSelector | undefined {
  const selector = objectOf(value);
  const matchExpressions: LabelSelector['matchExpressions'][number][] = [];
  for (const [i, item] of listOf(selector.matchExpressions).entries()) {
    const expression = objectOf(item);
    const operator = operators.find((name) => name === expression.operator);
    const key = textOf(expression.key);
    if (operator === undefined || key === '') {
      context.report(`${field}.matchExpressions[${i}]`, `${JSON.stringify(item)} cannot be read`);
      return undefined;
    }
    matchExpressions.push({ key, operator, values: listOf(expression.values).map(textOf) });
  }
  return { matchLabels: context.interner.labels(selector.matchLabels), matchExpressions };
}
