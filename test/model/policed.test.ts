import assert from 'node:assert/strict';
import {
  clusterPolicyApplies,
  isPoliced,
  knownPod,
  policyTouched,
} from '../../src/model/policed.ts';
import { createStore, factKinds } from '../../src/model/store.ts';
import { attachment, clusterPolicy, namespace, networkPolicy, pod, selector } from '../facts.ts';

const link = { ...attachment('veth-a', '10.244.1.11'), pod: 'd/web', podUid: 'uid-1' };

function storeWith(given: Parameters<typeof pod>[1]) {
  const store = createStore();
  for (const kind of factKinds) store.markSynced(kind);
  store.commit('namespaces', [['d', namespace('d')]]);
  store.commit('pods', [['d/web', pod('d/web', given)]]);
  return store;
}

describe('knownPod', () => {
  it('NP-19 is undefined until everything that says who may talk to whom is complete', () => {
    for (const missing of ['pods', 'policies', 'clusterPolicies', 'namespaces', 'nodes'] as const) {
      const store = createStore();
      for (const kind of factKinds) if (kind !== missing) store.markSynced(kind);
      store.commit('namespaces', [['d', namespace('d')]]);
      store.commit('pods', [['d/web', pod('d/web', { uid: 'uid-1' })]]);
      assert.equal(knownPod(store.facts, link), undefined, missing);
      store.markSynced(missing);
      assert.equal(knownPod(store.facts, link)?.key, 'd/web', missing);
    }
  });

  it('NP-19 is undefined until the labels of its namespace are known, and again without them', () => {
    const store = storeWith({ uid: 'uid-1' });
    store.commit('attachments', [[link.key, link]]);
    for (const known of [undefined, namespace('d'), undefined]) {
      store.takeSnapshot();
      store.commit('namespaces', [['d', known]]);
      assert.equal(knownPod(store.facts, link)?.key, known && 'd/web');
      const { changed, facts } = store.takeSnapshot();
      assert.ok([...policyTouched(facts, changed)].includes(link.key));
    }
  });

  it('NP-19 is not another pod of the same name', () => {
    assert.equal(knownPod(storeWith({ uid: 'uid-0' }).facts, link), undefined);
    assert.equal(knownPod(storeWith({ uid: 'uid-1' }).facts, link)?.uid, 'uid-1');
  });

  it('finds the object of a static pod, which has another UID than the pod', () => {
    const annotations = { 'kubernetes.io/config.mirror': 'uid-1' };
    assert.equal(knownPod(storeWith({ uid: 'uid-9', annotations }).facts, link)?.uid, 'uid-9');
  });
});

describe('isPoliced', () => {
  it('NP-03 says whether any policy selects the pod, and yes while nobody knows', () => {
    const store = storeWith({ uid: 'uid-1' });
    assert.equal(isPoliced(store.facts, link), false);
    store.commit('policies', [['e/all', networkPolicy('e/all')]]);
    assert.equal(isPoliced(store.facts, link), false);
    store.commit('policies', [['d/all', networkPolicy('d/all')]]);
    assert.equal(isPoliced(store.facts, link), true);
    store.commit('policies', [['d/all', undefined]]);
    store.commit('pods', [['d/web', undefined]]);
    assert.equal(isPoliced(store.facts, link), true);
  });
});

describe('clusterPolicyApplies', () => {
  it('CNP-02 asks labels only of namespaces that are known', () => {
    const absent = selector({}, [{ key: 'team', operator: 'DoesNotExist', values: [] }]);
    const of = (inside: typeof absent) =>
      clusterPolicy('c', { subject: { namespace: inside, pods: selector() } });
    const web = pod('d/web');
    const store = createStore();
    assert.equal(clusterPolicyApplies(store.facts, of(absent), web), false);
    assert.equal(clusterPolicyApplies(store.facts, of(selector()), web), true);
    store.commit('namespaces', [['d', namespace('d')]]);
    assert.equal(clusterPolicyApplies(store.facts, of(absent), web), true);
  });
});
