import type { Family } from '../address.ts';
import { simpleTarget } from '../fib/buckets.ts';
import type { FibPath, Target } from '../fib/paths.ts';
import { byFamily, note, type Packet } from '../plane/packet.ts';
import { type AccessLists, AclAction } from './acl.ts';

/** Where packets go that an ACL permits. */
export interface AbfPolicy {
  readonly id: number;
  readonly aclIndex: number;
  readonly paths: readonly FibPath[];
}

export interface AbfAttachment {
  readonly policyId: number;
  readonly interface: number;
  readonly priority: number;
  readonly family: Family;
}

/**
 * ACL-based forwarding: after the filters of an interface's input, the first attached policy whose
 * ACL permits a packet decides where it goes; the others go on to the route.
 * Source: VPP v26.06 `plugins/abf/abf_itf_attach.c`.
 */
export interface Abf {
  readonly policies: ReadonlyMap<number, AbfPolicy>;
  /** Adds or changes one; without paths it goes as soon as nothing is attached to it. */
  put(policy: AbfPolicy): void;
  /** Sorted by priority; a lower number is asked first. */
  readonly attachments: readonly AbfAttachment[];
  /** False when the policy is attached to the interface, in whatever family: VPP's key lacks it. */
  attach(attachment: AbfAttachment): boolean;
  detach(attachment: Omit<AbfAttachment, 'priority'>): boolean;
  removeInterface(index: number): void;
  /** The first path of the policy that takes the packet. */
  target(packet: Packet): Target | undefined;
}

export function createAbf(acl: AccessLists): Abf {
  const policies = new Map<number, AbfPolicy>();
  let attachments: readonly AbfAttachment[] = [];
  const same = (a: Omit<AbfAttachment, 'priority'>, b: AbfAttachment) =>
    a.policyId === b.policyId && a.interface === b.interface;
  const forget = (id: number) => {
    const unused = !attachments.some(({ policyId }) => policyId === id);
    if (policies.get(id)?.paths.length === 0 && unused) policies.delete(id);
  };
  return {
    policies,
    put(policy) {
      policies.set(policy.id, policy);
      forget(policy.id);
    },
    get attachments() {
      return attachments;
    },
    attach(attachment) {
      if (attachments.some((one) => same(attachment, one))) return false;
      attachments = [...attachments, attachment].toSorted((a, b) => a.priority - b.priority);
      return true;
    },
    detach(attachment) {
      const before = attachments.length;
      attachments = attachments.filter((one) => !same(attachment, one));
      forget(attachment.policyId);
      return attachments.length < before;
    },
    removeInterface(index) {
      attachments = attachments.filter((one) => one.interface !== index);
    },
    target(packet) {
      if (attachments.length === 0) return undefined;
      for (const { policyId, interface: on, family } of attachments) {
        if (on !== packet.rx.index || family !== packet.family) continue;
        const policy = policies.get(policyId);
        const action = policy === undefined ? undefined : acl.action(policy.aclIndex, packet);
        if (policy === undefined || (action ?? AclAction.deny) === AclAction.deny) continue;
        note(packet, byFamily('abf-input', packet), `policy ${policyId} takes it`);
        return targetOf(policy.paths[0]);
      }
      return undefined;
    },
  };
}

function targetOf(path: FibPath | undefined): Target {
  const simple = path === undefined ? undefined : simpleTarget(path);
  if (simple !== undefined) return simple;
  if (path?.interface === undefined) return { kind: 'drop', why: 'the policy has no path' };
  const { interface: out, nextHop } = path;
  return nextHop === undefined
    ? { kind: 'attached', interface: out }
    : { kind: 'adjacency', interface: out, nextHop };
}
