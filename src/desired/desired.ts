import { compareText } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Plan } from './plan.ts';
import { equalRows, type Stage, stages, type Table } from './table.ts';
import { tables } from './tables.ts';

/**
 * The desired state: the union of the plans of all owners, with the keys that changed.
 *
 * Two owners may claim one key (two Services with the same externalIP and port). Then the
 * planner that stands earlier in the list wins, among equals the smaller owner name, whatever
 * the order of events; the loser becomes a problem. Nothing is lost: when the winner goes, the
 * loser's row takes its place. Owners that want the very same row share it: no problem.
 */
/** The planner that an owner belongs to; `rank` is its place in the order of precedence. */
export interface PlannerId {
  readonly name: string;
  readonly kind: string;
  readonly rank: number;
}

export interface Desired {
  /** Replaces the plan of one owner. */
  put(planner: PlannerId, owner: string, plan: Plan): void;
  /** Keeps the plan of one owner, which could not be planned again. */
  keep(planner: PlannerId, owner: string, problem: Problem): void;
  row(table: Stage, key: string): unknown;
  keys(table: Stage): Iterable<string>;
  count(table: Stage): number;
  /** Who wants a row of this key: the first has it, the others share it or lost. */
  claimsOn(table: Stage, key: string): readonly Claim[];
  /** Keys whose row may have changed since the last call. */
  takeChanged(): ReadonlyMap<Stage, ReadonlySet<string>>;
  problems(): readonly Problem[];
  /** Owners that have a plan of this planner. */
  ownersOf(planner: string): Iterable<string>;
}

export interface Claim {
  /** Of the owner's planner. */
  readonly rank: number;
  readonly owner: string;
  /** Of the object that the owner is. */
  readonly kind: string;
  readonly row: unknown;
}

interface State {
  readonly claims: ReadonlyMap<Stage, Map<string, Claim | Claim[]>>;
  readonly owned: Map<string, Map<string, readonly (readonly [Stage, string])[]>>;
  readonly problems: Map<string, readonly Problem[]>;
  /** Keys that more than one owner claims. */
  readonly contested: Map<string, readonly [Stage, string]>;
  changed: Map<Stage, Set<string>>;
}

export function createDesired(): Desired {
  const state: State = {
    claims: new Map(stages.map((stage) => [stage, new Map()])),
    owned: new Map(),
    problems: new Map(),
    contested: new Map(),
    changed: new Map(),
  };
  return {
    put: (planner, owner, plan) => putPlan(state, planner, owner, plan),
    keep(planner, owner, problem) {
      const owners = ownersOf(state, planner.name);
      if (!owners.has(owner)) owners.set(owner, []);
      state.problems.set(`${planner.name} ${owner}`, [problem]);
    },
    row: (stage, key) => firstOf(state.claims.get(stage)?.get(key))?.row,
    keys: (stage) => state.claims.get(stage)?.keys() ?? [],
    claimsOn: (stage, key) => listOf(state.claims.get(stage)?.get(key)),
    count: (stage) => state.claims.get(stage)?.size ?? 0,
    takeChanged() {
      const taken = state.changed;
      state.changed = new Map();
      return taken;
    },
    problems() {
      const lost = [...state.contested.values()].flatMap(([stage, key]) =>
        lostClaims(stage, key, listOf(state.claims.get(stage)?.get(key))),
      );
      return [...[...state.problems.values()].flat(), ...lost];
    },
    ownersOf: (planner) => state.owned.get(planner)?.keys() ?? [],
  };
}

function putPlan(state: State, { name, kind, rank }: PlannerId, owner: string, plan: Plan): void {
  const owners = ownersOf(state, name);
  const keys: (readonly [Stage, string])[] = [];
  for (const stage of stages) {
    const rows = plan.rows[stage];
    if (rows === undefined) continue;
    const table: Table<unknown> = tables[stage];
    for (const row of rows) {
      const key = table.key(row);
      claim(state, stage, key, { rank, owner, kind, row });
      keys.push([stage, key]);
    }
  }
  const kept = new Map<Stage, Set<string>>();
  for (const [stage, key] of keys) keysOf(kept, stage).add(key);
  for (const [stage, key] of owners.get(owner) ?? [])
    if (kept.get(stage)?.has(key) !== true) release(state, stage, key, { rank, owner });
  // Who has nothing but a problem is an owner, too: when it is gone, so is the problem.
  if (keys.length === 0 && plan.problems.length === 0) owners.delete(owner);
  else owners.set(owner, keys);
  if (plan.problems.length === 0) state.problems.delete(`${name} ${owner}`);
  else state.problems.set(`${name} ${owner}`, plan.problems);
}

