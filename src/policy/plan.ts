import type { Ip } from '../core/ip.ts';
import { refuseAddresses } from '../core/link-addresses.ts';
import { podInterfaceName, uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { FilterListRow, FilterRow } from '../desired/rows.ts';
import type { Attachment, ObjectKey, Pod } from '../model/facts.ts';
import { gateFilterNames } from '../model/gated.ts';
import { addressesOfNode, hasChanged } from '../model/node-parts.ts';
import { isPoliced, knownPod, policyTouched } from '../model/policed.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { closedFilter, nodeFilter, openFilter } from './filters.ts';
import { filtersMax, type List, listOf } from './lists.ts';
import type { Direction } from './peers.ts';
import { sizeProblems } from './problems.ts';
import { programOf, type Reason } from './program.ts';

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
    const isOther = hasChanged(changed, 'way') || hasChanged(changed, 'neighbours');
    if (isOther && [...facts.clusterPolicies.values()].some(namesNodes)) return 'all';
    return policyTouched(facts, changed);
  },
  plan(facts, owner) {
    const attachment = facts.attachments.get(owner);
    if (attachment === undefined) return emptyPlan;
    const lists = podLists(facts, attachment);
    const row = rowOf(attachment, lists);
    planned.set(row, lists);
    return {
      rows: {
        filters: [...lists.egress.filters, ...lists.ingress.filters],
        filterLists: [row],
      },
      problems: sizeProblems(lists),
    };
  },
};

function namesNodes({ egress }: { egress: readonly { peers: readonly { nodes?: unknown }[] }[] }) {
  return egress.some(({ peers }) => peers.some((peer) => peer.nodes !== undefined));
}

/** What a pod's interface has, and why. */
export interface PodLists {
  readonly pod: ObjectKey;
  /** False: nobody knows yet what the pod may do, and nothing passes (NP-19). */
  readonly known: boolean;
  /** Filters of the gate (src/proxy/gate.ts); what the pod sends meets them first. */
  readonly gates: readonly string[];
  readonly egress: List;
  readonly ingress: List;
}

export function podLists(facts: Facts, attachment: Attachment): PodLists {
  const gates = gatesOf(facts, attachment);
  const pod = knownPod(facts, attachment);
  if (pod === undefined)
    return { pod: attachment.pod, known: false, gates, egress: closed, ingress: closed };
  const node = facts.config.get('config')?.nodeName ?? '';
  const end = { pod, node, addresses: attachment.ips };
  // Behind a gate packets arrive as they were sent. Flows to pods' own addresses have sessions,
  // so that they outlive the pod's first policy.
  const egress = gates.length > 0 ? unasked : fitting(policyList(facts, end, 'Egress'));
  const ingress = fitting(policyList(facts, end, 'Ingress'));
  return { pod: pod.key, known: true, gates, egress, ingress };
}

const closed = listOfOne(closedFilter, { kind: 'closed' });
const tooLarge = listOfOne(closedFilter, { kind: 'tooLarge' });
const unasked = listOfOne(openFilter, { kind: 'default' });

/** What VPP cannot hold lets nothing through: what the pod had may be what is forbidden now. */
function fitting(list: List): List {
  return list.filters.length > filtersMax ? tooLarge : list;
}

function listOfOne(filter: FilterRow, by: Reason): List {
  const reason = { filter: filter.name, first: 0, count: filter.rules.length, by };
  return { filters: [filter], reasons: [reason] };
}

function rowOf({ hostInterface }: Attachment, { gates, egress, ingress }: PodLists): FilterListRow {
  return {
    interface: podInterfaceName(hostInterface),
    input: [...gates, ...egress.filters.map(({ name }) => name)],
    output: ingress.filters.map(({ name }) => name),
  };
}

const planned = new WeakMap<FilterListRow, PodLists>();

/** The lists that a row was made from; undefined for a row that no pod has. */
export function listsBehind(row: FilterListRow): PodLists | undefined {
  return planned.get(row);
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
  return listOf(clauses, { direction, before, pod: pod.key });
}

/** Every address from which processes of a node may speak to its pods. */
function nodeAddresses(facts: Facts, name: string): Ip[] {
  const own = facts.config.get('config')?.nodeName;
  const uplink = name === own ? facts.uplink.get(uplinkName) : undefined;
  const { 4: v4, 6: v6 } = refuseAddresses;
  return [...addressesOfNode(uplink, facts.nodes.get(name)), v4, v6];
}

/**
 * The gate's filters (src/proxy/gate.ts) that a pod meets. A pod that policies concern does not:
 * behind a gate they would see addresses of Services in the place of endpoints.
 */
function gatesOf(facts: Facts, attachment: Attachment): readonly string[] {
  const names = gateFilterNames(facts.gated, 'ranges');
  return names.length === 0 || isPoliced(facts, attachment) ? [] : names;
}
