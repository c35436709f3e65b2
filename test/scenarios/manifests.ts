import assert from 'node:assert/strict';
import { parseAllDocuments } from 'yaml';
import { createInterner } from '../../src/kube/intern.ts';
import { isObject, type JsonObject, objectOf } from '../../src/kube/json.ts';
import { type KubeKind, type WatchedKind, watchedKinds } from '../../src/kube/kinds.ts';
import { keyOfObject, projectObject } from '../../src/kube/projection.ts';
import type { Store } from '../../src/model/store.ts';
import { defaultNamespace } from './pods.ts';

/**
 * Manifests of NetworkPolicy and ClusterNetworkPolicy, several in one text, into the store as the
 * watch would bring them. Without a namespace a NetworkPolicy is in that of the pods without one.
 * Either every part of all of them can be read or, where not `readable`, none as a whole.
 */
export function applyManifests(store: Store, text: string, readable: boolean): void {
  for (const document of parseAllDocuments(text)) {
    assert.deepEqual(document.errors, [], text);
    const object: unknown = document.toJS();
    if (isObject(object)) applyManifest(store, object, readable);
  }
}

function applyManifest(store: Store, given: JsonObject, readable: boolean): void {
  const { policies, clusterPolicies } = watchedKinds;
  if (given.kind === policies.objectKind) {
    const metadata = { namespace: defaultNamespace, ...objectOf(given.metadata) };
    commitProjected(store, policies, { ...given, metadata }, readable);
  } else if (given.kind === clusterPolicies.objectKind)
    commitProjected(store, clusterPolicies, given, readable);
  else assert.fail(`no policy: ${JSON.stringify(given)}`);
}

function commitProjected<K extends KubeKind>(
  store: Store,
  { kind, objectKind, apiVersion, project }: WatchedKind<K>,
  object: JsonObject,
  readable: boolean,
): void {
  assert.equal(object.apiVersion, apiVersion);
  const key = keyOfObject(object);
  const { fact, problems } = projectObject(objectKind, key, object, createInterner(), project);
  assert.equal(problems.length === 0, readable, `${key}: ${JSON.stringify(problems)}`);
  if (fact !== 'keep') store.commit(kind, [[key, fact]]);
}
