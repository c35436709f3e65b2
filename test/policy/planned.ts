import { planFacts } from '../../src/daemon/planning.ts';
import type { Desired } from '../../src/desired/desired.ts';
import { podInterfaceName } from '../../src/desired/names.ts';
import type { Attachment, Pod } from '../../src/model/facts.ts';
import { createStore, type Store } from '../../src/model/store.ts';
import { attachment, config, uplink } from '../facts.ts';
import { podAddresses } from './arbitraries.ts';
import { type Commit, commitsOf } from './histories.ts';
import { type Frame, type Outcome, runFilters } from './interpreter.ts';
import type { Cluster } from './reference.ts';

/** The interface of a pod of this node; one whose address nobody has reported yet has it, too. */
export function attachmentOf(pod: Pod): Attachment {
  const number = pod.key.at(-1) ?? '';
  const ips = pod.ips.length > 0 ? pod.ips : (podAddresses[Number(number)] ?? []);
  return { ...attachment(`v${number}`, '10.244.1.3'), pod: pod.key, podUid: pod.uid, ips };
}

/** Those with an interface here: one that left may still be there, with another's address. */
export function localPods({ pods, nodeName }: Cluster): Pod[] {
  return pods.filter(
    ({ key, node, ips, hostNetwork, phase }) =>
      node === nodeName &&
      !hostNetwork &&
      phase !== 'Succeeded' &&
      phase !== 'Failed' &&
      ips.every((one) => podAddresses[Number(key.at(-1))]?.includes(one)),
  );
}

/** What belongs to a cluster besides its objects. */
export function nodeCommits(one: Cluster): Commit[] {
  return [
    ['uplink', 'uplink', uplink],
    ...localPods(one).map((pod): Commit => {
      const fact = attachmentOf(pod);
      return ['attachments', fact.key, fact];
    }),
  ];
}

/** The daemon knows its configuration before anything else. */
export function createConfigured(): Store {
  const store = createStore();
  commit(store, ['config', 'config', config]);
  return store;
}

/** Kinds of objects in the order in which their sources happen to deliver first lists. */
export const kinds = ['policies', 'pods', 'clusterPolicies', 'namespaces', 'nodes'] as const;

export function completeStore(commits: readonly Commit[]): Store {
  const store = createConfigured();
  for (const one of commits) commit(store, one);
  for (const kind of kinds) store.markSynced(kind);
  return store;
}

export function commit(store: Store, [kind, key, fact]: Commit): void {
  store.commit(kind, [[key, fact as never]]);
}

/** What the planner makes of a cluster: with attachments, a configuration and complete lists. */
export function planCluster(one: Cluster): Desired {
  return planFacts(completeStore([...nodeCommits(one), ...commitsOf(one)]).facts);
}

/** What the rows make of a frame that a pod sends (`Egress`) or that is sent to it. */
export function outcomeOf(
  desired: Desired,
  pod: Pod,
  direction: 'Ingress' | 'Egress',
  frame: Frame,
): Outcome {
  const name = podInterfaceName(attachmentOf(pod).hostInterface);
  return runFilters(desired, name, direction === 'Ingress' ? 'output' : 'input', frame);
}
