import type { Ip } from '../core/ip.ts';
import { refuseAddresses } from '../core/link-addresses.ts';
import type { Problem } from '../core/problem.ts';
import { permitAll } from '../desired/filters.ts';
import { podInterfaceName, uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { FilterRow } from '../desired/rows.ts';
import type { Attachment, Pod } from '../model/facts.ts';
import { gateFilterNames } from '../model/gated.ts';
import { hasChanged } from '../model/node-parts.ts';
import { isPoliced, knownPod, policyTouched } from '../model/policed.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { closedFilter, nodeFilter } from './filters.ts';
import { type List, listOf } from './lists.ts';
import type { Direction } from './peers.ts';
import { programOf } from './program.ts';

/**
 * NetworkPolicies and ClusterNetworkPolicies become filters: of what a pod's interface receives
 * (its egress) and of what it sends to the pod (its ingress). Every pod has both lists, always:
 * what a pod may do for itself opens sessions, by which the answers pass the other list.
 *
 * VPP asks them after a Service was translated and before a source is masqueraded, so they see the
 * pods' own addresses (NP-12, NP-13).
 */
export const policyPlanner: Planner<Facts, ChangedKeys> = {
  name: 'policy',
  kind: 'Attachment',
  owners: (facts) => facts.attachments.keys(),
  touched(facts, changed) {
    const own = facts.config.get('config')?.nodeName ?? '';
    if (changed.config || changed.uplink || hasChanged(changed, 'way', own)) return 'all';
    if (changed.gated?.has('ranges')) return 'all';
    if (changed.nodes && [...facts.clusterPolicies.values()].some(namesNodes)) return 'all';
    return policyTouched(facts, changed);
  },
  plan(facts, owner) {
    const attachment = facts.attachments.get(owner);
    if (attachment === undefined) return emptyPlan;
    const { input, output, problems } = listsOf(facts, attachment);
    return {
      rows: {
        filters: [...input, ...output],
        filterLists: [
          {
            interface: podInterfaceName(attachment.hostInterface),
            input: [...gatesOf(facts, attachment), ...input.map(({ name }) => name)],
            output: output.map(({ name }) => name),
          },
        ],
      },
      problems,
    };
  },
};

function namesNodes({ egress }: { egress: readonly { peers: readonly { nodes?: unknown }[] }[] }) {
  return egress.some(({ peers }) => peers.some((peer) => peer.nodes !== undefined));
}

interface Lists {
  readonly input: readonly FilterRow[];
  readonly output: readonly FilterRow[];
  readonly problems: readonly Problem[];
}

function listsOf(facts: Facts, attachment: Attachment): Lists {
  const pod = knownPod(facts, attachment);
  if (pod === undefined) return { input: [closedFilter], output: [closedFilter], problems: [] };
  const node = facts.config.get('config')?.nodeName ?? '';
  const end = { pod, node, addresses: attachment.ips };
  const egress = policyList(facts, end, 'Egress').filters;
  const ingress = policyList(facts, end, 'Ingress').filters;
  // Behind a gate packets arrive as they were sent, so nothing is said about their flows here.
  const isGated = gatesOf(facts, attachment).length > 0;
  return { input: isGated ? [permitAll] : egress, output: ingress, problems: [] };
}

/** A pod whose policies are known, as one end of a flow. */
export interface End {
  readonly pod: Pod;
  /** Where it runs. */
  readonly node: string;
  readonly addresses: readonly Ip[];
}

/** What a pod may receive or send, as filters. */
export function policyList(facts: Facts, end: End, direction: Direction): List {
  const { pod, addresses, node } = end;
  const clauses = programOf({ facts, pod, direction, addresses });
  const before = direction === 'Ingress' ? [nodeFilter(nodeAddresses(facts, node))] : [];
  return listOf(clauses, direction, before);
}

/** Every address from which processes of a node may speak to its pods. */
function nodeAddresses(facts: Facts, name: string): Ip[] {
  const own = facts.config.get('config')?.nodeName;
  const uplink = name === own ? facts.uplink.get(uplinkName) : undefined;
  const { 4: v4, 6: v6 } = refuseAddresses;
  const known = facts.nodes.get(name)?.internalIps ?? [];
  return [...(uplink?.addresses ?? []).map(({ ip }) => ip), ...known, v4, v6];
}

/**
 * The gate's filters (src/proxy/gate.ts) that a pod meets. A pod that policies concern does not:
 * behind a gate they would see addresses of Services in the place of endpoints.
 */
function gatesOf(facts: Facts, attachment: Attachment): readonly string[] {
  const names = gateFilterNames(facts.gated, 'ranges');
  return names.length === 0 || isPoliced(facts, attachment) ? [] : names;
}
