import { stringify } from 'yaml';
import type { Column } from './columns.ts';

export const outputs = ['text', 'wide', 'json', 'yaml'] as const;
export type Output = (typeof outputs)[number];

/**
 * A list as the user wants it: an aligned table, or the daemon's answer as JSON or YAML. A column
 * that is empty in every line (ERROR, mostly) is left out.
 */
export function formatItems<Item>(
  items: readonly Item[],
  columns: readonly Column<Item>[],
  output: Output,
): string {
  if (output === 'json' || output === 'yaml') return formatValue({ items }, output);
  const shown = columns.filter((column) => output === 'wide' || column.wide !== true);
  const lines = items.map((item) => shown.map((column) => printable(String(column.cell(item)))));
  const used = shown.flatMap((_, i) => (lines.some((line) => line[i] !== '') ? [i] : []));
  if (lines.length === 0) return 'none\n';
  const titles = shown.map((column) => column.title);
  return align([titles, ...lines].map((line) => used.map((i) => line[i] ?? '')));
}

/** Lines of one list that people read; `-o json` has all. */
const linesShown = 100;

/** A list as a part of a longer text, after an empty line; nothing when there are no items. */
export function listed<Item>(items: readonly Item[], columns: readonly Column<Item>[]): string[] {
  if (items.length === 0) return [];
  const more = items.length - linesShown;
  const text = formatItems(items.slice(0, linesShown), columns, 'text').trimEnd();
  return ['', text, ...(more > 0 ? [`and ${more} more: -o json shows all`] : [])];
}

export function formatValue(value: unknown, output: 'json' | 'yaml'): string {
  return output === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : stringify(value);
}

/** Columns two spaces apart; the last one is not padded. */
export function align(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [i, cell] of line.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Text from users' objects must not move the cursor or ring the bell of a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}
