import { familyOf, hostPrefix, type Ip, type Prefix } from '../core/ip.ts';
import { intersectPrefixes } from '../core/prefix-set.ts';
import type { FilterRow, FilterRule } from '../desired/rows.ts';
import type { Attachment, ObjectKey, Pod } from '../model/facts.ts';
import { isOfPod } from '../model/pod-addresses.ts';
import { isPeer } from '../model/selections.ts';
import type { Facts } from '../model/store.ts';
import type { List } from './lists.ts';
import type { Direction } from './peers.ts';
import { podLists, policyList } from './plan.ts';
import type { Reason } from './program.ts';

/**
 * Why a packet passes or does not: the same lists of filters that VPP has, asked in the same order.
 */

/** The first packet of a flow, as a pod's interface sees it: after a Service was translated. */
export interface Flow {
  readonly from: Ip;
  readonly to: Ip;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP';
  /** Of the destination; of ICMP the type, 8 or 128 for an echo request. */
  readonly port: number;
}

/** What one end's policies say. */
export interface Judgement {
  readonly direction: Direction;
  readonly pod: ObjectKey;
  readonly allowed: boolean;
  /** `NetworkPolicy/namespace/name` and so on; empty where no policy decided. */
  readonly policies: readonly string[];
  /** Rules of policies that say so; none where the pod is isolated and no rule allows it. */
  readonly rules: readonly PolicyRuleRef[];
  /** Policies in audit mode that would deny it. */
  readonly audited: readonly string[];
  /** For people. */
  readonly why: string;
  /** The rule that decided: the filter's name and the rule's place in it. */
  readonly filter: string;
  readonly rule: number;
  /** All filters that were to be asked. */
  readonly list: List;
}

/** A rule of a policy: its place in the direction's list, and its name or ''. */
export interface PolicyRuleRef {
  readonly policy: string;
  readonly index: number;
  readonly name: string;
}

/** The ends that are pods, the sender first. An end that is no pod has no policies. */
export function judgeFlow(facts: Facts, flow: Flow): Judgement[] {
  return createJudge(facts)(flow);
}

/** The same for many flows at one time: what was looked up is not looked up again. */
export function createJudge(facts: Facts): (flow: Flow) => Judgement[] {
  const podAt = podFinder(facts);
  const lists = new Map<string, List>();
  const listOf = (pod: Pod, direction: Direction) => {
    const key = `${direction} ${pod.key}`;
    const list = lists.get(key) ?? listFor(facts, pod, direction);
    lists.set(key, list);
    return list;
  };
  return (flow) =>
    (['Egress', 'Ingress'] as const).flatMap((direction) => {
      const pod = podAt(direction === 'Egress' ? flow.from : flow.to);
      if (pod === undefined) return [];
      return judge(facts, pod, direction, flow, listOf(pod, direction));
    });
}

/** Finds the pod that has an address now (NP-16, NP-18). For many questions at one time. */
export function podFinder(facts: Facts): (address: Ip) => Pod | undefined {
  const pods = new Map<Ip, Pod | undefined>();
  for (const attachment of facts.attachments.values())
    for (const ip of attachment.ips) pods.set(ip, facts.pods.get(attachment.pod));
  for (const pod of facts.pods.values())
    if (isPeer(pod)) for (const ip of pod.ips) if (!pods.has(ip)) pods.set(ip, pod);
  return (address) => pods.get(address);
}

/** What a pod's policies say of a flow in one direction. */
export function judge(
  facts: Facts,
  pod: Pod,
  direction: Direction,
  flow: Flow,
  list = listFor(facts, pod, direction),
): Judgement {
  const found = firstMatch(list.filters, flow);
  const { name = '', rules = [] } = found?.filter ?? {};
  const rule = found?.rule ?? 0;
  const reasons = list.reasons
    .filter((one) => one.filter === name && one.first <= rule && rule < one.first + one.count)
    .map((one) => one.by);
  return {
    direction,
    pod: pod.key,
    allowed: (rules[rule]?.action ?? 'deny') !== 'deny',
    policies: [...new Set(reasons.flatMap(policiesOf))],
    rules: reasons.flatMap(rulesOf),
    audited: [...new Set(reasons.flatMap(auditedBy))],
    why: [...new Set(reasons.map(reasonText))].join('; '),
    filter: name,
    rule,
    list,
  };
}

