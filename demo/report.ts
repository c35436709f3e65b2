import { realClock } from '../src/core/clock.ts';
import type { Check, CheckGroup } from './checks/check.ts';
import type { Cluster } from './cluster.ts';
import { formatMs, plural } from './figures.ts';

/** The demo's voice: steps, one table of checks, a last line. */
export interface Report {
  readonly step: (what: string, text: string) => void;
  readonly line: (text?: string) => void;
  readonly paint: (text: string, colour: Colour) => string;
  /** Characters that fit on a line. */
  readonly columns: number;
}

const colours = { green: 32, red: 31, bold: 1 } as const;
type Colour = keyof typeof colours;

export interface Summary {
  readonly passed: number;
  readonly failed: number;
}

const markWidth = 8;
const nameWidth = 62;
const figuresMinWidth = 45;
const stepWidth = 10;
/** Where the output is not a terminal. */
const columnsDefault = 140;

/** `columns` undefined: not a terminal, so no colours either. */
export function createReport(write: (text: string) => void, columns: number | undefined): Report {
  return {
    columns: columns ?? columnsDefault,
    line: (text = '') => write(`${text}\n`),
    step: (what, text) => write(`${what.padEnd(stepWidth)}${text}\n`),
    paint: (text, colour) =>
      columns === undefined ? text : `\u001b[${colours[colour]}m${text}\u001b[0m`,
  };
}

/** Runs the checks in order, one line each as it is done. */
export async function runChecks(
  cluster: Cluster,
  groups: readonly CheckGroup[],
  report: Report,
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

async function runCheck(cluster: Cluster, check: Check, report: Report): Promise<boolean> {
  try {
    const figures = await check.run(cluster);
    printCheck(report, report.paint('ok  ', 'green'), check.name, figures);
    return true;
  } catch (error) {
    cluster.signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    printCheck(report, report.paint('FAIL', 'red'), check.name, reason);
    return false;
  }
}

/** The figures in their own column, or below the name where the line is too short for both. */
function printCheck(report: Report, mark: string, name: string, text: string): void {
  const column = markWidth + nameWidth + 1;
  const isWide = report.columns - column >= figuresMinWidth;
  const indent = isWide ? column : markWidth;
  const [first = '', ...rest] = wrapWords(text, report.columns - indent);
  if (isWide) report.line(`  ${mark}  ${name.padEnd(nameWidth)} ${first}`);
  else report.line(`  ${mark}  ${name}\n${' '.repeat(indent)}${first}`);
  for (const more of rest) report.line(`${' '.repeat(indent)}${more}`);
}

function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
