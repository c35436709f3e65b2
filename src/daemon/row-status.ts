import type { RowStatus } from '../core/control-api.ts';
import { errorText } from '../core/error-text.ts';
import type { Stage, Table } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import type { Loop } from './loop.ts';

/** How far one row is. */
export interface Progress {
  readonly status: RowStatus;
  /** Why it failed; '' otherwise. */
  readonly error: string;
}

/** Texts of the failures of one table, by key. */
export function errorsOf(
  loop: Pick<Loop, 'reconciler'>,
  stage: Stage,
): ReadonlyMap<string, string> {
  const failures = [...loop.reconciler.failures()].filter((failure) => failure.stage === stage);
  return new Map(failures.map((failure) => [failure.key, errorText(failure.error)]));
}

export function statusOf(
  loop: Pick<Loop, 'desired' | 'reconciler'>,
  stage: Stage,
  key: string,
  errors: ReadonlyMap<string, string>,
): Progress {
  const error = errors.get(key);
  if (error !== undefined) return { status: 'failed', error };
  const table: Table<unknown> = tables[stage];
  const desired = loop.desired.row(stage, key);
  const applied = loop.reconciler.applied(stage, key);
  const done = applied !== undefined && table.equal(applied, desired);
  return { status: done ? 'done' : 'pending', error: '' };
}
