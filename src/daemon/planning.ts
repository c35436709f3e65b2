import { errorText } from '../core/error-text.ts';
import { createDesired, type Desired } from '../desired/desired.ts';
import type { Planner } from '../desired/plan.ts';
import type { ChangedKeys, Facts, Snapshot } from '../model/store.ts';
import { edgePlanner } from '../policy/edge.ts';
import { policyPlanner } from '../policy/plan.ts';
import { policyProblemPlanners } from '../policy/problems.ts';
import { gatePlanner } from '../proxy/gate.ts';
import { hostPortPlanner } from '../proxy/host-ports.ts';
import { servicePlanner } from '../proxy/plan.ts';
import { advertisementPlanner } from '../routing/advertise.ts';
import { learnedRoutePlanner } from '../routing/learned.ts';
import { nodePlanner } from '../routing/nodes.ts';
import { podPlanner } from '../routing/pods.ts';
import { speakerPlanner } from '../routing/speaker.ts';
import { uplinkPlanner } from '../routing/uplink.ts';

/** In the order of precedence: of two that claim one key, the earlier wins. */
export const planners: readonly Planner<Facts, ChangedKeys>[] = [
  uplinkPlanner,
  podPlanner,
  policyPlanner,
  edgePlanner,
  ...policyProblemPlanners,
  speakerPlanner,
  nodePlanner,
  servicePlanner,
  gatePlanner,
  hostPortPlanner,
  advertisementPlanner,
  learnedRoutePlanner,
];

/** Plans what the snapshot's changes touch into the desired state; returns how many owners. */
export function planChanges(desired: Desired, snapshot: Snapshot): number {
  let planned = 0;
  for (const [rank, planner] of planners.entries()) {
    const touched = planner.touched(snapshot.facts, snapshot.changed);
    const owners =
      touched === 'all'
        ? new Set([...planner.owners(snapshot.facts), ...desired.ownersOf(planner.name)])
        : new Set(touched);
    for (const owner of owners) planOwner(desired, { ...planner, rank }, snapshot.facts, owner);
    planned += owners.size;
  }
  return planned;
}

/**
 * An object that no planner should choke on, and one did: it keeps what it has and everything else
 * goes on. Dying would help nobody, because the next start would meet the same object.
 */
function planOwner(
  desired: Desired,
  { name, kind, rank, plan }: Planner<Facts, ChangedKeys> & { readonly rank: number },
  facts: Facts,
  owner: string,
): void {
  const planner = { name, kind, rank };
  try {
    desired.put(planner, owner, plan(facts, owner));
  } catch (error) {
    const reason = `cannot be planned and stays as it was, a defect of the router: ${errorText(error)}`;
    desired.keep(planner, owner, { object: `${kind}/${owner}`, field: name, reason });
  }
}

/** Everything that follows from the facts, planned from scratch: for a look at what would be. */
export function planFacts(facts: Facts): Desired {
  const desired = createDesired();
  for (const [rank, planner] of planners.entries())
    for (const owner of planner.owners(facts))
      planOwner(desired, { ...planner, rank }, facts, owner);
  return desired;
}
