import type { Attachment, ClusterNetworkPolicy, NetworkPolicy, Pod } from './facts.ts';
import { selects } from './labels.ts';
import { selectsNamespace } from './peer-pods.ts';
import { isOfPod } from './pod-addresses.ts';
import { policyRef } from './selections.ts';
import type { ChangedKeys, FactKind, Facts } from './store.ts';

/** Which policies concern which pods of this node. */

/** Whether a NetworkPolicy selects a pod (NP-01); nobody asks about pods of the host's network. */
export function appliesTo(policy: NetworkPolicy, pod: Pod): boolean {
  return policy.namespace === pod.namespace && selects(policy.podSelector, pod.labels);
}

export function clusterPolicyApplies(
  facts: Facts,
  { subject }: ClusterNetworkPolicy,
  pod: Pod,
): boolean {
  const { namespace } = subject;
  const inside =
    typeof namespace === 'string'
      ? namespace === pod.namespace
      : selectsNamespace(namespace, facts.namespaces.get(pod.namespace)?.labels);
  return inside && selects(subject.pods, pod.labels);
}

/** The NetworkPolicies that select a pod, of those of its namespace. */
export function policiesOf({ policies, policiesIn }: Facts, pod: Pod): NetworkPolicy[] {
  return [...(policiesIn.get(pod.namespace) ?? [])]
    .map((key) => policies.get(key))
    .filter((one) => one !== undefined)
    .filter((one) => appliesTo(one, pod));
}

/** Without all of these nobody knows what a pod may do. */
const needed: readonly FactKind[] = [
  'policies',
  'clusterPolicies',
  'pods',
  'namespaces',
  // Peers of ClusterNetworkPolicies, and the node itself.
  'nodes',
];

/** The pod of an attachment; undefined while it, or what concerns it, is not known (NP-19). */
export function knownPod(facts: Facts, attachment: Attachment): Pod | undefined {
  if (!needed.every((kind) => facts.complete.has(kind))) return undefined;
  const pod = facts.pods.get(attachment.pod);
  if (pod === undefined || !isOfPod(attachment, pod)) return undefined;
  // Namespaces come by a watch of their own: without its labels a pod may be anybody's subject.
  return facts.namespaces.has(pod.namespace) ? pod : undefined;
}

/** Whether policies say anything about a pod, be it only that nothing is known yet. */
export function isPoliced(facts: Facts, attachment: Attachment): boolean {
  const pod = knownPod(facts, attachment);
  if (pod === undefined) return true;
  if (policiesOf(facts, pod).length > 0) return true;
  for (const policy of facts.clusterPolicies.values())
    if (clusterPolicyApplies(facts, policy, pod)) return true;
  return false;
}

/** Attachments whose policies, or what these select, may have changed. */
export function policyTouched(facts: Facts, changed: ChangedKeys): ReadonlySet<string> | 'all' {
  if (needed.some((kind) => changed.complete?.has(kind))) return 'all';
  if (changed.clusterPolicies !== undefined) return 'all';
  const touched = new Set(changed.attachments);
  const users = usersOf(facts, changed);
  const { pods, policies, namespaces } = changed;
  if (!pods && !policies && !namespaces && users.length === 0) return touched;
  const changedNamespaces = new Set([...(policies ?? [])].map((key) => key.split('/')[0]));
  for (const [key, attachment] of facts.attachments) {
    const pod = facts.pods.get(attachment.pod);
    const own = attachment.pod.split('/')[0] ?? '';
    if (
      pods?.has(attachment.pod) ||
      namespaces?.has(own) ||
      changedNamespaces.has(own) ||
      (pod !== undefined && users.some((user) => user(pod)))
    )
      touched.add(key);
  }
  return touched;
}

/** The policies whose peers changed, each as a question: does it concern this pod? */
function usersOf(facts: Facts, changed: ChangedKeys): ((pod: Pod) => boolean)[] {
  const refs = new Set<string>();
  for (const id of changed.selections ?? [])
    for (const ref of facts.selections.usersOf(id)) refs.add(ref);
  const found: ((pod: Pod) => boolean)[] = [];
  for (const ref of refs) {
    const key = ref.slice(ref.indexOf('/') + 1);
    if (ref === policyRef('NetworkPolicy', key)) {
      const policy = facts.policies.get(key);
      if (policy !== undefined) found.push((pod) => appliesTo(policy, pod));
    } else {
      const policy = facts.clusterPolicies.get(key);
      if (policy !== undefined) found.push((pod) => clusterPolicyApplies(facts, policy, pod));
    }
  }
  return found;
}
