import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../core/problem.ts';
import type { Config } from '../model/config.ts';
import { configSchema } from './schema.ts';

/** Dotted path of a leaf field, such as `vpp.apiSocket`. */
type FieldPath = readonly string[];

/** Fields whose new value takes effect only when the daemon starts again. */
export const restartFields: readonly FieldPath[] = findRestartFields();

/**
 * `next` with the values of `running` in the fields that need a restart, and a problem for each
 * of them that differs.
 */
export function keepRunning(
  running: Config,
  next: Config,
): { readonly config: Config; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  let config = next;
  for (const path of restartFields) {
    const before = valueAt(running, path);
    const after = valueAt(next, path);
    if (isDeepStrictEqual(before, after)) continue;
    config = withValue(config, path, before) as Config;
    problems.push({
      object: 'config',
      field: path.join('.'),
      reason: `${JSON.stringify(after)} takes effect after a restart; until then ${JSON.stringify(before)} is in force`,
    });
  }
  return { config, problems };
}

function findRestartFields(): FieldPath[] {
  const found: FieldPath[] = [];
  for (const [name, field] of Object.entries(configSchema.shape)) {
    if (isRestart(field)) found.push([name]);
    const object = 'unwrap' in field ? field.unwrap() : field;
    if (!('shape' in object)) continue;
    for (const [inner, leaf] of Object.entries(object.shape)) {
      if (isRestart(leaf)) found.push([name, inner]);
    }
  }
  return found;
}

function isRestart(field: { meta(): Record<string, unknown> | undefined }): boolean {
  return field.meta()?.restart === true;
}

function valueAt(root: unknown, path: FieldPath): unknown {
  let value = root;
  for (const name of path) value = (value as Readonly<Record<string, unknown>>)[name];
  return value;
}

function withValue(root: unknown, path: FieldPath, value: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  const object = root as Readonly<Record<string, unknown>>;
  return { ...object, [name]: withValue(object[name], rest, value) };
}
