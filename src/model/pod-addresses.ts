import type { Ip } from '../core/ip.ts';
import type { Attachment, ObjectKey, Pod } from './facts.ts';
import { isPeer } from './selections.ts';

/**
 * Which addresses are whose. An interface of this node says it at once, before any status does,
 * and for its pod alone: an older pod whose status names the same address has it no more.
 */
export interface PodAddresses {
  /** Returns the keys of the pods that may have other addresses now. */
  changeAttachment(
    before: Attachment | undefined,
    after: Attachment | undefined,
  ): ReadonlySet<ObjectKey>;
  changePod(key: ObjectKey, before: Pod | undefined, after: Pod | undefined): void;
  /** Each once; none of a pod that is nobody's peer. */
  of(pod: Pod): readonly Ip[];
}

/** Whether an interface is a pod's: one of the same name may have been here before. */
export function isOfPod({ pod: key, podUid }: Attachment, pod: Pod): boolean {
  return key === pod.key && (podUid === '' || uidsOf(pod).includes(podUid));
}

/** A static pod has a UID of its own, which its object in the cluster names (kubelet, mirror pods). */
function uidsOf({ uid, annotations }: Pod): readonly (string | undefined)[] {
  return [uid, annotations['kubernetes.io/config.mirror']];
}

export function createPodAddresses(): PodAddresses {
  const byPod = createMultimap<ObjectKey, Attachment>();
  const byIp = createMultimap<Ip, Attachment>();
  /** Pods by what their statuses say, for the interfaces that say otherwise. */
  const claims = createMultimap<Ip, ObjectKey>();
  return {
    changeAttachment(before, after) {
      const touched = new Set<ObjectKey>();
      for (const one of [before, after]) {
        if (one === undefined) continue;
        const change = one === after ? 'add' : 'delete';
        byPod[change](one.pod, one);
        for (const ip of one.ips) {
          byIp[change](ip, one);
          for (const key of claims.get(ip)) touched.add(key);
        }
        touched.add(one.pod);
      }
      return touched;
    },
    changePod(key, before, after) {
      const [was, is] = [claimsOf(before), claimsOf(after)];
      if (was === is) return;
      for (const ip of was) if (!is.includes(ip)) claims.delete(ip, key);
      for (const ip of is) if (!was.includes(ip)) claims.add(ip, key);
    },
    of(pod) {
      if (!isPeer(pod)) return nothing;
      const own = byPod.get(pod.key).filter((one) => isOfPod(one, pod));
      const free = pod.ips.filter((ip) => byIp.get(ip).length === 0);
      return [...new Set([...own.flatMap(({ ips }) => ips), ...free])];
    },
  };
}

const nothing: readonly never[] = [];

function claimsOf(pod: Pod | undefined): readonly Ip[] {
  return pod !== undefined && isPeer(pod) ? pod.ips : nothing;
}

/** Most keys have one value, and there is a key for every pod of the cluster. */
function createMultimap<Key, Value>() {
  const all = new Map<Key, readonly Value[]>();
  return {
    get: (key: Key): readonly Value[] => all.get(key) ?? nothing,
    add(key: Key, value: Value): void {
      const values = all.get(key) ?? nothing;
      if (!values.includes(value)) all.set(key, [...values, value]);
    },
    delete(key: Key, value: Value): void {
      const values = (all.get(key) ?? nothing).filter((one) => one !== value);
      if (values.length === 0) all.delete(key);
      else all.set(key, values);
    },
  };
}
