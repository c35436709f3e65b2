import type { PolicyFinding } from '../core/control-policy-lint.ts';
import type { ClusterNetworkPolicy } from '../model/facts.ts';
import { podsContain, podsExclude, trafficContains } from './contains.ts';
import { type LintPolicy, type LintRule, podsWords, type World } from './lint-world.ts';

/**
 * Rules that other rules make superfluous. It compares what is written, not whom it selects today,
 * so that what it finds stays true when pods come and go.
 */
export type Finding = Omit<PolicyFinding, 'object'> & { readonly policy: LintPolicy };

/** Rules of one namespace and direction that are compared with each other. */
export const comparedMax = 1_000;

interface Placed {
  readonly policy: LintPolicy;
  readonly rule: LintRule;
}

/** NP-03: rules are a union, so one that lies inside another allows nothing new. */
export function findSuperfluous(world: World, policies: readonly LintPolicy[]): Finding[] {
  const groups = new Map<string, Placed[]>();
  for (const policy of policies) {
    if (policy.source.kind !== 'namespaced') continue;
    const { namespace, policyTypes, mode } = policy.source.policy;
    for (const rule of policy.rules) {
      // What contradicts its policyTypes allows nothing at all: lint.ts says so.
      if (!policyTypes.includes(rule.direction === 'ingress' ? 'Ingress' : 'Egress')) continue;
      const id = `${namespace} ${rule.direction} ${mode}`;
      const group = groups.get(id);
      if (group === undefined) groups.set(id, [{ policy, rule }]);
      else group.push({ policy, rule });
    }
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first !== undefined && group.length > comparedMax)
      return [notCompared(first, group.length)];
    return group.flatMap((one) => {
      const wider = group.find((other) => other !== one && coversFirst(world, group, other, one));
      return wider === undefined ? [] : [superfluous(one, wider)];
    });
  });
}

/** True when `outer` covers `inner`; of two that say the same, the first covers the other. */
function coversFirst(
  world: World,
  group: readonly Placed[],
  outer: Placed,
  inner: Placed,
): boolean {
  if (!covers(world, outer, inner)) return false;
  return group.indexOf(outer) < group.indexOf(inner) || !covers(world, inner, outer);
}

function covers(world: World, outer: Placed, inner: Placed): boolean {
  return (
    podsContain(outer.policy.subject, inner.policy.subject, world.labelsOf) &&
    trafficContains(outer.rule.traffic, inner.rule.traffic, world.labelsOf)
  );
}

function superfluous({ policy, rule }: Placed, wider: Placed): Finding {
  const same = wider.policy === policy;
  return {
    policy,
    severity: 'info',
    finding: 'adds-nothing',
    field: rule.field,
    written: `${same ? '' : `${wider.policy.object} `}${wider.rule.field} allows all that this rule allows${same ? '' : ', and to the same pods'}`,
    meant: 'no such rule, or the other narrower',
  };
}

function notCompared({ policy, rule }: Placed, count: number): Finding {
  return {
    policy,
    severity: 'info',
    finding: 'not-compared',
    field: `spec.${rule.direction}`,
    written: `the namespace has ${count} rules of this direction: more than ${comparedMax} are not compared with each other`,
    meant: 'fewer rules',
  };
}

interface Ordered extends Placed {
  readonly source: ClusterNetworkPolicy;
}

/** ClusterNetworkPolicy: the first rule that matches decides, so a rule inside an earlier one never does. */
export function findHidden(world: World, policies: readonly LintPolicy[]): Finding[] {
  const rules = policies
    .flatMap((policy): Ordered[] => {
      const { source } = policy;
      if (source.kind !== 'cluster') return [];
      return policy.rules.map((rule) => ({ policy, rule, source: source.policy }));
    })
    .toSorted((a, b) => compareOrder(a.source, b.source));
  return rules.flatMap((one, i) => {
    const before = rules.find(
      (other, j) => j < i && goesBefore(other, one) && covers(world, other, one),
    );
    if (before === undefined) return [];
    const same = before.rule.action === one.rule.action;
    return [
      {
        policy: one.policy,
        severity: same ? 'info' : 'warning',
        finding: 'hidden',
        field: one.rule.field,
        written: `${one.rule.action} never happens: ${before.policy === one.policy ? '' : `${before.policy.object} `}${before.rule.field} (${before.rule.action}) goes before and takes all of it`,
        meant: same ? 'no such rule' : 'this rule before the other',
      },
    ];
  });
}

function compareOrder(a: ClusterNetworkPolicy, b: ClusterNetworkPolicy): number {
  if (a.tier !== b.tier) return a.tier === 'Admin' ? -1 : 1;
  return a.priority - b.priority;
}

/** Whether a match of `first` keeps `second` from being asked. */
function goesBefore(first: Ordered, second: Ordered): boolean {
  if (first.rule.direction !== second.rule.direction) return false;
  if (first.policy === second.policy) return true;
  if (first.source.tier !== second.source.tier) return first.rule.action !== 'Pass';
  // Of equal priorities nobody knows the order.
  return first.source.priority < second.source.priority;
}

/** Two of one tier with one priority that concern the same pods: which goes first is undefined. */
export function findSamePriority(world: World, policies: readonly LintPolicy[]): Finding[] {
  const groups = new Map<string, LintPolicy[]>();
  for (const policy of policies) {
    if (policy.source.kind !== 'cluster') continue;
    const { tier, priority } = policy.source.policy;
    const group = groups.get(`${tier} ${priority}`) ?? [];
    groups.set(`${tier} ${priority}`, group);
    group.push(policy);
  }
  return [...groups.values()].flatMap((group) =>
    group.flatMap((policy, i) => {
      const other = group
        .slice(0, i)
        .find((one) => sharesDirection(one, policy) && !excludes(world, one, policy));
      return other === undefined ? [] : [equalPriority(world, policy, other)];
    }),
  );
}

function excludes(world: World, a: LintPolicy, b: LintPolicy): boolean {
  return podsExclude(a.subject, b.subject, world.labelsOf);
}

function sharesDirection(a: LintPolicy, b: LintPolicy): boolean {
  return a.rules.some((one) => b.rules.some((other) => one.direction === other.direction));
}

function equalPriority(world: World, policy: LintPolicy, other: LintPolicy): Finding {
  const theirs = new Set(world.podsOf(other.subject));
  const both = world.podsOf(policy.subject).find((pod) => theirs.has(pod));
  const { tier, priority } = policy.source.policy as ClusterNetworkPolicy;
  return {
    policy,
    severity: both === undefined ? 'info' : 'warning',
    finding: 'same-priority',
    field: 'spec.priority',
    written: `${tier} ${priority} like ${other.object}: which goes first for ${both === undefined ? `a pod of both (${podsWords(policy.subject)})` : `pod ${both.key}`} is undefined`,
    meant: 'priorities that differ',
  };
}
