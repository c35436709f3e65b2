/**
 * The stats segment as bytes (vlib/stats/shared.h, layout version 2): a header, a directory of
 * named entries, and the vectors that the entries point to.
 *
 * VPP writes while we read. Counters may change at any time and are single words; when the
 * directory or a vector moves, VPP raises `in_progress`, and `epoch` afterwards. So a read counts
 * only when both were quiet before and after it, and until then nothing that was read is
 * trusted: every offset and length is checked against the segment.
 */

/** One thing that the segment counts, with a row per thread where VPP keeps one. */
export type Stat =
  | { readonly kind: 'scalar' | 'gauge'; readonly value: number }
  | { readonly kind: 'simple'; readonly values: readonly (readonly number[])[] }
  | {
      readonly kind: 'combined';
      readonly packets: readonly (readonly number[])[];
      readonly bytes: readonly (readonly number[])[];
    }
  | { readonly kind: 'names'; readonly names: readonly string[] };

/** The segment cannot be read: VPP was busy throughout, or it is no segment that we know. */
export class StatsError extends Error {
  override readonly name: string = 'StatsError';
}

/** Reads of a segment; each is all or nothing. */
export interface StatsView {
  /** Names of all entries that begin with `prefix`, in the order of the directory. */
  names(prefix?: string): string[];
  /** Several entries in one consistent read; entries that are not there are left out. */
  read(names: readonly string[]): Map<string, Stat>;
  /** Changes whenever the directory does. */
  readonly epoch: bigint;
}

const layoutVersion = 2n;
const entryBytes = 144;
const nameOffset = 16;
const maxNameBytes = 128;
/** A write takes VPP microseconds; this many tries are some hundred of them. */
const maxTries = 1000;
const maxInterfaceNameBytes = 256;

const types = { scalar: 1, simple: 2, combined: 3, names: 4, symlink: 6, gauge: 9 } as const;

interface Segment {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly base: bigint;
}

/** Reads the segment in `memory`, which `alive` allows: it throws once the memory is unmapped. */
export function createStatsView(memory: ArrayBuffer, alive: () => void): StatsView {
  // Atomics, because nothing may tell the compiler that two reads of one word are the same.
  const header = new BigUint64Array(memory, 0, 5);
  const view = new DataView(memory);
  const bytes = new Uint8Array(memory);
  alive();
  const version = Atomics.load(header, 0);
  if (version !== layoutVersion) throw new StatsError(`stats segment of version ${version}`);
  let directory: { readonly epoch: bigint; readonly offsets: Map<string, number> } | undefined;

  const consistent = <T>(run: (segment: Segment, epoch: bigint) => T): T => {
    alive();
    for (let tries = 0; tries < maxTries; tries++) {
      const epoch = Atomics.load(header, 2);
      if (Atomics.load(header, 3) !== 0n) continue;
      let result: { readonly value: T } | undefined;
      try {
        result = { value: run({ view, bytes, base: Atomics.load(header, 1) }, epoch) };
      } catch (error) {
        // A torn read points anywhere. It is only worth an error when nothing moved.
        if (!(error instanceof RangeError)) throw error;
      }
      const quiet = Atomics.load(header, 2) === epoch && Atomics.load(header, 3) === 0n;
      if (quiet && result !== undefined) return result.value;
      if (quiet) throw new StatsError('the stats segment points outside of itself');
    }
    throw new StatsError(`the stats segment changed during ${maxTries} tries to read it`);
  };
  const offsetsAt = (segment: Segment, epoch: bigint): Map<string, number> => {
    if (directory?.epoch === epoch) return directory.offsets;
    const offsets = readDirectory(segment, Atomics.load(header, 4));
    return offsets;
  };
  const lookUp = <T>(run: (segment: Segment, offsets: Map<string, number>) => T): T => {
    const { value, epoch, offsets } = consistent((segment, epoch) => {
      const offsets = offsetsAt(segment, epoch);
      return { value: run(segment, offsets), epoch, offsets };
    });
    directory = { epoch, offsets };
    return value;
  };

  return {
    get epoch() {
      alive();
      return Atomics.load(header, 2);
    },
    names: (prefix = '') =>
      lookUp((_segment, offsets) => [...offsets.keys()].filter((name) => name.startsWith(prefix))),
    read: (names) =>
      lookUp((segment, offsets) => {
        const found = new Map<string, Stat>();
        for (const name of names) {
          const offset = offsets.get(name);
          const stat = offset === undefined ? undefined : readEntry(segment, offsets, offset);
          if (stat !== undefined) found.set(name, stat);
        }
        return found;
      }),
  };
}

