import { type Clock, sleep } from '../core/clock.ts';
import { knownPod } from '../model/policed.ts';
import type { Store } from '../model/store.ts';
import { policyPlanner } from '../policy/plan.ts';
import { podPlanner } from '../routing/pods.ts';
import type { Loop } from './loop.ts';
import { isInForce } from './observe.ts';

/**
 * Until then an ADD waits to hear of the pod and its policies. Afterwards the pod starts closed,
 * and opens when they are known: the API server may be away (NP-19).
 */
export const policyWaitMs = 5_000;

/** Resolves when what is known of an attachment at `revision` is in force, policies included. */
export async function awaitPod(
  parts: { readonly loop: Loop; readonly store: Store; readonly clock: Clock },
  { key, revision }: { readonly key: string; readonly revision: number },
  signal: AbortSignal,
): Promise<void> {
  const { loop, store, clock } = parts;
  const { facts } = store;
  const inForce = () =>
    [podPlanner, policyPlanner].every((planner) => isInForce(loop, planner.plan(facts, key)));
  const isKnown = () => {
    const attachment = facts.attachments.get(key);
    return attachment === undefined || knownPod(facts, attachment) !== undefined;
  };
  await loop.whenApplied(revision, signal, inForce);
  if (isKnown()) return;
  const stop = new AbortController();
  const enough = AbortSignal.any([signal, stop.signal]);
  const known = loop.whenApplied(revision, enough, () => isKnown() && inForce());
  // Whoever comes second is told to stop, which is no error.
  await Promise.race([known, sleep(clock, policyWaitMs, enough)]).finally(() => stop.abort());
}
