import { createHash } from 'node:crypto';
import type { Meta, Pod, Workload } from './objects.ts';

/**
 * The part of Kubernetes that makes pods from Deployments, StatefulSets and DaemonSets and
 * chooses a node for each, reduced to what the demo needs: no rolling update (a changed template
 * is for new pods only), no probes, no resources.
 */
export interface PodPlan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
}

/** The most pods that one workload may have in the demo. */
const replicasMax = 50;

/** Pods to create and to remove, so that every workload has as many as it asks for. */
export function planPods(
  workloads: readonly Workload[],
  pods: readonly Pod[],
  nodes: readonly string[],
): PodPlan {
  const create: Pod[] = [];
  const remove: Pod[] = [];
  const owners = new Set(workloads.map((workload) => workload.metadata.uid));
  for (const workload of workloads) {
    const wanted = new Map(wantedPods(workload, nodes).map((pod) => [pod.metadata.name, pod]));
    const present = pods.filter((pod) => ownerUid(pod) === workload.metadata.uid);
    for (const pod of present) {
      const kept = wanted.delete(pod.metadata.name);
      if (!kept && !isTerminating(pod)) remove.push(pod);
    }
    create.push(...wanted.values());
  }
  for (const pod of pods) {
    const owner = ownerUid(pod);
    if (owner !== undefined && !owners.has(owner) && !isTerminating(pod)) remove.push(pod);
  }
  return { create, remove };
}

/** A node for every pod that has none: its selector decides, then the fewest pods of its owner. */
export function planBindings(
  pods: readonly Pod[],
  nodes: readonly string[],
): readonly { readonly pod: Pod; readonly node: string }[] {
  const placed = pods.flatMap((pod) =>
    pod.spec.nodeName === undefined ? [] : [{ pod, node: pod.spec.nodeName }],
  );
  const bindings: { pod: Pod; node: string }[] = [];
  for (const pod of pods.filter((p) => p.spec.nodeName === undefined && !isTerminating(p))) {
    const wanted = pod.spec.nodeSelector?.['kubernetes.io/hostname'];
    const candidates = nodes.filter((node) => wanted === undefined || node === wanted);
    const load = (node: string) => {
      const here = [...placed, ...bindings].filter((other) => other.node === node);
      const siblings = here.filter((other) => ownerUid(other.pod) === ownerUid(pod));
      return siblings.length * 1000 + here.length;
    };
    const node = candidates.toSorted((a, b) => load(a) - load(b))[0];
    if (node !== undefined) bindings.push({ pod, node });
  }
  return bindings;
}

function wantedPods(workload: Workload, nodes: readonly string[]): Pod[] {
  const { name, uid } = workload.metadata;
  if (workload.kind === 'DaemonSet') {
    return nodes.map((node) => podFrom(workload, `${name}-${suffix(`${uid} ${node}`)}`, node));
  }
  const count = Math.min(workload.spec.replicas ?? 1, replicasMax);
  return Array.from({ length: count }, (_, n) =>
    podFrom(workload, `${name}-${workload.kind === 'StatefulSet' ? n : suffix(`${uid} ${n}`)}`),
  );
}

function podFrom(workload: Workload, name: string, node?: string): Pod {
  const { namespace = 'default', uid = '' } = workload.metadata;
  const { template } = workload.spec;
  const owner = {
    apiVersion: 'apps/v1',
    kind: workload.kind,
    name: workload.metadata.name,
    uid,
    controller: true,
  };
  const metadata: Meta = {
    name,
    namespace,
    labels: template.metadata?.labels ?? {},
    ownerReferences: [owner],
  };
  const spec = node === undefined ? template.spec : { ...template.spec, nodeName: node };
  return { metadata, spec };
}

/** Five characters, like the real thing, but the same for the same replica. */
function suffix(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 5);
}

function ownerUid(pod: Pod): string | undefined {
  return pod.metadata.ownerReferences?.find((owner) => owner.controller)?.uid;
}

function isTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}
