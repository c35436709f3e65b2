import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterNetworkPolicyRules, networkPolicyRules } from './conformance-policies.ts';
import { type ConformanceRule, conformanceRules } from './conformance-rules.ts';

/**
 * docs/conformance.md from the titles of the tests: a title that begins with the ids of rules
 * (`KP-13 terminating endpoints …`) is the claim, the test is the proof.
 */
interface Claim {
  readonly id: string;
  readonly title: string;
  readonly file: string;
}

const head = `# Conformance

<!-- Generated from the titles of the tests by \`npm run gen\`; do not edit. -->

Which rules of Services (as kube-proxy has them), of NetworkPolicy and of ClusterNetworkPolicy are
kept, and what proves it. \`VPP\`: packets through real VPP
(\`npm run test:vpp\` runs the files of \`test/scenarios/\`), and the same packets through the embedded
data plane (\`npm test\`). \`embedded\`: a test without VPP, and why. \`different\`: what differs, why, and
what a user sees; what is alike is proven by the tests below all the same. Nothing here stands for
the Kubernetes conformance suite, which has not been run against this version.

`;

const id = String.raw`(?:KP|C?NP)-\d+`;

/** A quoted title in a test, and the first line of a scenario. */
const titlePatterns = [
  new RegExp(`(?<quote>['"])(?<text>(?:${id} )+.*?)\\k<quote>[,)]`, 'g'),
  // A title with a value in it: what stands before the value.
  new RegExp(`\`(?<text>(?:${id} )+[^\`$]*[^\`$\\s])\\s*(?:\\$\\{[^\`]*)?\`[,)]`, 'g'),
  new RegExp(`^# (?<text>(?:${id} )+.*)$`, 'gm'),
];

/** What shows that a tool finds mistakes, or that a second opinion is right, shows no rule in force. */
const notProofs = /^(policy\/(lint|reference|arbitraries)|daemon\/policy-log)/;

function claimsOf(file: string): Claim[] {
  const content = readFileSync(file, 'utf8');
  const titles = titlePatterns.flatMap((pattern) => [...content.matchAll(pattern)]);
  return titles.flatMap(({ groups }) => {
    const [ids = '', title = ''] = splitTitle(groups?.text ?? '');
    return ids
      .trim()
      .split(' ')
      .map((one) => ({ id: one, title, file }));
  });
}

function splitTitle(text: string): readonly string[] {
  const end = new RegExp(`^(${id} )+`).exec(text)?.[0].length ?? 0;
  return [text.slice(0, end), text.slice(end)];
}

const claims = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts') || /^scenarios\/.*\.txt$/.test(name))
  .filter((name) => !notProofs.test(name))
  .flatMap((name) => claimsOf(join('test', name)))
  .toSorted((a, b) => {
    const [left, right] = [`${a.id} ${a.file} ${a.title}`, `${b.id} ${b.file} ${b.title}`];
    return left < right ? -1 : left > right ? 1 : 0;
  });
const order = ['VPP', 'embedded', 'different'] as const;

/** How far a rule is proven: by a scenario, which runs on VPP too, by another test, or not alike. */
function markOf(rule: ConformanceRule): (typeof order)[number] {
  if (rule.different !== undefined) return 'different';
  const own = claims.filter((claim) => claim.id === rule.id);
  if (own.some((claim) => claim.file.endsWith('.txt'))) return 'VPP';
  if (own.length === 0) throw new Error(`no test names ${rule.id}: ${rule.rule}`);
  if (rule.embedded === undefined) throw new Error(`${rule.id} has no scenario, and no reason why`);
  return 'embedded';
}

const proofs = [
  ['id', 'shown', 'by'],
  ...claims.map(({ id, title, file }) => [id, title, `\`${file}\``]),
];

function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)));
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  );
  return lines.map((line) => `| ${line.join(' | ')} |\n`).join('');
}

/** Rules of one kind: how many are proven how, then each of them. */
function formatRules(title: string, rules: readonly ConformanceRule[]): string {
  const counts = order.map(
    (mark) => `${rules.filter((rule) => markOf(rule) === mark).length} ${mark}`,
  );
  const rows = rules.map((rule) => {
    const mark = markOf(rule);
    const reason = mark === 'VPP' ? '' : (rule.different ?? rule.embedded ?? '');
    return [rule.id, rule.rule, mark, reason];
  });
  const table = formatTable([['id', 'rule', 'proven', 'reason'], ...rows]);
  return `## ${title}\n\nOf ${rules.length}: ${counts.join(', ')}.\n\n${table}\n`;
}

const sections = [
  formatRules('Services', conformanceRules),
  formatRules('NetworkPolicy', networkPolicyRules),
  formatRules('ClusterNetworkPolicy', clusterNetworkPolicyRules),
];
writeFileSync(
  'docs/conformance.md',
  `${head}${sections.join('')}## Tests\n\n${formatTable(proofs)}`,
);
