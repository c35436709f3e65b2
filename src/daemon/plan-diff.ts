import { sameServer } from '../bgp/drivers.ts';
import { peerUpdate } from '../bgp/peer-driver.ts';
import { parseConfig } from '../config/parse.ts';
import { keepRunning } from '../config/restart.ts';
import type { ErrorView } from '../core/control-api.ts';
import type {
  LintView,
  PolicyChangeView,
  PrefixChangeView,
  SessionChangeView,
  TableChangeView,
} from '../core/control-routing.ts';
import { compareText } from '../core/ip.ts';
import { formatProblem, type Problem } from '../core/problem.ts';
import type { Desired } from '../desired/desired.ts';
import type { BgpPathRow, BgpPeerRow, BgpPolicyRow, BgpServerRow } from '../desired/rows.ts';
import { equalRows, type Stage, stages, type Table } from '../desired/table.ts';
import { tables } from '../desired/tables.ts';
import type { Config } from '../model/config.ts';
import type { Facts } from '../model/store.ts';
import { planFacts } from './planning.ts';

/**
 * `kvr lint --diff`: what another configuration would change on this node, with the facts of now.
 * Nothing is applied. It plans everything from scratch, so it costs as much as a start.
 */
export function lintConfig(
  text: string,
  now: { readonly facts: Facts; readonly desired: Desired },
): LintView {
  const running = now.facts.config.get('config');
  // The file leaves out what the daemon took from its environment: this node keeps its name.
  const next = parseConfig(text, { NODE_NAME: running?.nodeName });
  if (!next.ok || running === undefined)
    return { ...nothing, usable: next.ok, problems: next.problems };
  const kept = keepRunning(running, next.value);
  const facts = { ...now.facts, config: new Map([['config', kept.config]]) };
  const desired = planFacts(facts);
  const known = new Set(now.desired.problems().map(formatProblem));
  const fresh = desired.problems().filter((problem) => !known.has(formatProblem(problem)));
  return {
    usable: true,
    problems: [
      ...next.problems,
      ...kept.problems,
      ...passwordsNote(running, kept.config),
      ...fresh,
    ],
    ...compareDesired(now.desired, desired),
  };
}

type Changes = Omit<LintView, 'usable' | 'problems'>;

const nothing: Changes & { readonly problems: readonly ErrorView[] } = {
  problems: [],
  server: undefined,
  sessions: [],
  policies: [],
  prefixes: [],
  tables: [],
};

function passwordsNote(running: Config, next: Config): Problem[] {
  if (running.bgp.passwordsDir === next.bgp.passwordsDir) return [];
  const reason = `the passwords of ${next.bgp.passwordsDir || 'no directory'} were not read for this: sessions with passwords may differ`;
  return [{ object: 'config', field: 'bgp.passwordsDir', reason }];
}

/** Pure: what differs between two desired states. */
export function compareDesired(before: Desired, after: Desired): Changes {
  const server = pairs<BgpServerRow>('bgpServer', before, after).find(({ from, to }) => {
    // Other addresses to listen on wait for the next gobgpd: no session ends for them.
    return from === undefined || to === undefined || !sameServer(from, to);
  });
  return {
    server: server === undefined ? undefined : textsOf('bgpServer', server),
    sessions: pairs<BgpPeerRow>('bgpPeers', before, after).map(sessionChange),
    policies: pairs<BgpPolicyRow>('bgpPolicies', before, after).map(policyChange),
    prefixes: pairs<BgpPathRow>('bgpPaths', before, after).map((pair) => ({
      prefix: pair.key,
      change: changeOf(pair, ['announced', 'withdrawn', 'changed']) as PrefixChangeView['change'],
      ...textsOf('bgpPaths', pair),
    })),
    tables: stages.flatMap((stage) => tableChange(stage, pairs(stage, before, after))),
  };
}

/** A key whose row differs; one of the rows may be absent. */
interface Pair<Row> {
  readonly key: string;
  readonly from: Row | undefined;
  readonly to: Row | undefined;
}

/** Sorted by key, so that equal questions get equal answers. */
function pairs<Row>(stage: Stage, before: Desired, after: Desired): Pair<Row>[] {
  const table: Table<unknown> = tables[stage];
  return [...new Set([...before.keys(stage), ...after.keys(stage)])]
    .toSorted(compareText)
    .flatMap((key) => {
      const [from, to] = [before.row(stage, key), after.row(stage, key)];
      const same = from !== undefined && to !== undefined && table.equal(from, to);
      return same ? [] : [{ key, from: from as Row | undefined, to: to as Row | undefined }];
    });
}

function changeOf({ from, to }: Pair<unknown>, [added, removed, changed]: readonly string[]) {
  if (from === undefined) return added;
  return to === undefined ? removed : changed;
}

function textsOf(stage: Stage, { from, to }: Pair<unknown>) {
  const table: Table<unknown> = tables[stage];
  const text = (row: unknown) => (row === undefined ? '' : table.format(row));
  return { before: text(from), after: text(to) };
}

function tableChange(stage: Stage, all: readonly Pair<unknown>[]): TableChangeView[] {
  if (all.length === 0) return [];
  const count = (what: string) =>
    all.filter((pair) => changeOf(pair, ['added', 'removed', 'changed']) === what).length;
  const counts = { added: count('added'), removed: count('removed'), changed: count('changed') };
  return [{ name: stage, ...counts }];
}

function sessionChange({ key, from, to }: Pair<BgpPeerRow>): SessionChangeView {
  const description = (to ?? from)?.description ?? '';
  const base = { address: key, description };
  if (from === undefined) return { ...base, change: 'added', fields: [] };
  if (to === undefined) return { ...base, change: 'removed', fields: [] };
  const update = peerUpdate(from, to);
  const names = Object.keys(to) as (keyof BgpPeerRow)[];
  return {
    ...base,
    change: update === 'session' ? 'bounced' : update === 'hitless' ? 'updated' : 'described',
    fields: names.filter((name) => !equalRows(from[name], to[name])),
  };
}

function policyChange({ key, from, to }: Pair<BgpPolicyRow>): PolicyChangeView {
  const before = new Map(from?.statements.map((one) => [one.name, one]));
  const after = new Map(to?.statements.map((one) => [one.name, one]));
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  const changed = [...after.keys()].filter(
    (name) => before.has(name) && !equalRows(before.get(name), after.get(name)),
  );
  const reordered = added.length + removed.length + changed.length === 0;
  return { direction: key, added, removed, changed, reordered };
}
