import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Problem } from '../core/problem.ts';

/** Reads one annotation; undefined when it is absent, or wrong, which is a problem. */
export type AnnotationReader = <T>(
  name: string,
  parse: (text: string) => Parsed<T>,
) => T | undefined;

/** `object`: whose annotations they are; `front`: what all names begin with. */
export function annotationReader(
  object: string,
  annotations: Readonly<Record<string, string>>,
  problems: Problem[],
  front = '',
): AnnotationReader {
  return (name, parse) => {
    const text = annotations[`${front}${name}`];
    if (text === undefined) return undefined;
    const result = parse(text.trim());
    if (result.ok) return result.value;
    const field = `metadata.annotations[${front}${name}]`;
    problems.push({ object, field, reason: `${result.problem}; the annotation is not used` });
    return undefined;
  };
}

/** Decimal digits, nothing else. */
export function parseNumber(text: string, min: number, max: number): Parsed<number> {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max
    ? parsed(value)
    : rejected(`${JSON.stringify(text)} is no number from ${min} to ${max}`);
}

/** Entries of a list in an annotation. */
const listMax = 32;

/** `a,b, c`: all or nothing. */
export function parseList<T>(
  text: string,
  parse: (text: string) => Parsed<T>,
): Parsed<readonly T[]> {
  const parts = text.split(',').map((one) => one.trim());
  if (parts.length > listMax) return rejected(`more than ${listMax} entries`);
  const values: T[] = [];
  for (const part of parts) {
    if (part === '') continue;
    const value = parse(part);
    if (!value.ok) return value;
    values.push(value.value);
  }
  return values.length === 0 ? rejected('it is empty') : parsed<readonly T[]>(values);
}
