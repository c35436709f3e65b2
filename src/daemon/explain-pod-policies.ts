import type { PodFilterView, PodListView, PodPolicyExplanation } from '../core/control-policy.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import { podInterfaceName } from '../desired/names.ts';
import type { FilterRow } from '../desired/rows.ts';
import type { Facts } from '../model/store.ts';
import { attachmentOf, reasonText } from '../policy/explain.ts';
import type { List } from '../policy/lists.ts';
import type { Direction } from '../policy/peers.ts';
import { podLists } from '../policy/plan.ts';
import { similarText } from './policy-ends.ts';
import { counted, createLook, type Look, type PolicyParts, readCounters } from './policy-look.ts';
import { isIsolated, reasonsByFilter } from './policy-uses.ts';
import { errorsOf, type Progress, statusOf } from './row-status.ts';

/** What a pod's interface asks, in the order in which VPP asks it. */
export async function explainPod(
  parts: PolicyParts,
  key: string,
): Promise<Parsed<PodPolicyExplanation>> {
  const { facts, loop } = parts;
  const attachment = attachmentOf(facts, key);
  if (attachment === undefined) return rejected(absentText(facts, key));
  const look = createLook(parts);
  const name = podInterfaceName(attachment.hostInterface);
  const lists = podLists(facts, attachment);
  const views = (['Egress', 'Ingress'] as const).map((direction) =>
    podList(look, direction, direction === 'Egress' ? lists.egress : lists.ingress),
  );
  const gates = lists.gates.map((filter): PodFilterView => {
    const row = loop.desired.row('filters', filter) as FilterRow | undefined;
    const progress = row === undefined ? pending : look.filterStatus(row);
    const why = ['source ranges of Services, asked before they are translated'];
    const pods = look.pods(filter, 'Egress');
    return { filter, rules: row?.rules.length ?? 0, pods, ...progress, why };
  });
  const [egress, ingress] = views.map((one) => one.filters);
  const names = [...gates, ...(egress ?? []), ...(ingress ?? [])].map((one) => one.filter);
  const row = statusOf(loop, 'filterLists', name, errorsOf(loop, 'filterLists'));
  const counters = await readCounters(parts, new Set(names));
  const object = `Pod/${key}`;
  return parsed({
    pod: key,
    verdict: podVerdict(lists.known, views),
    addresses: attachment.ips,
    interface: attachment.hostInterface,
    ...row,
    lists: views.map((list) => ({
      ...list,
      filters: [...(list.direction === 'Egress' ? gates : []), ...list.filters].map((one) =>
        counted(counters, one),
      ),
    })),
    problems: parts.problems().filter((problem) => problem.object === object),
  });
}

const pending: Progress = { status: 'pending', error: '' };

function absentText(facts: Facts, key: string): string {
  if (!/^[^/\s]+\/[^/\s]+$/.test(key)) return 'pod must be namespace/name';
  const pod = facts.pods.get(key);
  if (pod === undefined) return `no pod ${key}${similarText(facts.pods.keys(), key)}`;
  if (pod.hostNetwork) return `pod ${key} is in its node's network: no policy is about it`;
  const own = facts.config.get('config')?.nodeName;
  if (pod.node === own) return `pod ${key} is not attached to this node yet: it is ${pod.phase}`;
  return `pod ${key} is on node ${pod.node || 'none yet'}: ask the kvr of that node`;
}

function podList(look: Look, direction: Direction, list: List): PodListView {
  return {
    direction,
    isolated: isIsolated(list),
    filters: list.filters.map((filter): PodFilterView => {
      const reasons = reasonsByFilter(list).get(filter.name) ?? [];
      const why = [...new Set(reasons.map(({ by }) => reasonText(by)))];
      return {
        filter: filter.name,
        rules: filter.rules.length,
        pods: look.pods(filter.name, direction),
        ...look.filterStatus(filter),
        why,
      };
    }),
  };
}

function podVerdict(known: boolean, lists: readonly PodListView[]): string {
  if (!known) return 'closed: the pod or the policies are not known yet, nothing passes';
  const isolated = lists.filter((one) => one.isolated).map((one) => one.direction);
  if (isolated.length > 0) return `isolated: ${isolated.join(' and ')}`;
  return lists.some((one) => one.filters.length > 1)
    ? 'not isolated, but policies have a say'
    : 'open: no policy says anything about it';
}
