import { ip } from '../src/core/ip.ts';
import type { NetworkPolicy, Pod, PolicyPeer } from '../src/model/facts.ts';
import { selectionId, selectorsOfPolicy } from '../src/model/selections.ts';
import { createStore, type Store } from '../src/model/store.ts';
import { namespace, networkPolicy, pod, selector } from '../test/facts.ts';
import { duration, type Figure, figure, median, percentile } from './figures.ts';

const namespaceCount = 20;
const podsEach = 500;
const policyCount = 2_000;
const rounds = 5;
const changes = 5_000;

/**
 * Who the peers of policies are: 2,000 selections of 10,000 pods, a half of them by labels of
 * namespaces. The limits are the targets themselves: the index talks to nobody.
 */
export function benchSelections(): Promise<Figure[]> {
  const { pods, namespaces, policies } = cluster();
  const podsFirst: number[] = [];
  const policiesFirst: number[] = [];
  let store = createStore();
  for (let round = 0; round < rounds; round++) {
    store = createStore();
    podsFirst.push(
      timed(() => {
        store.replace('namespaces', namespaces);
        store.replace('pods', pods);
        store.replace('policies', policies);
        lookAtAll(store, policies);
      }),
    );
    const other = createStore();
    policiesFirst.push(
      timed(() => {
        other.replace('policies', policies);
        other.replace('pods', pods);
        other.replace('namespaces', namespaces);
        lookAtAll(other, policies);
      }),
    );
  }
  const relabelled = Array.from({ length: changes }, (_, i) => {
    const key = keyOf(i % namespaceCount, (i * 7) % podsEach);
    const app = `app-${(i * 13) % 50}`;
    const changed = podOf(i % namespaceCount, (i * 7) % podsEach, app);
    return timed(() => store.commit('pods', [[key, changed]]));
  });
  const spaces = Array.from({ length: 60 }, (_, i) => {
    const name = `ns-${i % namespaceCount}`;
    const labels = { name, team: `team-${i % 3}` };
    return timed(() => store.commit('namespaces', [[name, namespace(name, labels)]]));
  });
  const words = `${namespaceCount * podsEach} pods, ${policyCount} selections`;
  return Promise.resolve([
    against(`${words}: pods, then policies (median)`, median(podsFirst), 1_000),
    against(`${words}: policies, then pods (median)`, median(policiesFirst), 1_000),
    against('labels of a pod changed (p99)', percentile(relabelled, 0.99), 1),
    against(
      `labels of a namespace of ${podsEach} pods changed (p99)`,
      percentile(spaces, 0.99),
      50,
    ),
  ]);
}

function against(name: string, ms: number, limitMs: number): Figure {
  const words = { measured: duration(ms), limit: `${limitMs} ms` };
  return figure(name, words, ms / limitMs, { atMost: 1 });
}

function timed(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

function lookAtAll(store: Store, policies: ReadonlyMap<string, NetworkPolicy>): void {
  for (const policy of policies.values())
    for (const one of selectorsOfPolicy(policy)) store.facts.selections.get(selectionId(one));
}

function keyOf(space: number, number: number): string {
  return `ns-${space}/p${number}`;
}

function podOf(space: number, number: number, app = `app-${number % 50}`): Pod {
  const at = space * podsEach + number;
  return pod(keyOf(space, number), {
    labels: { app, tier: `tier-${number % 4}`, 'pod-template-hash': `${number % 97}` },
    ips: [
      ip(`10.${64 + (at >> 14)}.${(at >> 7) & 127}.${(at & 127) + 1}`),
      ip(`fd00::${at.toString(16)}`),
    ],
  });
}

function cluster() {
  const namespaces = Array.from({ length: namespaceCount }, (_, space) => {
    const name = `ns-${space}`;
    return [name, namespace(name, { name, team: `team-${space % 4}` })] as const;
  });
  const pods = namespaces.flatMap((_, space) =>
    Array.from({ length: podsEach }, (__, i) => [keyOf(space, i), podOf(space, i)] as const),
  );
  const policies = Array.from({ length: policyCount }, (_, i) => {
    const key = `ns-${i % namespaceCount}/policy-${i}`;
    const rule = { peers: [peerOf(i)], ports: [] };
    return [key, networkPolicy(key, { ingress: [rule] })] as const;
  });
  return {
    namespaces: new Map(namespaces),
    pods: new Map(pods),
    policies: new Map(policies),
  };
}

/** All different. */
function peerOf(i: number): PolicyPeer {
  const podSelector = selector({ app: `app-${i % 50}`, tier: `tier-${(i >> 1) % 4}` });
  const others = {
    ...podSelector,
    matchExpressions: [{ key: `k${i}`, operator: 'DoesNotExist' as const, values: [] }],
  };
  if (i % 2 === 0) return { podSelector: others };
  const team = selector({ team: `team-${i % 4}` });
  return i % 10 === 1
    ? { podSelector: others, namespaceSelector: selector() }
    : { podSelector: others, namespaceSelector: team };
}
