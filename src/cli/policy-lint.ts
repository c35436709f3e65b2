import { readFileSync } from 'node:fs';
import type { PolicyFinding, PolicyLintView, Severity } from '../core/control-policy-lint.ts';
import { errorText } from '../core/error-text.ts';
import { AskError, ask, exitCodes } from './ask.ts';
import type { Column } from './columns.ts';
import { formatItems, formatValue, type Output } from './format.ts';
import type { Linted } from './lint.ts';

/** `kvr policy lint [FILE]`: mistakes in policies, in force or in manifests. */
export async function lintPolicy(
  socket: string,
  options: {
    readonly file: string | undefined;
    /** Of objects without one. */
    readonly namespace: string;
    readonly output: Output;
  },
): Promise<Linted> {
  const { file, namespace, output } = options;
  const path = `/policy/lint?namespace=${encodeURIComponent(namespace)}`;
  const question = file === undefined ? '/policy/lint' : { path, text: readManifests(file) };
  const found = (await ask(socket, question)) as PolicyLintView;
  const exitCode = !found.usable
    ? exitCodes.usage
    : found.findings.some(({ severity }) => severity === 'error')
      ? exitCodes.changes
      : exitCodes.ok;
  const structured = output === 'json' || output === 'yaml';
  const where = file ?? 'policies in force';
  return { text: structured ? formatValue(found, output) : format(where, found, output), exitCode };
}

function readManifests(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const text = `cannot read ${file}: ${errorText(cause)}`;
    throw new AskError(text, exitCodes.usage, { cause });
  }
}

const findingColumns: readonly Column<PolicyFinding>[] = [
  { title: 'SEVERITY', cell: (one) => one.severity },
  { title: 'OBJECT', cell: (one) => one.object },
  { title: 'FIELD', cell: (one) => one.field },
  { title: 'FINDING', wide: true, cell: (one) => one.finding },
  { title: 'WRITTEN', cell: (one) => one.written },
  { title: 'PROBABLY MEANT', cell: (one) => one.meant },
];

/** The verdict first, then a line for each finding. */
function format(where: string, { usable, policies, findings }: PolicyLintView, output: Output) {
  const count = (wanted: Severity) => findings.filter((one) => one.severity === wanted).length;
  const counts = [
    counted(count('error'), 'error'),
    counted(count('warning'), 'warning'),
    `${count('info')} worth knowing`,
  ].filter((text) => !text.startsWith('0 '));
  const looked = counted(policies, 'policy', 'policies');
  const verdict = !usable
    ? 'cannot be read'
    : `${looked}: ${counts.length === 0 ? 'nothing found' : counts.join(', ')}`;
  const lines = findings.length === 0 ? '' : formatItems(findings, findingColumns, output);
  return `${where}: ${verdict}\n${lines}`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? `1 ${one}` : `${count} ${many}`;
}
