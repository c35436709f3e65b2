import { maglevHashes } from '../packet/flow-hash.ts';
import type { Tracker } from './flow.ts';

/** Path flag: no new flows (VPP's undocumented test bit, observed with Maglev). */
export const trackerDisabled = 0x80;

/**
 * A Maglev table: for each row the index of a backend. Each backend walks its own permutation of
 * the rows and takes the next free one in turn, so removing a backend moves few other rows.
 * Turns go by offset, descending, so the order of the backends matters only for equal offsets.
 * (VPP means to compare skip as well, but its comparison is cut to 32 bits.)
 * Source: Eisenbud et al., NSDI 2016, section 3.4; VPP v26.06 `cnat_maglev.c`.
 */
export function buildMaglev(trackers: readonly Tracker[], length: number): Int32Array {
  const rows = new Int32Array(length).fill(-1);
  const turns = trackers
    .map((tracker, index) => {
      const { h1, h2 } = maglevHashes(tracker.addr, tracker.port);
      return { index, offset: h1 % length, skip: (h2 % (length - 1)) + 1, next: 0, tracker };
    })
    .filter((turn) => (turn.tracker.flags & trackerDisabled) === 0)
    .toSorted((a, b) => b.offset - a.offset);
  if (turns.length === 0) return rows;
  for (let done = 0; ; ) {
    for (const turn of turns) {
      let row = (turn.offset + turn.next * turn.skip) % length;
      while (rows[row] !== -1) row = (turn.offset + ++turn.next * turn.skip) % length;
      rows[row] = turn.index;
      turn.next++;
      if (++done === length) return rows;
    }
  }
}
