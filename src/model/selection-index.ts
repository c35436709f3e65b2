import { familyOf } from '../core/ip.ts';
import type { Attachment, Namespace, ObjectKey, Pod, PodSelector } from './facts.ts';
import { createPeerPods, type PeerPod, selectsNamespace } from './peer-pods.ts';
import { changePartition, emptyPartition, type Partition } from './selection-buckets.ts';
import { createSelectionLookup } from './selection-lookup.ts';
import {
  type Member,
  type Selection,
  type SelectionId,
  type Selections,
  selectionId,
} from './selections.ts';

/**
 * The index behind `Selections`: an index of pods, their interfaces on this node, namespaces and
 * policies, kept by the store.
 * What it says follows from the facts alone, not from the order in which they came. Each change
 * costs what it concerns, and tells the ids of the selections that changed, came or went.
 */
export interface SelectionIndex extends Selections {
  changePod(key: string, before: Pod | undefined, after: Pod | undefined): readonly SelectionId[];
  /** A pod's interface on this node. */
  changeAttachment(
    before: Attachment | undefined,
    after: Attachment | undefined,
  ): readonly SelectionId[];
  changeNamespace(
    key: string,
    before: Namespace | undefined,
    after: Namespace | undefined,
  ): readonly SelectionId[];
  /** What the peers of one policy select. */
  changeUser(
    user: string,
    before: readonly PodSelector[],
    after: readonly PodSelector[],
  ): readonly SelectionId[];
}

/** A selection that somebody asks for. */
interface Entry {
  readonly id: SelectionId;
  readonly selector: PodSelector;
  readonly users: Set<string>;
  ip4: Partition;
  ip6: Partition;
  /** Undefined until somebody looks at what changed. */
  selection: Selection | undefined;
}

const nobody: ReadonlySet<string> = new Set();

/** @param facts as they are after the change that the index is told */
export function createSelectionIndex(facts: {
  readonly pods: ReadonlyMap<ObjectKey, Pod>;
  readonly namespaces: ReadonlyMap<string, Namespace>;
}): SelectionIndex {
  const entries = new Map<SelectionId, Entry>();
  const lookup = createSelectionLookup<Entry>();
  const labelsOf = (namespace: string) => facts.namespaces.get(namespace)?.labels;
  const pods = createPeerPods(labelsOf);

  /** Selections that may select the pod. */
  function collect(pod: PeerPod | undefined, into: Set<Entry>): void {
    if (pod === undefined || pod.members.length === 0) return;
    const { namespace, labels } = pod;
    lookup.collect({ namespace, namespaceLabels: labelsOf(namespace) ?? {}, labels }, into);
  }

  function addUser(user: string, id: SelectionId, selector: PodSelector): boolean {
    const known = entries.get(id);
    const entry = known ?? createEntry(id, selector, pods.allMembers(selector));
    entry.users.add(user);
    if (known !== undefined) return false;
    entries.set(id, entry);
    lookup.add(entry);
    return true;
  }

  function removeUser(user: string, id: SelectionId): boolean {
    const entry = entries.get(id);
    entry?.users.delete(user);
    if (entry === undefined || entry.users.size > 0) return false;
    entries.delete(id);
    lookup.delete(entry);
    return true;
  }

  function changePod(
    key: ObjectKey,
    before: Pod | undefined,
    after: Pod | undefined,
  ): readonly SelectionId[] {
    const [was, is] = pods.changePod(key, before, after);
    if (was === is) return [];
    const asked = new Set<Entry>();
    collect(was, asked);
    collect(is, asked);
    return changeEntries(asked, ({ selector }) => [
      pods.membersAs(selector, was),
      pods.membersAs(selector, is),
    ]);
  }

  return {
    get(id) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      entry.selection ??= selectionOf(entry);
      return entry.selection;
    },
    usersOf: (id) => entries.get(id)?.users ?? nobody,
    changePod,
    changeAttachment(before, after) {
      return [...pods.changeAttachment(before, after)].flatMap((key) => {
        const pod = facts.pods.get(key);
        return changePod(key, pod, pod);
      });
    },
    changeNamespace(key, before, after) {
      return changeEntries(lookup.ofNamespaces, ({ selector: { namespace, pods: selector } }) => {
        if (typeof namespace === 'string') return unchanged;
        const was = selectsNamespace(namespace, before?.labels);
        const is = selectsNamespace(namespace, after?.labels);
        if (was === is) return unchanged;
        const members = pods.membersIn(key, selector);
        return [was ? members : none, is ? members : none];
      });
    },
    changeUser(user, before, after) {
      const wanted = new Map(after.map((selector) => [selectionId(selector), selector]));
      const unwanted = new Set(before.map(selectionId).filter((id) => !wanted.has(id)));
      return [
        ...[...wanted].flatMap(([id, selector]) => (addUser(user, id, selector) ? [id] : [])),
        ...[...unwanted].filter((id) => removeUser(user, id)),
      ];
    },
  };
}

/** Members before and after. */
type MemberChange = readonly [was: readonly Member[], is: readonly Member[]];

const none: readonly Member[] = [];
const unchanged: MemberChange = [none, none];

function changeEntries(
  entries: Iterable<Entry>,
  changeOf: (entry: Entry) => MemberChange,
): SelectionId[] {
  const changed: SelectionId[] = [];
  for (const entry of entries) {
    const [was, is] = changeOf(entry);
    if (was === is || was.length + is.length === 0) continue;
    changeMembers(entry, without(was, is), without(is, was));
    changed.push(entry.id);
  }
  return changed;
}

function without(members: readonly Member[], others: readonly Member[]): readonly Member[] {
  return others.length === 0 ? members : members.filter((member) => !others.includes(member));
}

function createEntry(id: SelectionId, selector: PodSelector, members: readonly Member[]): Entry {
  const entry: Entry = {
    id,
    selector,
    users: new Set(),
    ip4: emptyPartition(4),
    ip6: emptyPartition(6),
    selection: undefined,
  };
  changeMembers(entry, none, members);
  return entry;
}

function changeMembers(entry: Entry, removed: readonly Member[], added: readonly Member[]): void {
  const is4 = ({ ip }: Member) => familyOf(ip) === 4;
  const is6 = ({ ip }: Member) => familyOf(ip) === 6;
  entry.ip4 = changePartition(entry.ip4, removed.filter(is4), added.filter(is4));
  entry.ip6 = changePartition(entry.ip6, removed.filter(is6), added.filter(is6));
  entry.selection = undefined;
}

function selectionOf({ id, ip4, ip6 }: Entry): Selection {
  const buckets = [...ip4.buckets, ...ip6.buckets].filter((bucket) => bucket !== undefined);
  return { id, buckets };
}
