import assert from 'node:assert/strict';
import { kubeRequests } from '../../src/kube/requests.ts';
import { baseManifests, type PolicyRule } from './manifests.ts';

/** `list services.` for each right that a rule gives. */
function rightsOf(rule: PolicyRule): string[] {
  return rule.verbs.flatMap((verb) =>
    rule.apiGroups.flatMap((group) =>
      rule.resources.map((resource) => `${verb} ${resource}.${group}`),
    ),
  );
}

describe('the ClusterRole', () => {
  it('allows what the daemon asks for, and nothing else', () => {
    const given = baseManifests().flatMap((one) => (one.rules ?? []).flatMap(rightsOf));
    const asked = kubeRequests.map(({ verb, group, resource }) => `${verb} ${resource}.${group}`);
    assert.deepEqual(given.toSorted(), [...new Set(asked)].toSorted());
  });

  it('uses no wildcard', () => {
    for (const rule of baseManifests().flatMap((one) => one.rules ?? [])) {
      assert.ok(rightsOf(rule).every((right) => !right.includes('*')));
    }
  });
});