function ownersOf(state: State, planner: string) {
  let owners = state.owned.get(planner);
  if (owners === undefined) {
    owners = new Map();
    state.owned.set(planner, owners);
  }
  return owners;
}

function claim(state: State, stage: Stage, key: string, entry: Claim): void {
  const claims = state.claims.get(stage);
  const before = claims?.get(key);
  if (before === undefined) claims?.set(key, entry);
  else if (isList(before)) insert(before, entry);
  else if (sameOwner(before, entry)) claims?.set(key, entry);
  else {
    const list = [before];
    insert(list, entry);
    claims?.set(key, list);
    state.contested.set(`${stage} ${key}`, [stage, key]);
  }
  mark(state, stage, key);
}

function release(
  state: State,
  stage: Stage,
  key: string,
  owner: Pick<Claim, 'rank' | 'owner'>,
): void {
  const claims = state.claims.get(stage);
  const before = claims?.get(key);
  if (before !== undefined && isList(before)) {
    const at = placeOf(before, owner);
    const found = before[at];
    if (found !== undefined && sameOwner(found, owner)) before.splice(at, 1);
    const [last] = before;
    if (before.length === 1 && last !== undefined) {
      claims?.set(key, last);
      state.contested.delete(`${stage} ${key}`);
    }
  } else if (before !== undefined && sameOwner(before, owner)) claims?.delete(key);
  mark(state, stage, key);
}

/** Thousands may share one row, such as an aggregate: the list is kept in order of precedence. */
function insert(list: Claim[], entry: Claim): void {
  const at = placeOf(list, entry);
  const found = list[at];
  list.splice(at, found !== undefined && sameOwner(found, entry) ? 1 : 0, entry);
}

/** Where an owner stands in a sorted list, or would stand. */
function placeOf(list: readonly Claim[], { rank, owner }: Pick<Claim, 'rank' | 'owner'>): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = list[middle];
    if (one !== undefined && (one.rank - rank || compareText(one.owner, owner)) < 0)
      low = middle + 1;
    else high = middle;
  }
  return low;
}

function mark(state: State, stage: Stage, key: string): void {
  keysOf(state.changed, stage).add(key);
}

function keysOf(all: Map<Stage, Set<string>>, stage: Stage): Set<string> {
  let keys = all.get(stage);
  if (keys === undefined) {
    keys = new Set();
    all.set(stage, keys);
  }
  return keys;
}

function isList(entry: Claim | Claim[]): entry is Claim[] {
  return Array.isArray(entry);
}

function firstOf(entry: Claim | Claim[] | undefined): Claim | undefined {
  return entry !== undefined && isList(entry) ? entry[0] : entry;
}

function listOf(entry: Claim | Claim[] | undefined): readonly Claim[] {
  if (entry === undefined) return [];
  return isList(entry) ? entry : [entry];
}

function sameOwner(a: Pick<Claim, 'rank' | 'owner'>, b: Pick<Claim, 'rank' | 'owner'>): boolean {
  return a.rank === b.rank && a.owner === b.owner;
}

function lostClaims(stage: Stage, key: string, list: readonly Claim[]): Problem[] {
  const winner = `${list[0]?.kind ?? ''}/${list[0]?.owner ?? ''}`;
  const lost = list.slice(1).filter((claim) => !equalRows(claim.row, list[0]?.row));
  return lost.map((claim) => ({
    object: `${claim.kind}/${claim.owner}`,
    field: stage,
    reason: `${key} is already used by ${winner}, which keeps it`,
  }));
}
