import type { ErrorView } from '../core/control-api.ts';
import type { FilterCount } from '../core/control-policy.ts';
import { podInterfaceName } from '../desired/names.ts';
import type { FilterListRow, FilterRow } from '../desired/rows.ts';
import type { Attachment } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import type { List } from '../policy/lists.ts';
import type { Direction } from '../policy/peers.ts';
import { filterCounters, type RuleCount } from './filter-counters.ts';
import type { Loop } from './loop.ts';
import { errorsOf, type Progress, statusOf } from './row-status.ts';
import type { VppStats } from './vpp-stats.ts';

/** What explanations of policies look at. */
export interface PolicyParts {
  readonly facts: Facts;
  readonly loop: Pick<Loop, 'desired' | 'reconciler'>;
  readonly stats: VppStats;
  /** VPP's indices of filters by name; undefined while VPP is away. */
  readonly handles: () => ReadonlyMap<string, number> | undefined;
  readonly problems: () => readonly ErrorView[];
}

/** What is in force, at one moment. */
export interface Look {
  readonly facts: Facts;
  status(attachment: Attachment, direction: Direction, list: List): Progress;
  filterStatus(filter: FilterRow): Progress;
  /** Pods of this node with a filter in a direction. */
  pods(filter: string, direction: Direction): number;
}

export function createLook({ facts, loop }: PolicyParts): Look {
  const listErrors = errorsOf(loop, 'filterLists');
  const filterErrors = errorsOf(loop, 'filters');
  const rows = [...loop.desired.keys('filterLists')].map(
    (key) => loop.desired.row('filterLists', key) as FilterListRow,
  );
  const side = { Egress: 'input', Ingress: 'output' } as const;
  const statuses = new Map<string, Progress>();
  const filterStatus = ({ name }: FilterRow) => {
    const status = statuses.get(name) ?? statusOf(loop, 'filters', name, filterErrors);
    statuses.set(name, status);
    return status;
  };
  const shares = new Map<string, number>();
  for (const row of rows)
    for (const direction of ['Egress', 'Ingress'] as const)
      for (const name of row[side[direction]])
        shares.set(`${direction} ${name}`, (shares.get(`${direction} ${name}`) ?? 0) + 1);
  return {
    facts,
    filterStatus,
    status(attachment, direction, { filters }) {
      const name = podInterfaceName(attachment.hostInterface);
      const row = statusOf(loop, 'filterLists', name, listErrors);
      const all = [row, ...filters.map(filterStatus)];
      const wrong = all.find((one) => one.status !== 'done');
      if (wrong !== undefined) return wrong;
      const applied = loop.reconciler.applied('filterLists', name) as FilterListRow | undefined;
      const bound = applied?.[side[direction]].slice(-filters.length) ?? [];
      const same = filters.every((filter, i) => filter.name === bound[i]);
      return { status: same ? 'done' : 'pending', error: '' };
    },
    pods: (filter, direction) => shares.get(`${direction} ${filter}`) ?? 0,
  };
}

/** By filter and rule; undefined while VPP cannot be asked. */
export type Counters = ReadonlyMap<string, readonly RuleCount[]> | undefined;

export async function readCounters(parts: PolicyParts, names: Iterable<string>): Promise<Counters> {
  const handles = parts.handles();
  if (handles === undefined) return undefined;
  const wanted = new Map<string, number>();
  for (const name of names) {
    const index = handles.get(name);
    if (index !== undefined) wanted.set(name, index);
  }
  return filterCounters(parts.stats, wanted);
}

/** With the packets that met any of the filter's rules. */
export function counted<Count extends FilterCount>(counters: Counters, one: Count): Count {
  const rules = counters?.get(one.filter);
  if (rules === undefined) return one;
  return { ...one, packets: rules.reduce((sum, rule) => sum + rule.packets, 0) };
}