/** A pod's interface; else one of its name, whose pod has left or is not known yet. */
export function attachmentOf(facts: Facts, key: ObjectKey): Attachment | undefined {
  const pod = facts.pods.get(key);
  let found: Attachment | undefined;
  for (const attachment of facts.attachments.values()) {
    if (attachment.pod !== key) continue;
    if (pod !== undefined && isOfPod(attachment, pod)) return attachment;
    found ??= attachment;
  }
  return found;
}

function listFor(facts: Facts, pod: Pod, direction: Direction): List {
  const attachment = attachmentOf(facts, pod.key);
  if (attachment === undefined)
    return policyList(facts, { pod, node: pod.node, addresses: pod.ips }, direction);
  const { egress, ingress } = podLists(facts, attachment);
  return direction === 'Egress' ? egress : ingress;
}

function firstMatch(
  filters: readonly FilterRow[],
  flow: Flow,
): { readonly filter: FilterRow; readonly rule: number } | undefined {
  for (const filter of filters) {
    const rule = filter.rules.findIndex((one) => matches(one, flow));
    if (rule >= 0) return { filter, rule };
  }
  return undefined;
}

function matches({ source, destination, protocol, ports }: FilterRule, flow: Flow): boolean {
  const sent =
    flow.protocol === 'ICMP' ? (familyOf(flow.to) === 4 ? 'ICMP' : 'ICMPv6') : flow.protocol;
  // VPP reads none of SCTP: src/policy/filters.ts.
  const port = flow.protocol === 'SCTP' ? 0 : flow.port;
  return (
    (protocol === 'any' || protocol === sent) &&
    (ports === undefined || (ports[0] <= port && port <= ports[1])) &&
    holds(source, flow.from) &&
    holds(destination, flow.to)
  );
}

function holds(prefix: Prefix, address: Ip): boolean {
  const host = hostPrefix(address);
  return intersectPrefixes(prefix, host) === host;
}

/** Policies that stand behind a reason. */
export function policiesOf(by: Reason): readonly string[] {
  switch (by.kind) {
    case 'rule':
      return [by.policy];
    case 'isolated':
      return by.policies;
    case 'audited':
      return by.policies;
    case 'self':
    case 'always':
    case 'node':
    case 'closed':
    case 'tooLarge':
    case 'default':
      return [];
  }
}

function rulesOf(by: Reason): readonly PolicyRuleRef[] {
  if (by.kind === 'audited') return rulesOf(by.by);
  if (by.kind !== 'rule') return [];
  const { policy, index, name } = by;
  return [{ policy, index, name }];
}

function auditedBy(by: Reason): readonly string[] {
  return by.kind === 'audited' ? by.policies : [];
}

/** One reason, for people. */
export function reasonText(by: Reason): string {
  switch (by.kind) {
    case 'rule':
      return `${by.policy} rule ${by.index}${by.name === '' ? '' : ` (${by.name})`}`;
    case 'isolated':
      return `no rule of ${by.policies.join(', ')} allows it`;
    case 'audited':
      return `only counted: no rule of ${by.policies.join(', ')} (audit) allows it; ${reasonText(by.by)}`;
    case 'self':
      return 'a pod may always talk to itself';
    case 'always':
      return 'ICMP errors, neighbour discovery and later fragments always pass';
    case 'node':
      return 'what comes from the own node always passes';
    case 'closed':
      return 'the pod or the policies are not known yet: nothing passes until they are';
    case 'tooLarge':
      return 'the policies are more than VPP can hold for a pod: nothing passes';
    case 'default':
      return 'no policy says anything';
  }
}
