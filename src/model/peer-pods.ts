import type { Ip } from '../core/ip.ts';
import type { Attachment, LabelSelector, Labels, ObjectKey, Pod, PodSelector } from './facts.ts';
import { isUnlimited, selects } from './labels.ts';
import { createPodAddresses } from './pod-addresses.ts';
import type { Member } from './selections.ts';

/** Pods by namespace, and the labels of namespaces: what selectors of pods look at. */
export interface PeerPods {
  /** Returns the keys of the pods that may have other addresses now: tell them to `changePod`. */
  changeAttachment(
    before: Attachment | undefined,
    after: Attachment | undefined,
  ): ReadonlySet<ObjectKey>;
  /**
   * What the pod was and is; the same value when it changed nothing that a policy looks at. The
   * same pod twice is asked for its addresses again.
   */
  changePod(
    key: string,
    before: Pod | undefined,
    after: Pod | undefined,
  ): readonly [was: PeerPod | undefined, is: PeerPod | undefined];
  /** What a selector selects: in all namespaces, in one whose labels do not matter, of one pod. */
  allMembers(selector: PodSelector): Member[];
  membersIn(namespace: string, pods: LabelSelector): Member[];
  membersAs(selector: PodSelector, pod: PeerPod | undefined): readonly Member[];
}

/** A pod, and what it is in every selection that selects it. */
export interface PeerPod {
  readonly namespace: string;
  readonly labels: Labels;
  readonly members: readonly Member[];
}

const nobody: readonly Member[] = [];

/** @param labelsOf of a namespace as it is now; undefined while nobody knows it */
export function createPeerPods(labelsOf: (namespace: string) => Labels | undefined): PeerPods {
  const podsIn = new Map<string, Map<string, PeerPod>>();
  const addresses = createPodAddresses();

  function membersIn(namespace: string, selector: LabelSelector): Member[] {
    const found: Member[] = [];
    for (const { labels, members } of podsIn.get(namespace)?.values() ?? [])
      if (members.length > 0 && selects(selector, labels)) found.push(...members);
    return found;
  }

  return {
    changeAttachment: addresses.changeAttachment,
    changePod(key, before, after) {
      addresses.changePod(key, before, after);
      const was = before && podsIn.get(before.namespace)?.get(key);
      const is = after && peerPodOf(after, addresses.of(after), was);
      if (was === is) return [was, is];
      if (was !== undefined) forgetPod(podsIn, was.namespace, key);
      if (is !== undefined) keepPod(podsIn, key, is);
      return [was, is];
    },
    allMembers({ namespace, pods }) {
      if (typeof namespace === 'string') return membersIn(namespace, pods);
      return [...podsIn.keys()]
        .filter((name) => selectsNamespace(namespace, labelsOf(name)))
        .flatMap((name) => membersIn(name, pods));
    },
    membersIn,
    membersAs({ namespace, pods }, pod) {
      if (pod === undefined) return nobody;
      const isThere =
        typeof namespace === 'string'
          ? namespace === pod.namespace
          : selectsNamespace(namespace, labelsOf(pod.namespace));
      return isThere && selects(pods, pod.labels) ? pod.members : nobody;
    },
  };
}

/**
 * A namespace that we know only by its pods has labels that we do not know: only what asks for
 * none selects it. Both come by watches of their own, in any order.
 */
export function selectsNamespace(selector: LabelSelector, labels: Labels | undefined): boolean {
  return labels === undefined ? isUnlimited(selector) : selects(selector, labels);
}

function keepPod(podsIn: Map<string, Map<string, PeerPod>>, key: string, pod: PeerPod): void {
  const pods = podsIn.get(pod.namespace);
  if (pods === undefined) podsIn.set(pod.namespace, new Map([[key, pod]]));
  else pods.set(key, pod);
}

function forgetPod(
  podsIn: Map<string, Map<string, PeerPod>>,
  namespace: string,
  key: string,
): void {
  const pods = podsIn.get(namespace);
  pods?.delete(key);
  if (pods?.size === 0) podsIn.delete(namespace);
}

/** Equal labels of pods are mostly identical: src/kube/intern.ts. */
function peerPodOf(pod: Pod, ips: readonly Ip[], was: PeerPod | undefined): PeerPod {
  const { namespace, labels } = pod;
  const members = membersOf(pod, ips, was?.members ?? nobody);
  const isSame = members === was?.members && labels === was.labels && namespace === was.namespace;
  return isSame ? was : { namespace, labels, members };
}

/**
 * One member for each address. A member stands for an address and the ports with names; while both
 * stay it stays the same value, and holds the pod as it was when they came.
 */
function membersOf(pod: Pod, ips: readonly Ip[], before: readonly Member[]): readonly Member[] {
  const members = ips.map((ip) => {
    const known = before.find((member) => member.ip === ip);
    return known !== undefined && haveSamePorts(known.pod, pod) ? known : { ip, pod };
  });
  const isSame = members.length === before.length && members.every((one) => before.includes(one));
  return isSame ? before : members;
}

function haveSamePorts(one: Pod, other: Pod): boolean {
  return one.ports === other.ports || portNames(one) === portNames(other);
}

function portNames({ ports }: Pod): string {
  return JSON.stringify(
    ports.flatMap(({ name, protocol, containerPort }) =>
      name === '' ? [] : [name, protocol, containerPort],
    ),
  );
}