function readDirectory(segment: Segment, pointer: bigint): Map<string, number> {
  const start = toOffset(segment, pointer);
  const length = vectorLength(segment, start, entryBytes);
  const offsets = new Map<string, number>();
  for (let i = 0; i < length; i++) {
    const at = start + i * entryBytes;
    const name = readName(segment, at + nameOffset, maxNameBytes);
    if (name !== '') offsets.set(name, at);
  }
  return offsets;
}

function readEntry(
  segment: Segment,
  offsets: ReadonlyMap<string, number>,
  at: number,
): Stat | undefined {
  const { view } = segment;
  const type = view.getUint32(at, true);
  if (type !== types.symlink) return readTarget(segment, type, at, undefined);
  // index1 is the entry in the directory, index2 the column of its vectors.
  const first = offsets.values().next().value ?? 0;
  const target = first + view.getUint32(at + 8, true) * entryBytes;
  return readTarget(segment, view.getUint32(target, true), target, view.getUint32(at + 12, true));
}

function readTarget(
  segment: Segment,
  type: number,
  at: number,
  column: number | undefined,
): Stat | undefined {
  switch (type) {
    case types.scalar:
      return { kind: 'scalar', value: readU64(segment.view, at + 8) };
    case types.gauge:
      return { kind: 'gauge', value: readU64(segment.view, at + 8) };
    case types.simple:
      return { kind: 'simple', values: readRows(segment, at, 8, 0, column) };
    case types.combined:
      return {
        kind: 'combined',
        packets: readRows(segment, at, 16, 0, column),
        bytes: readRows(segment, at, 16, 8, column),
      };
    case types.names:
      return { kind: 'names', names: readNames(segment, at) };
    default:
      return undefined;
  }
}

/** One row per thread; all columns, or the one that a symlink names. */
function readRows(
  segment: Segment,
  at: number,
  stride: number,
  part: number,
  column: number | undefined,
): number[][] {
  return readPointers(segment, at).map((row) => {
    if (row === undefined) return [];
    const length = vectorLength(segment, row, stride);
    if (column !== undefined) {
      if (column >= length) return [];
      return [readU64(segment.view, row + column * stride + part)];
    }
    const values = new Array<number>(length);
    for (let i = 0; i < length; i++) values[i] = readU64(segment.view, row + i * stride + part);
    return values;
  });
}

function readNames(segment: Segment, at: number): string[] {
  return readPointers(segment, at).map((name) =>
    name === undefined ? '' : readName(segment, name, maxInterfaceNameBytes),
  );
}

/** The vector of pointers that an entry points to, as offsets. */
function readPointers(segment: Segment, at: number): (number | undefined)[] {
  const pointer = segment.view.getBigUint64(at + 8, true);
  if (pointer === 0n) return [];
  const start = toOffset(segment, pointer);
  const length = vectorLength(segment, start, 8);
  const offsets: (number | undefined)[] = [];
  for (let i = 0; i < length; i++) {
    const element = segment.view.getBigUint64(start + i * 8, true);
    offsets.push(element === 0n ? undefined : toOffset(segment, element));
  }
  return offsets;
}

/** Where a pointer of VPP's points to in our mapping. */
function toOffset(segment: Segment, pointer: bigint): number {
  const offset = pointer - segment.base;
  if (offset < 8n || offset >= BigInt(segment.view.byteLength)) {
    throw new RangeError('a pointer leads outside of the segment');
  }
  return Number(offset);
}

/** The length of a vector stands 8 bytes before its data (`vec_header_t`). */
function vectorLength(segment: Segment, start: number, elementBytes: number): number {
  const length = segment.view.getUint32(start - 8, true);
  if (start + length * elementBytes > segment.view.byteLength) {
    throw new RangeError('a vector is longer than the segment');
  }
  return length;
}

function readName(segment: Segment, at: number, limit: number): string {
  const end = Math.min(at + limit, segment.bytes.length);
  let name = '';
  for (let i = at; i < end; i++) {
    const byte = segment.bytes[i] ?? 0;
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  return name;
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
