import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createStore } from '../../src/model/store.ts';
import { cluster } from './arbitraries.ts';
import { commitsOf, history } from './histories.ts';
import { packetsOf, picks } from './picks.ts';
import { type Cluster, directionVerdict } from './reference.ts';

describe('random clusters', () => {
  it('a history ends in its cluster', () => {
    fc.assert(
      fc.property(history(), ({ last, events }) => {
        const store = createStore();
        for (const [kind, key, fact] of events) store.commit(kind, [[key, fact as never]]);
        const wanted = createStore();
        for (const [kind, key, fact] of commitsOf(last))
          wanted.commit(kind, [[key, fact as never]]);
        for (const kind of ['nodes', 'namespaces', 'pods', 'policies', 'clusterPolicies'] as const)
          assert.deepEqual(store.facts[kind], wanted.facts[kind]);
      }),
    );
  });

  it('packets meet policies: each verdict is frequent, and so is each kind that decides', () => {
    const seen = { allowed: 0, denied: 0, byPolicies: 0, byClusterPolicies: 0, asked: 0 };
    const sample = fc.sample(fc.tuple(cluster, picks(10)), { numRuns: 500, seed: 7 });
    for (const [one, all] of sample)
      for (const packet of all.map((pick) => packetsOf(one)(pick)))
        for (const pod of one.pods.filter(({ ips }) => ips.includes(packet.to))) {
          const ask = (given: Partial<Cluster>) =>
            directionVerdict({ ...one, ...given }, pod, 'Ingress', packet);
          const is = ask({});
          seen.asked++;
          seen[is === 'allow' ? 'allowed' : 'denied']++;
          if (is !== ask({ policies: [] })) seen.byPolicies++;
          if (is !== ask({ clusterPolicies: [] })) seen.byClusterPolicies++;
        }
    const share = (count: number) => count / seen.asked;
    assert.ok(share(seen.denied) > 0.15 && share(seen.allowed) > 0.15, JSON.stringify(seen));
    assert.ok(share(seen.byPolicies) > 0.05, JSON.stringify(seen));
    assert.ok(share(seen.byClusterPolicies) > 0.05, JSON.stringify(seen));
  });
});
