import { setImmediate } from 'node:timers/promises';
import type { FlowExplanation, JudgedEnd, JudgedFlow } from '../core/control-policy.ts';
import { type Parsed, parsed } from '../core/parsed.ts';
import type { TranslationRow } from '../desired/rows.ts';
import { formatRule, tables } from '../desired/tables.ts';
import type { Facts } from '../model/store.ts';
import { attachmentOf, createJudge, type Flow, type Judgement } from '../policy/explain.ts';
import type { List } from '../policy/lists.ts';
import { parseFlows } from './policy-ends.ts';
import { counted, createLook, type Look, type PolicyParts, readCounters } from './policy-look.ts';
import type { FlowQuestion } from './view.ts';

/**
 * `kvr explain policy --from A --to B`: whether policies let a packet pass, at both of its ends.
 * Decides nothing: it asks the function that the rows come from.
 */
export async function explainFlow(
  parts: PolicyParts,
  question: FlowQuestion,
): Promise<Parsed<FlowExplanation>> {
  const { facts, loop } = parts;
  const asked = parseFlows(
    facts,
    (frontend) => {
      const key = tables.translations.key(frontend as TranslationRow);
      return (loop.desired.row('translations', key) as TranslationRow | undefined)?.backends;
    },
    question,
  );
  if (!asked.ok) return asked;
  const look = createLook(parts);
  const judge = createJudge(facts);
  const flows: JudgedFlow[] = [];
  for (const flow of asked.value.flows) {
    // A pod with tens of thousands of rules takes a tenth of a second: others have turns between.
    if (flows.length > 0) await setImmediate();
    flows.push(judgedFlow(look, flow, judge(flow)));
  }
  const judged = await withCounts(parts, flows);
  const { service, notes } = asked.value;
  const remote = flows.flatMap(({ ends }) => ends.filter((one) => one.status === 'elsewhere'));
  const elsewhere = new Map(remote.map(({ pod, node }) => [pod, node]));
  return parsed({
    verdict: verdictOf(question, service, judged),
    ...(service === undefined ? {} : { service }),
    flows: judged,
    notes: [...notes, ...factNotes(facts), ...elsewhereNotes(elsewhere), ...sctpNotes(flows)],
  });
}

function judgedFlow(look: Look, flow: Flow, judged: readonly Judgement[]): JudgedFlow {
  const ends = judged.map((one) => judgedEnd(look, one));
  const denying = ends.find((one) => !one.allowed);
  const audited = ends.flatMap((one) => one.audited);
  const words = { Egress: 'on the way out of', Ingress: 'on the way into' };
  const verdict =
    denying !== undefined
      ? `denied ${words[denying.direction]} ${denying.pod}: ${denying.why}`
      : ends.length === 0
        ? 'allowed: neither end is a pod'
        : audited.length > 0
          ? `allowed, and counted: ${audited.join(', ')} would deny it`
          : 'allowed';
  const { from, to, port, protocol } = flow;
  const portText = protocol === 'ICMP' ? 'icmp' : `${port}/${protocol.toLowerCase()}`;
  return { from, to, port: portText, allowed: denying === undefined, verdict, ends };
}

function judgedEnd(look: Look, judged: Judgement): JudgedEnd {
  const { facts } = look;
  const { direction, pod, allowed, rules, audited, why, filter, rule, list } = judged;
  const attachment = attachmentOf(facts, pod);
  const node = facts.pods.get(pod)?.node ?? '';
  const isHere = node === facts.config.get('config')?.nodeName;
  const progress: Pick<JudgedEnd, 'status' | 'error'> =
    attachment !== undefined
      ? look.status(attachment, direction, list)
      : isHere
        ? { status: 'pending', error: 'the pod is not attached to this node yet' }
        : { status: 'elsewhere', error: '' };
  const row = list.filters.find((one) => one.name === filter)?.rules[rule];
  const countOf = (name: string) => ({ filter: name, pods: look.pods(name, direction) });
  const ruleText = row === undefined ? '' : formatRule(row);
  const end = { direction, pod, node, allowed, rules, audited, why, rule, ruleText, ...progress };
  return { ...end, hits: countOf(filter), denied: denyingFilters(list).map(countOf) };
}

/** Where what no rule allows ends. */
function denyingFilters({ reasons }: List): string[] {
  const denying = reasons.filter(({ by }) => by.kind === 'isolated' || by.kind === 'closed');
  return [...new Set(denying.map((one) => one.filter))];
}

async function withCounts(parts: PolicyParts, flows: readonly JudgedFlow[]): Promise<JudgedFlow[]> {
  const here = flows.flatMap(({ ends }) => ends.filter((one) => one.status !== 'elsewhere'));
  const names = here.flatMap(({ hits, denied }) => [hits, ...denied].map((one) => one.filter));
  const counters = await readCounters(parts, new Set(names));
  return flows.map((flow) => ({
    ...flow,
    ends: flow.ends.map((end) => {
      if (end.status === 'elsewhere') return end;
      const rule = counters?.get(end.hits.filter)?.[end.rule]?.packets;
      const hits = rule === undefined ? end.hits : { ...end.hits, packets: rule };
      return { ...end, hits, denied: end.denied.map((one) => counted(counters, one)) };
    }),
  }));
}

function verdictOf(
  { from, to, port }: FlowQuestion,
  service: string | undefined,
  flows: readonly JudgedFlow[],
): string {
  const asked = `${from} to ${to} ${port === '' ? 'icmp' : port}`;
  const [only] = flows;
  if (only === undefined) return `${asked}: nothing to judge`;
  if (flows.length === 1) return `${asked}: ${only.verdict}`;
  const what = service === undefined ? 'families' : 'endpoints';
  const denied = flows.filter((one) => !one.allowed).length;
  if (denied === 0) return `${asked}: allowed to all ${flows.length} ${what}`;
  return `${asked}: denied to ${denied === flows.length ? 'all' : `${denied} of`} ${flows.length} ${what}`;
}

function factNotes({ complete }: Facts): string[] {
  const all = ['policies', 'clusterPolicies', 'pods', 'namespaces'] as const;
  const missing = all.filter((kind) => !complete.has(kind));
  return missing.length === 0
    ? []
    : [`not complete yet, so this may change: ${missing.join(', ')}`];
}

function elsewhereNotes(pods: ReadonlyMap<string, string>): string[] {
  const byNode = new Map<string, string[]>();
  for (const [pod, node] of pods) byNode.set(node, [...(byNode.get(node) ?? []), pod]);
  return [...byNode].map(
    ([node, names]) =>
      `${someOf(names)} on node ${node}: judged by what is known here; the kvr of that node has the counters and knows what is in force`,
  );
}

/** Names that a remark lists. */
const namesShown = 5;

function someOf(names: readonly string[]): string {
  const more = names.length - namesShown;
  const shown = names.slice(0, namesShown).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function sctpNotes(flows: readonly JudgedFlow[]): string[] {
  const isSctp = flows.some(({ port }) => port.endsWith('/sctp'));
  return isSctp ? ['VPP reads no ports of SCTP: rules that have some match no packet of it'] : [];
}
