import { familyOf, hostPrefix, type Prefix } from '../core/ip.ts';
import { reservedPrefixes } from '../core/link-addresses.ts';
import { everybody, permitAll } from '../desired/filters.ts';
import { edgeName, uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { FilterRule } from '../desired/rows.ts';
import { addressesOfNode, hasChanged } from '../model/node-parts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';

/**
 * The node's edge: what its uplink and its tunnels never let in, whatever policies say. One
 * filter, shared by all of them; src/proxy/gate.ts and src/routing/tunnels.ts put it into their
 * lists.
 *
 * Policies believe addresses, so nothing from outside may come from an address of this node, of
 * its pods, or from those that the product keeps for itself. What leaves is not asked: a pod sends
 * from its own addresses only, and reserved ones have no route out.
 */
export const edgePlanner: Planner<Facts, ChangedKeys> = {
  name: 'edge',
  kind: 'Node',
  owners: () => [edgeName],
  touched(facts, changed) {
    const own = facts.config.get('config')?.nodeName ?? '';
    const isOther = hasChanged(changed, 'pods', own) || hasChanged(changed, 'way', own);
    return changed.config || changed.uplink || isOther ? [edgeName] : [];
  },
  plan(facts) {
    const config = facts.config.get('config');
    const uplink = facts.uplink.get(uplinkName);
    if (config === undefined || uplink === undefined) return emptyPlan;
    const node = facts.nodes.get(config.nodeName);
    const own = addressesOfNode(uplink, node).map(hostPrefix);
    const ours = new Set([...(node?.podCidrs ?? []), ...own, ...reservedPrefixes]);
    return {
      rows: { filters: [{ name: edgeName, rules: [...ours].sort().map(denyFrom) }, permitAll] },
      problems: [],
    };
  },
};

function denyFrom(source: Prefix): FilterRule {
  return { action: 'deny', source, destination: everybody[familyOf(source)], protocol: 'any' };
}
