import { createHash } from 'node:crypto';
import type { FilterRow } from '../desired/rows.ts';
import type { ObjectKey } from '../model/facts.ts';
import { everything } from './boxes.ts';
import { alwaysFilter, filtersOf, nameFilter, openFilter } from './filters.ts';
import type { Direction } from './peers.ts';
import type { Clause, Reason } from './program.ts';

/** Filters in order, the first match decides; and why each of their rules is there. */
export interface List {
  readonly filters: readonly FilterRow[];
  readonly reasons: readonly RuleReason[];
}

/** The rules `first` to `first + count - 1` of a filter. */
export interface RuleReason {
  readonly filter: string;
  readonly first: number;
  readonly count: number;
  readonly by: Reason;
}

/** Filters of one direction; VPP takes 255 for both (acl.api: `u8 count`). */
export const filtersMax = 120;
/** Rules of a filter where there are too many filters; beyond 1,000 VPP takes ever longer for each. */
const packedRulesMax = 900;

/** Whose list it is, and what comes first, for the pod's node. */
interface Subject {
  readonly direction: Direction;
  readonly before: readonly FilterRow[];
  readonly pod: ObjectKey;
}

/** A program as filters. */
export function listOf(clauses: readonly Clause[], subject: Subject): List {
  const { direction, before } = subject;
  const [clause] = clauses;
  if (clause?.by.kind === 'default' && clause.parts[0] === everything)
    return packed([{ filter: openFilter, reasons: [whole(openFilter, clause.by)] }]);
  const entries = new Map<string, Entry>();
  const first = [alwaysFilter, ...before];
  for (const filter of first) {
    const by: Reason = { kind: filter === alwaysFilter ? 'always' : 'node' };
    entries.set(filter.name, { filter, reasons: [whole(filter, by)] });
  }
  for (const { action, parts, by } of clauses) {
    const verb = action === 'allow' ? 'reflect' : 'deny';
    const tag = tagOf(by, subject);
    for (const part of parts)
      for (const filter of filtersOf(part, direction, verb, tag)) {
        const entry = entries.get(filter.name);
        // What stands there a second time is never asked, but it is a reason too.
        if (entry === undefined) entries.set(filter.name, { filter, reasons: [whole(filter, by)] });
        else entries.set(filter.name, { filter, reasons: [...entry.reasons, whole(filter, by)] });
      }
  }
  return packed([...entries.values()]);
}

interface Entry {
  readonly filter: FilterRow;
  readonly reasons: readonly RuleReason[];
}

function whole({ name, rules }: FilterRow, by: Reason): RuleReason {
  return { filter: name, first: 0, count: rules.length, by };
}

/**
 * Counters of denied packets are to tell one set of policies from another. What would be denied is
 * told by pod: audits are few and pass.
 */
function tagOf(by: Reason, { direction, pod }: Subject): string {
  const way = direction === 'Ingress' ? 'in' : 'out';
  if (by.kind === 'isolated') return `np-deny-${way}-${hashOf(by.policies)}`;
  if (by.kind === 'audited') return `np-audit-${way}-${hashOf([pod, ...by.policies])}`;
  return 'np';
}

function hashOf(policies: readonly string[]): string {
  return createHash('sha256').update(policies.join(' ')).digest('hex').slice(0, 8);
}

/** Too many small filters become fewer large ones, in the same order, as far as that goes. */
function packed(entries: readonly Entry[]): List {
  let size = 1;
  let groups: Entry[][] = entries.map((entry) => [entry]);
  while (groups.length > filtersMax && size < packedRulesMax) {
    size = Math.min(2 * size, packedRulesMax);
    groups = groupsOf(entries, size);
  }
  const merged = groups.map(mergedEntry);
  return {
    filters: merged.map((entry) => entry.filter),
    reasons: merged.flatMap((entry) => entry.reasons),
  };
}

/** Neighbours together, up to a number of rules. */
function groupsOf(entries: readonly Entry[], rules: number): Entry[][] {
  const groups: Entry[][] = [];
  let room = 0;
  for (const entry of entries) {
    const { length } = entry.filter.rules;
    const last = groups.at(-1);
    if (last === undefined || length > room) {
      groups.push([entry]);
      room = rules - length;
    } else {
      last.push(entry);
      room -= length;
    }
  }
  return groups;
}

function mergedEntry(group: readonly Entry[]): Entry {
  const [only] = group;
  if (group.length === 1 && only !== undefined) return only;
  const filter = nameFilter(
    'np-many',
    group.flatMap((entry) => entry.filter.rules),
  );
  let first = 0;
  const reasons = group.flatMap((entry) => {
    const own = entry.reasons.map((one) => ({
      ...one,
      filter: filter.name,
      first: one.first + first,
    }));
    first += entry.filter.rules.length;
    return own;
  });
  return { filter, reasons };
}
