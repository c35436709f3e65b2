import { readFileSync, statSync } from 'node:fs';
import type { ErrorView } from '../core/control-api.ts';
import type {
  LintView,
  PolicyChangeView,
  PrefixChangeView,
  SessionChangeView,
  TableChangeView,
} from '../core/control-routing.ts';
import { errorText } from '../core/error-text.ts';
import { ask, exitCodes } from './ask.ts';
import { type Column, errorColumns } from './columns.ts';
import { formatItems, formatValue, listed, type Output } from './format.ts';

/** What `kvr lint` prints, and its exit code. */
export interface Linted {
  readonly text: string;
  readonly exitCode: number;
}

/** `kvr lint FILE`: everything that is wrong with the file, without asking anybody. */
export async function lintFile(path: string, output: Output): Promise<Linted> {
  const checked = await checkFile(path);
  const { problems } = checked;
  const exitCode = checked.ok
    ? problems.length === 0
      ? exitCodes.ok
      : exitCodes.changes
    : exitCodes.usage;
  if (output === 'json' || output === 'yaml')
    return { text: formatValue({ usable: checked.ok, problems }, output), exitCode };
  const verdict = checked.ok
    ? problems.length === 0
      ? 'good'
      : `usable, but for ${counted(problems.length, 'problem')}`
    : 'cannot be used: the daemon would keep the configuration that it has';
  return { text: `${path}: ${verdict}\n${problemLines(problems)}`, exitCode };
}

/** `kvr lint --diff FILE`: what the daemon of this node would change. */
export async function lintDiff(socket: string, path: string, output: Output): Promise<Linted> {
  const checked = await checkFile(path);
  // A file that nobody can use is not worth a question.
  if (!checked.ok) return lintFile(path, output);
  const found = (await ask(socket, { path: '/lint', text: checked.text })) as LintView;
  const changes = found.tables.length > 0;
  const exitCode = found.usable ? (changes ? exitCodes.changes : exitCodes.ok) : exitCodes.usage;
  const structured = output === 'json' || output === 'yaml';
  return { text: structured ? formatValue(found, output) : formatDiff(path, found), exitCode };
}

type Checked =
  | { readonly ok: true; readonly text: string; readonly problems: readonly ErrorView[] }
  | { readonly ok: false; readonly problems: readonly ErrorView[] };

async function checkFile(path: string): Promise<Checked> {
  // Only here: the schema takes longer to load than all else that `kvr` does.
  const { configMaxBytes, fileProblem, parseConfig } = await import('../config/parse.ts');
  const bad = (reason: string): Checked => ({ ok: false, problems: [fileProblem(reason)] });
  try {
    if (statSync(path).size > configMaxBytes)
      return bad(`the file is larger than ${configMaxBytes} bytes`);
    const text = readFileSync(path, 'utf8');
    const { ok, problems } = parseConfig(text);
    return ok ? { ok, text, problems } : { ok, problems };
  } catch (error) {
    return bad(`cannot read ${path}: ${errorText(error)}`);
  }
}

const sessionColumns: readonly Column<SessionChangeView>[] = [
  { title: 'SESSION', cell: (one) => one.address },
  { title: 'NAME', cell: (one) => one.description },
  { title: 'WOULD BE', cell: (one) => sessionWords[one.change] },
  { title: 'BECAUSE OF', cell: (one) => one.fields.join(' ') },
];

const sessionWords: { readonly [C in SessionChangeView['change']]: string } = {
  added: 'added',
  removed: 'removed',
  bounced: 'BOUNCED',
  updated: 'kept, and updated',
  described: 'kept',
};

const policyColumns: readonly Column<PolicyChangeView>[] = [
  { title: 'POLICY', cell: (one) => one.direction },
  { title: 'NEW STATEMENTS', cell: (one) => one.added.join('; ') },
  { title: 'REMOVED', cell: (one) => one.removed.join('; ') },
  { title: 'CHANGED', cell: (one) => one.changed.join('; ') },
  { title: 'ORDER', cell: (one) => (one.reordered ? 'changed' : '') },
];

const prefixColumns: readonly Column<PrefixChangeView>[] = [
  { title: 'PREFIX', cell: (one) => one.prefix },
  { title: 'WOULD BE', cell: (one) => one.change },
  { title: 'NOW', cell: (one) => one.before },
  { title: 'THEN', cell: (one) => one.after },
];

const tableColumns: readonly Column<TableChangeView>[] = [
  { title: 'TABLE', cell: (one) => one.name },
  { title: 'ADDED', cell: (one) => one.added },
  { title: 'REMOVED', cell: (one) => one.removed },
  { title: 'CHANGED', cell: (one) => one.changed },
];

/** The verdict first, then what changes: the server, sessions, policies, prefixes, the rest. */
function formatDiff(path: string, found: LintView): string {
  const parts = [`${path}: ${verdictOf(found)}`];
  if (found.server !== undefined)
    parts.push(
      '',
      `the BGP server changes, so that ALL SESSIONS END: ${found.server.before || 'none'} becomes ${found.server.after || 'none'}`,
    );
  parts.push(
    ...listed(found.sessions, sessionColumns),
    ...listed(found.policies, policyColumns),
    ...listed(found.prefixes, prefixColumns),
    ...listed(found.tables, tableColumns),
  );
  if (found.problems.length > 0) parts.push('', problemLines(found.problems).trimEnd());
  return `${parts.join('\n')}\n`;
}

function verdictOf({ usable, sessions, prefixes, tables, server }: LintView): string {
  if (!usable) return 'cannot be used: the daemon would keep the configuration that it has';
  if (tables.length === 0) return 'would change nothing on this node';
  const bounced = sessions.filter((one) => one.change === 'bounced').length;
  const ended = server === undefined ? counted(bounced, 'session') : 'all sessions';
  return `would bounce ${ended} and change ${counted(prefixes.length, 'announced prefix', 'announced prefixes')}`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? `1 ${one}` : `${count === 0 ? 'no' : count} ${many}`;
}

function problemLines(problems: readonly ErrorView[]): string {
  return problems.length === 0 ? '' : formatItems(problems, errorColumns, 'text');
}
