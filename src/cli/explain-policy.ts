import type {
  FilterCount,
  FlowExplanation,
  JudgedEnd,
  JudgedFlow,
  PodFilterView,
  PodListView,
  PodPolicyExplanation,
  PolicyRuleView,
} from '../core/control-policy.ts';
import { type Column, errorColumns } from './columns.ts';
import { formatItems, listed } from './format.ts';

/** Flows that people read; `-o json` has all. */
const flowsShown = 50;

/** An explanation as text: the verdict first, then each end of each flow, then remarks. */
export function formatFlows(found: FlowExplanation): string {
  const { verdict, service, flows, notes } = found;
  const parts = [verdict];
  if (service !== undefined) parts.push(`Service ${service}`);
  const shown = flows.toSorted((a, b) => Number(a.allowed) - Number(b.allowed));
  for (const flow of shown.slice(0, flowsShown)) {
    if (flows.length > 1)
      parts.push('', `${flow.from} to ${flow.to} ${flow.port}: ${flow.verdict}`);
    else parts.push(`${flow.from} to ${flow.to} ${flow.port}`);
    parts.push(...endLines(flow));
  }
  const more = flows.length - flowsShown;
  if (more > 0) parts.push('', `and ${more} more: -o json shows all`);
  if (notes.length > 0) parts.push('', ...notes);
  return `${parts.join('\n')}\n`;
}

function endLines({ ends }: JudgedFlow): string[] {
  return ends.length === 0 ? [] : [formatItems(ends, endColumns, 'text').trimEnd()];
}

const endColumns: readonly Column<JudgedEnd>[] = [
  { title: 'END', cell: (one) => (one.direction === 'Egress' ? 'egress of' : 'ingress of') },
  { title: 'POD', cell: (one) => one.pod },
  { title: 'NODE', cell: (one) => one.node || '-' },
  { title: 'VERDICT', cell: (one) => (one.allowed ? 'allowed' : 'DENIED') },
  { title: 'BY', cell: byText },
  { title: 'FILTER', cell: (one) => `${one.hits.filter} rule ${one.rule}` },
  { title: 'RULE', cell: (one) => one.ruleText },
  { title: 'HITS', cell: (one) => countText(one.hits) },
  { title: 'DENIED', cell: (one) => one.denied.map(countText).join(', ') },
  { title: 'IN FORCE', cell: (one) => one.error || one.status },
];

function byText({ rules, why, audited }: JudgedEnd): string {
  const by = rules.length === 0 ? why : rules.map(ruleName).join(', ');
  return audited.length === 0 || rules.length === 0
    ? by
    : `${by}; would be denied: ${audited.join(', ')}`;
}

function ruleName({ policy, index, name }: PolicyRuleView): string {
  return `${policy} rule ${index}${name === '' ? '' : ` (${name})`}`;
}

/** Filters are shared, and so are their counts. */
function countText({ packets, pods }: FilterCount): string {
  if (packets === undefined) return '-';
  return pods > 1 ? `${packets} (of ${pods} pods)` : String(packets);
}

/** A pod's lists, in the order in which VPP asks their filters. */
export function formatPodPolicies(found: PodPolicyExplanation): string {
  const { pod, verdict, addresses, interface: name, status, error, lists, problems } = found;
  const force = error === '' ? status : `${status}: ${error}`;
  const parts = [`${pod}: ${verdict}`, `${addresses.join(' ')} on ${name}, ${force}`];
  for (const list of lists) parts.push('', ...listLines(list));
  if (problems.length > 0)
    parts.push('', 'problems', formatItems(problems, errorColumns, 'text').trimEnd());
  return `${parts.join('\n')}\n`;
}

function listLines({ direction, isolated, filters }: PodListView): string[] {
  const what = direction === 'Egress' ? 'what the pod sends' : 'what is sent to the pod';
  const title = `${what} (${direction}${isolated ? ', isolated' : ''}): the first rule that matches decides`;
  // The table begins with an empty line.
  return [title, ...listed(filters, filterColumns).slice(1)];
}

const filterColumns: readonly Column<PodFilterView>[] = [
  { title: 'FILTER', cell: (one) => one.filter },
  { title: 'RULES', cell: (one) => one.rules },
  { title: 'HITS', cell: countText },
  { title: 'STATUS', cell: (one) => one.error || one.status },
  { title: 'WHY', cell: (one) => one.why.join('; ') },
];
