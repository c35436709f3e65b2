import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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

Which rules of Kubernetes a test of this repository proves, and how far: the title says what the
test shows. A rule that is not listed is not claimed, whether it works or not. Files of
\`test/scenarios/\` run on the embedded data plane in \`npm test\` and on real VPP in
\`npm run test:vpp\`. Nothing here stands for the Kubernetes conformance suite, which has not been run
against this version.

`;

/** A quoted title in a test, and the first line of a scenario. */
const titlePatterns = [
  /(?<quote>['"])(?<text>(?:KP-\d+ )+.*?)\k<quote>[,)]/g,
  /^# (?<text>(?:KP-\d+ )+.*)$/gm,
];

function claimsOf(file: string): Claim[] {
  const content = readFileSync(file, 'utf8');
  const titles = titlePatterns.flatMap((pattern) => [...content.matchAll(pattern)]);
  return titles.flatMap(({ groups }) => {
    const text = groups?.text ?? '';
    const title = text.replace(/^(KP-\d+ )+/, '');
    return [...text.matchAll(/KP-\d+(?= )/g)].map(([id]) => ({ id, title, file }));
  });
}

const claims = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts') || /^scenarios\/.*\.txt$/.test(name))
  .flatMap((name) => claimsOf(join('test', name)))
  .toSorted((a, b) => {
    const [left, right] = [`${a.id} ${a.file} ${a.title}`, `${b.id} ${b.file} ${b.title}`];
    return left < right ? -1 : left > right ? 1 : 0;
  });
const rows = [
  ['id', 'shown', 'by'],
  ...claims.map(({ id, title, file }) => [id, title, `\`${file}\``]),
];
const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)));
lines.splice(
  1,
  0,
  widths.map((width) => '-'.repeat(width)),
);
const table = lines.map((line) => `| ${line.join(' | ')} |\n`).join('');
writeFileSync('docs/conformance.md', head + table);
