import { KubeError } from './kube-error.ts';

/** Cuts a byte stream into lines. Holds at most one incomplete line. */
export interface LineSplitter {
  /** Complete lines, without their end, in order. Throws when a line exceeds the limit. */
  push(chunk: Buffer): readonly string[];
  /** True when bytes of an incomplete line are held. */
  readonly pending: boolean;
}

/** `limitBytes`: longest line that is accepted. */
export function createLineSplitter(limitBytes: number): LineSplitter {
  let held: Buffer[] = [];
  let heldBytes = 0;

  function take(part: Buffer): string {
    if (heldBytes === 0) return part.toString('utf8');
    const line = Buffer.concat([...held, part]).toString('utf8');
    held = [];
    heldBytes = 0;
    return line;
  }

  function check(bytes: number): void {
    if (bytes > limitBytes) throw new KubeError(`a watch line exceeds ${limitBytes} bytes`);
  }

  return {
    get pending() {
      return heldBytes > 0;
    },
    push(chunk) {
      const lines: string[] = [];
      let start = 0;
      for (;;) {
        const end = chunk.indexOf(10, start);
        if (end < 0) break;
        check(heldBytes + end - start);
        lines.push(take(chunk.subarray(start, end)));
        start = end + 1;
      }
      if (start < chunk.length) {
        heldBytes += chunk.length - start;
        check(heldBytes);
        held.push(chunk.subarray(start));
      }
      return lines;
    },
  };
}
