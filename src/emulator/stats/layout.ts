/**
 * The stats segment as bytes, layout version 2: a header, a directory of entries of 144 bytes,
 * and the vectors that they point to. A vector's length stands 8 bytes before its first element.
 * Source: VPP v26.06 `vlib/stats/shared.h`; pointers count from a base that the header names.
 */
export type StatEntry =
  | { readonly kind: 'scalar' | 'gauge'; readonly name: string; readonly value: number }
  /** One row: the main thread's. */
  | { readonly kind: 'simple'; readonly name: string; readonly values: readonly number[] }
  | {
      readonly kind: 'combined';
      readonly name: string;
      readonly values: readonly { readonly packets: number; readonly bytes: number }[];
    }
  | { readonly kind: 'names'; readonly name: string; readonly names: readonly string[] }
  /** Column `column` of the entry named `target`. */
  | {
      readonly kind: 'symlink';
      readonly name: string;
      readonly target: string;
      readonly column: number;
    };

const typeNumbers = { scalar: 1, simple: 2, combined: 3, names: 4, symlink: 6, gauge: 9 } as const;

export const layoutVersion = 2n;
/** Any address will do: readers subtract it. */
export const segmentBase = 0x1_0000_0000n;
const headerBytes = 64;
const entryBytes = 144;
const nameAt = 16;
const nameBytesMax = 127;

/** Offsets of the words in the header. */
export const headerWord = { version: 0, base: 1, epoch: 2, inProgress: 3, directory: 4 } as const;

export interface Image {
  /** The segment from `headerBytes` on is valid; the header is the writer's business. */
  readonly bytes: Buffer;
  readonly directory: bigint;
  /** Changes when anything moves, not when a counter counts. */
  readonly shape: string;
}

/** Lays entries out; undefined when they need more than `limitBytes`. */
export function layOut(entries: readonly StatEntry[], limitBytes: number): Image | undefined {
  const directoryAt = headerBytes + 8;
  let end = directoryAt + entries.length * entryBytes;
  const starts = entries.map((entry) => {
    const start = end;
    end += vectorBytes(entry);
    return start;
  });
  if (end > limitBytes) return undefined;
  const bytes = Buffer.alloc(end);
  bytes.writeUInt32LE(entries.length, directoryAt - 8);
  const indexOf = new Map(entries.map((entry, i) => [entry.name, i]));
  for (const [i, entry] of entries.entries()) {
    const at = directoryAt + i * entryBytes;
    bytes.writeUInt32LE(typeNumbers[entry.kind], at);
    bytes.write(entry.name.slice(0, nameBytesMax), at + nameAt, 'latin1');
    writeValue(bytes, at + 8, starts[i] ?? 0, entry, indexOf);
  }
  const shape = entries.map((entry) => `${entry.name} ${vectorBytes(entry)}`).join('\n');
  return { bytes, directory: segmentBase + BigInt(directoryAt), shape };
}

function writeValue(
  bytes: Buffer,
  at: number,
  start: number,
  entry: StatEntry,
  indexOf: ReadonlyMap<string, number>,
): void {
  switch (entry.kind) {
    case 'scalar':
    case 'gauge':
      bytes.writeBigUInt64LE(BigInt(Math.max(0, Math.floor(entry.value))), at);
      return;
    case 'symlink':
      bytes.writeUInt32LE(indexOf.get(entry.target) ?? 0, at);
      bytes.writeUInt32LE(entry.column, at + 4);
      return;
    case 'simple':
      writeRow(
        bytes,
        at,
        start,
        entry.values.map((value) => [value]),
      );
      return;
    case 'combined':
      writeRow(
        bytes,
        at,
        start,
        entry.values.map((value) => [value.packets, value.bytes]),
      );
      return;
    case 'names':
      writeNames(bytes, at, start, entry.names);
      return;
    default:
      entry satisfies never;
  }
}

/** A vector of one pointer, for the main thread, to a vector of words. */
function writeRow(bytes: Buffer, at: number, start: number, rows: readonly number[][]): void {
  const pointers = start + 8;
  const data = pointers + 8 + 8;
  bytes.writeUInt32LE(1, start);
  bytes.writeBigUInt64LE(segmentBase + BigInt(pointers), at);
  bytes.writeBigUInt64LE(segmentBase + BigInt(data), pointers);
  bytes.writeUInt32LE(rows.length, data - 8);
  let word = data;
  for (const row of rows) {
    for (const value of row) {
      bytes.writeBigUInt64LE(BigInt(value), word);
      word += 8;
    }
  }
}

function writeNames(bytes: Buffer, at: number, start: number, names: readonly string[]): void {
  const pointers = start + 8;
  bytes.writeUInt32LE(names.length, start);
  bytes.writeBigUInt64LE(segmentBase + BigInt(pointers), at);
  let next = pointers + names.length * 8;
  for (const [i, name] of names.entries()) {
    bytes.writeUInt32LE(name.length + 1, next);
    bytes.write(name, next + 8, 'latin1');
    bytes.writeBigUInt64LE(segmentBase + BigInt(next + 8), pointers + i * 8);
    next += nameVectorBytes(name);
  }
}

/** Header, characters, NUL, and padding to 8 bytes. */
function nameVectorBytes(name: string): number {
  return 8 + ((name.length + 8) & ~7);
}

function vectorBytes(entry: StatEntry): number {
  switch (entry.kind) {
    case 'simple':
      return 24 + entry.values.length * 8;
    case 'combined':
      return 24 + entry.values.length * 16;
    case 'names':
      return 8 + entry.names.reduce((sum, name) => sum + 8 + nameVectorBytes(name), 0);
    default:
      return 0;
  }
}
