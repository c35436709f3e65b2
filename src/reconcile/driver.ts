import type { Table } from '../desired/table.ts';

/**
 * One difference between a target and what is desired. `to` undefined is a delete. `from`
 * undefined with `to` undefined deletes something of which only the key is known.
 */
export interface Change<Row> {
  readonly key: string;
  readonly from: Row | undefined;
  readonly to: Row | undefined;
}

export type Outcome =
  | { readonly status: 'done' }
  | { readonly status: 'failed'; readonly error: unknown };

export const done: Outcome = { status: 'done' };

export function failed(error: unknown): Outcome {
  return { status: 'failed', error };
}

/** What a target holds under a key; `row` undefined when it cannot be read back in full. */
export interface Held<Row> {
  readonly key: string;
  readonly row: Row | undefined;
}

/** Reads and writes one table in one target. */
export interface Driver<Row> {
  readonly table: Table<Row>;
  /** What the target holds now that is ours: at start, after a reconnect, and for the audit. */
  dump(signal: AbortSignal): Promise<readonly Held<Row>[]>;
  /**
   * Writes changes, pipelined. Same order in and out; a failed row never fails its neighbours.
   * Puts are upserts: writing what is already there is not an error. Deleting what is not there
   * is not an error.
   */
  apply(changes: readonly Change<Row>[], signal: AbortSignal): Promise<readonly Outcome[]>;
}

/** A driver of some row type: the reconciler never looks into rows. */
export type AnyDriver = Driver<unknown>;

/** One outside thing that holds tables. */
export interface Target {
  readonly name: string;
  /**
   * Identifies the connection: a new object after each (re)connect, undefined while there is
   * none. The reconciler dumps again whenever it sees a new one.
   */
  readonly session: object | undefined;
  readonly drivers: readonly AnyDriver[];
  /** Resolves when `session` changes from what it is now. */
  sessionChanged(): Promise<void>;
}
