import type { Problem } from '../core/problem.ts';
import type { Stage } from './table.ts';
import type { RowTypes } from './tables.ts';

export type Rows = { readonly [Name in Stage]?: readonly RowTypes[Name][] };

/** What one owner wants, and what its user should know. */
export interface Plan {
  readonly rows: Rows;
  readonly problems: readonly Problem[];
}

export const emptyPlan: Plan = { rows: {}, problems: [] };

/**
 * Decides, purely and totally, which rows follow from the facts. The rows belong to owners (a
 * Service, a pod's attachment, a learned prefix, …): a change is planned again for the owners
 * it can touch and for nobody else, so its cost does not grow with the cluster. Law: planning
 * the touched owners gives what planning all owners from scratch gives.
 */
export interface Planner<Facts, Changed> {
  readonly name: string;
  /** Kind of the object that an owner is, for problems: `Service`, `Node`, … */
  readonly kind: string;
  /** Owners that exist. */
  owners(facts: Facts): Iterable<string>;
  /** Owners whose plan may differ because of the changed keys; 'all' when that is everyone. */
  touched(facts: Facts, changed: Changed): Iterable<string> | 'all';
  /** The plan of one owner; the empty plan when it is gone. */
  plan(facts: Facts, owner: string): Plan;
}
