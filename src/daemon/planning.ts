import { createDesired, type Desired } from '../desired/desired.ts';
import type { Planner } from '../desired/plan.ts';
import type { ChangedKeys, Facts, Snapshot } from '../model/store.ts';
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
        : touched;
    for (const owner of owners) {
      desired.put(
        { name: planner.name, kind: planner.kind, rank },
        owner,
        planner.plan(snapshot.facts, owner),
      );
      planned++;
    }
  }
  return planned;
}

/** Everything that follows from the facts, planned from scratch: for a look at what would be. */
export function planFacts(facts: Facts): Desired {
  const desired = createDesired();
  for (const [rank, { name, kind, owners, plan }] of planners.entries())
    for (const owner of owners(facts)) desired.put({ name, kind, rank }, owner, plan(facts, owner));
  return desired;
}
