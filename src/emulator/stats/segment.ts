import koffi from 'koffi';
import { headerWord, layOut, layoutVersion, type StatEntry, segmentBase } from './layout.ts';

/** Memory of the segment, bytes: names and counters of 10,000 interfaces and 65,536 translations. */
const segmentBytes = 32 * 1024 * 1024;

/** A file in memory that others map and that we write. */
export interface StatsSegment {
  readonly fd: number;
  /** Replaces the content; readers see all of it or retry. */
  write(entries: readonly StatEntry[]): void;
  close(): void;
}

/** The kernel refused memory or a socket for the stats segment. */
export class StatsSegmentError extends Error {
  override readonly name = 'StatsSegmentError';
}

// Linux: memfd_create(2), mmap(2).
const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

export function createStatsSegment(): StatsSegment {
  const libc = koffi.load(null);
  const memfdCreate = libc.func('int memfd_create(const char *, unsigned int)');
  const ftruncate = libc.func('int ftruncate(int, int64_t)');
  const mmap = libc.func('uintptr_t mmap(void *, size_t, int, int, int, int64_t)');
  const munmap = libc.func('int munmap(uintptr_t, size_t)');
  const closeFd = libc.func('int close(int)');
  const fd: number = memfdCreate('stat segment', MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, segmentBytes) < 0)
    throw new StatsSegmentError(`no memory file: errno ${koffi.errno()}`);
  const address = BigInt(mmap(null, segmentBytes, PROT_READ_WRITE, MAP_SHARED, fd, 0));
  if (address === 0xffff_ffff_ffff_ffffn || address === -1n)
    throw new StatsSegmentError(`cannot map the memory file: errno ${koffi.errno()}`);
  const memory = koffi.view(address, segmentBytes);
  const header = new BigUint64Array(memory, 0, 8);
  const bytes = new Uint8Array(memory);
  let shape = '';
  let closed = false;
  Atomics.store(header, headerWord.version, layoutVersion);
  Atomics.store(header, headerWord.base, segmentBase);
  return {
    fd,
    write(entries) {
      if (closed) return;
      const image = layOut(entries, segmentBytes);
      // Too much to show: the last content stays, as VPP's does when its segment is full.
      if (image === undefined) return;
      Atomics.store(header, headerWord.inProgress, 1n);
      bytes.set(image.bytes.subarray(64), 64);
      Atomics.store(header, headerWord.directory, image.directory);
      if (image.shape !== shape) {
        shape = image.shape;
        Atomics.add(header, headerWord.epoch, 1n);
      }
      Atomics.store(header, headerWord.inProgress, 0n);
    },
    close() {
      if (closed) return;
      closed = true;
      munmap(address, segmentBytes);
      closeFd(fd);
    },
  };
}
