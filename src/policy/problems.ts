import type { Problem } from '../core/problem.ts';
import type { Planner } from '../desired/plan.ts';
import type { ClusterNetworkPolicy, NetworkPolicy } from '../model/facts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import type { PodLists } from './plan.ts';

/**
 * What the authors of policies should know: what VPP cannot do as it is written, and what costs
 * more than they may think. Mistakes that can be read off an object alone are told when it is read
 * (src/kube/project-policy.ts), those that are guesses by `kvr policy lint`.
 */

/** Rules of both lists of a pod beyond which a change of them is felt. */
export const podRulesMax = 8_000;
/** A pod's lists that are too large. The numbers are left out: each text is an Event of its own. */
export function sizeProblems({ pod, egress, ingress }: PodLists): Problem[] {
  const filters = [...egress.filters, ...ingress.filters];
  const rules = filters.reduce((sum, filter) => sum + filter.rules.length, 0);
  const object = `Pod/${pod}`;
  const instead = 'an ipBlock in the place of a selector of many pods is one rule';
  const isTooLarge = [egress, ingress].some(({ reasons }) => reasons[0]?.by.kind === 'tooLarge');
  if (isTooLarge)
    return [
      {
        object,
        field: 'policies',
        reason: `its policies are more than VPP can hold for a pod, so nothing passes: ${instead}`,
      },
    ];
  if (rules <= podRulesMax) return [];
  return [
    {
      object,
      field: 'policies',
      reason: `its policies are more than ${podRulesMax} rules of VPP, which forwards nothing for about 1 ms for every 3000 of them whenever they change: ${instead}`,
    },
  ];
}

/** VPP reads no ports of SCTP: src/policy/filters.ts, `ignoresPorts`. */
const sctpReason = "VPP's filters see no ports of SCTP:";

const sctpEffects = {
  Accept: 'this allows nothing',
  Deny: 'this denies all ports of SCTP',
  Pass: 'of SCTP what follows allows nothing by this, and denies all',
} as const;

interface GivenPort {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}

function sctpFields(ports: readonly GivenPort[], field: string): string[] {
  return ports.flatMap(({ protocol, port, endPort }, i) => {
    const isAll = port === undefined || (Number(port) <= 1 && endPort === 65_535);
    return protocol === 'SCTP' && !isAll ? [`${field}[${i}]`] : [];
  });
}

const directions = ['ingress', 'egress'] as const;

function policyProblems(policy: NetworkPolicy): Problem[] {
  const object = `NetworkPolicy/${policy.key}`;
  const fields = directions.flatMap((name) =>
    policy[name].flatMap(({ ports }, i) => sctpFields(ports, `spec.${name}[${i}].ports`)),
  );
  return fields.map((field) => ({ object, field, reason: `${sctpReason} ${sctpEffects.Accept}` }));
}

function clusterPolicyProblems(policy: ClusterNetworkPolicy): Problem[] {
  const object = `ClusterNetworkPolicy/${policy.key}`;
  return directions.flatMap((name) =>
    policy[name].flatMap(({ ports, action }, i) =>
      sctpFields(ports, `spec.${name}[${i}].protocols`).map((field) => ({
        object,
        field,
        reason: `${sctpReason} ${sctpEffects[action]}`,
      })),
    ),
  );
}

function problemPlanner<K extends 'policies' | 'clusterPolicies'>(
  kind: string,
  factKind: K,
  problemsOf: (fact: NonNullable<ReturnType<Facts[K]['get']>>) => Problem[],
): Planner<Facts, ChangedKeys> {
  return {
    name: `${factKind}Problems`,
    kind,
    owners: (facts) => facts[factKind].keys(),
    touched: (_facts, changed) => changed[factKind] ?? [],
    plan(facts, owner) {
      const fact = facts[factKind].get(owner);
      return { rows: {}, problems: fact === undefined ? [] : problemsOf(fact as never) };
    },
  };
}

/** No rows: only what is wrong with policies, whether or not a pod of this node has them. */
export const policyProblemPlanners: readonly Planner<Facts, ChangedKeys>[] = [
  problemPlanner('NetworkPolicy', 'policies', policyProblems),
  problemPlanner('ClusterNetworkPolicy', 'clusterPolicies', clusterPolicyProblems),
];
