import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { createSubject, type PacketSubject } from './packet-subject.ts';

/** One after the other on one data plane: what a case sets up stays for those after it. */
export interface PacketCase {
  readonly name: string;
  /** Gives lines; ports that masquerading chose are shown as `*`. */
  readonly run: (subject: PacketSubject) => Promise<readonly string[]>;
  readonly expect: readonly string[];
}

/** The cases on the embedded data plane, and on a real VPP where there is one. */
export function checkPackets(what: string, cases: readonly PacketCase[]): void {
  for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp'])
    describe(`${what} through the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
      this.timeout(60_000);
      let subject: PacketSubject;
      before(async () => {
        subject = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
      });
      after(async () => {
        await subject[Symbol.asyncDispose]();
      });
      for (const one of cases)
        it(one.name, async () => {
          assert.deepEqual(await one.run(subject), one.expect);
        });
    });
}

/** The source port of the only TCP or UDP packet that came out. */
export function chosenPort(subject: PacketSubject): number {
  const frame = subject.last[0]?.frame;
  assert(frame !== undefined, 'a packet came out');
  return frame.readUInt16BE(14 + ((frame[14] ?? 0) >> 4 === 6 ? 40 : 20));
}

/** Hides the ports that masquerading chose. */
export const masked = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/(192\.0\.2\.1|\[2001:db8::1\]):(?!30080)\d+/g, '$1:*'));
