import { type PolicyFinding, severities } from '../core/control-policy-lint.ts';
import { compareText } from '../core/ip.ts';
import type { Facts } from '../model/store.ts';
import { findHidden, findSamePriority, findSuperfluous } from './lint-order.ts';
import { lintPeers } from './lint-peers.ts';
import { lintDns, lintPorts } from './lint-ports.ts';
import {
  type LintPolicy,
  lookAt,
  type Report,
  readClusterPolicy,
  readPolicy,
} from './lint-world.ts';

/**
 * Frequent mistakes in policies, judged by the pods and namespaces that there are.
 *
 * A policy is seldom wrong in itself: it is wrong where it says something else than its author
 * thinks. So most findings compare what is written with what the cluster has.
 *
 * `only`: objects (`policyRef`) whose findings are wanted; all policies are looked at anyway.
 */
export function lintPolicies(facts: Facts, only?: ReadonlySet<string>): PolicyFinding[] {
  const world = lookAt(facts);
  const policies = readPolicies(facts);
  const wanted = policies.filter(({ object }) => only === undefined || only.has(object));
  const fellowsOf = groupFellows(policies);
  const findings: PolicyFinding[] = [];
  for (const policy of wanted) {
    const report: Report = (severity, finding, what) =>
      findings.push({ severity, finding, object: policy.object, ...what });
    lintTypes(policy, report);
    lintPeers(world, policy, report);
    lintPorts(world, policy, report);
    lintDns(world, policy, fellowsOf(policy), report);
  }
  const order = [findSuperfluous, findHidden, findSamePriority].flatMap((find) =>
    find(world, policies),
  );
  for (const { policy, ...finding } of order)
    if (only === undefined || only.has(policy.object))
      findings.push({ ...finding, object: policy.object });
  return findings.toSorted(compareFindings);
}

function readPolicies(facts: Facts): LintPolicy[] {
  const byKey = <P extends { readonly key: string }>(all: ReadonlyMap<string, P>) =>
    [...all.values()].toSorted((a, b) => compareText(a.key, b.key));
  return [
    ...byKey(facts.policies).map(readPolicy),
    ...byKey(facts.clusterPolicies).map(readClusterPolicy),
  ];
}

/** Others that may let out what a policy does not: of its namespace, or of the cluster. */
function groupFellows(policies: readonly LintPolicy[]) {
  const cluster = policies.filter(({ source }) => source.kind === 'cluster');
  const groups = new Map<unknown, LintPolicy[]>();
  for (const policy of policies) {
    if (policy.source.kind === 'cluster' || policy.source.policy.mode !== 'enforce') continue;
    const { namespace } = policy.subject;
    const group = groups.get(namespace);
    if (group === undefined) groups.set(namespace, [policy]);
    else group.push(policy);
  }
  return (policy: LintPolicy) =>
    [...(groups.get(policy.subject.namespace) ?? []), ...cluster].filter((one) => one !== policy);
}

function lintTypes({ source }: LintPolicy, report: Report): void {
  if (source.kind !== 'namespaced') return;
  const { policyTypes, mode } = source.policy;
  for (const [type, field] of [
    ['Ingress', 'ingress'],
    ['Egress', 'egress'],
  ] as const) {
    if (policyTypes.includes(type) || source.policy[field].length === 0) continue;
    report('error', 'policy-types', {
      field: 'spec.policyTypes',
      written: `there are ${field} rules, and policyTypes is [${policyTypes.join(', ')}]: the rules are ignored`,
      meant: `policyTypes with ${type}, or no ${field} rules`,
    });
  }
  if (mode === 'audit')
    report('warning', 'audit', {
      field: 'metadata.annotations["kube-vpp-router.io/policy-mode"]',
      written: 'audit: the policy forbids nothing, it only says what it would',
      meant: 'no annotation, when its effect is known',
    });
}

function compareFindings(a: PolicyFinding, b: PolicyFinding): number {
  return (
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    compareText(a.object, b.object) ||
    compareText(a.field, b.field) ||
    compareText(a.finding, b.finding)
  );
}
