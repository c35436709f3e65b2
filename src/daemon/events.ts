import { type Clock, sleep } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import type { EventWriter } from '../kube/event-writer.ts';

/** How late an Event may be: a courtesy to people, not worth doing in every round. */
const reportMs = 2_000;

/** Tells the problems of now to the writer, again and again until the signal aborts. */
export async function reportProblems(
  events: Pick<EventWriter, 'report'>,
  problems: () => readonly Problem[],
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    events.report(problems());
    // Ends early by the signal only, which the loop sees next.
    await sleep(clock, reportMs, signal).catch(() => undefined);
  }
}
