import { realClock } from '../src/core/clock.ts';
import type { Check, CheckGroup } from './checks/check.ts';
import type { Cluster } from './cluster.ts';
import { formatMs, plural } from './figures.ts';

/** The demo's voice: steps, one table of checks, a last line. */
export interface Report {
  readonly step: (what: string, text: string) => void;
  readonly line: (text?: string) => void;
}

export interface Summary {
  readonly passed: number;
  readonly failed: number;
}

const nameWidth = 62;
const lineWidth = 118;
const stepWidth = 10;

export function createReport(
  write: (text: string) => void,
  isTerminal: boolean,
): Report & {
  readonly paint: (text: string, colour: keyof typeof colours) => string;
} {
  return {
    line: (text = '') => write(`${text}\n`),
    step: (what, text) => write(`${what.padEnd(stepWidth)}${text}\n`),
    paint: (text, colour) => (isTerminal ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text),
  };
}

const colours = { green: 32, red: 31, bold: 1, dim: 2 } as const;

/** Runs the checks in order, one line each as it is done. */
export async function runChecks(
  cluster: Cluster,
  groups: readonly CheckGroup[],
  report: ReturnType<typeof createReport>,
): Promise<Summary> {
  const started = realClock.monotonic();
  let passed = 0;
  let failed = 0;
  for (const group of groups) {
    report.line();
    report.line(`${report.paint(group.title, 'bold')}: ${group.why}`);
    for (const check of group.checks) {
      cluster.signal.throwIfAborted();
      if (await runCheck(cluster, check, report)) passed += 1;
      else failed += 1;
    }
  }
  report.line();
  const text = `${plural(passed, 'check')} passed, ${failed} failed in ${formatMs(realClock.monotonic() - started)}`;
  report.line(report.paint(text, failed === 0 ? 'green' : 'red'));
  return { passed, failed };
}

async function runCheck(
  cluster: Cluster,
  check: Check,
  report: ReturnType<typeof createReport>,
): Promise<boolean> {
  const name = check.name.padEnd(nameWidth);
  try {
    const figures = await check.run(cluster);
    printWrapped(report, `  ${report.paint('ok  ', 'green')}  ${name}`, figures);
    return true;
  } catch (error) {
    cluster.signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    printWrapped(report, `  ${report.paint('FAIL', 'red')}  ${name}`, reason);
    return false;
  }
}

/** The figures in their own column, however many lines they take. */
function printWrapped(report: Report, head: string, text: string): void {
  const indent = ' '.repeat(8 + nameWidth + 1);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + word.length + 1 > lineWidth - indent.length + nameWidth / 2) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  report.line(`${head} ${lines[0] ?? ''}`);
  for (const more of lines.slice(1)) report.line(`${indent}${more}`);
}
