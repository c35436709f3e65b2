import { type Clock, sleep } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import type { EventWriter } from '../kube/event-writer.ts';
import type { Facts } from '../model/store.ts';

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

/** Kinds of objects that problems are about, and where their facts are. */
const kinds = {
  Service: 'services',
  Pod: 'pods',
  NetworkPolicy: 'policies',
  ClusterNetworkPolicy: 'clusterPolicies',
} as const;

type FactsWithUid = Pick<Facts, (typeof kinds)[keyof typeof kinds]>;

/** UID of an object, `Kind/namespace/name`, by which `kubectl describe` finds Events; '' unknown. */
export function uidOfObject(facts: FactsWithUid, object: string): string {
  const kind = object.slice(0, object.indexOf('/'));
  if (!isKind(kind)) return '';
  return facts[kinds[kind]].get(object.slice(kind.length + 1))?.uid ?? '';
}

function isKind(kind: string): kind is keyof typeof kinds {
  return Object.hasOwn(kinds, kind);
}
