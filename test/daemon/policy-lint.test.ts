import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import { lintManifests, lintPoliciesInForce } from '../../src/daemon/policy-lint.ts';
import type { NetworkPolicy } from '../../src/model/facts.ts';
import { createStore } from '../../src/model/store.ts';
import { config, pod } from '../facts.ts';

const selector = (matchLabels = {}) => ({ matchLabels, matchExpressions: [] });

const inForce: NetworkPolicy = {
  key: 'shop/old',
  uid: 'uid-old',
  namespace: 'shop',
  podSelector: selector(),
  policyTypes: ['Ingress'],
  ingress: [{ peers: [{ namespaceSelector: selector({ name: 'monitor' }) }], ports: [] }],
  egress: [],
  mode: 'enforce',
};

function facts() {
  const store = createStore();
  const web = pod('shop/web-1', { labels: { app: 'web' }, ips: [ip('10.244.0.9')] });
  store.commit('config', [['config', config]]);
  store.commit('pods', [[web.key, web]]);
  for (const name of ['shop', 'monitor'])
    store.commit('namespaces', [
      [name, { key: name, labels: { 'kubernetes.io/metadata.name': name } }],
    ]);
  store.commit('policies', [[inForce.key, inForce]]);
  return store.facts;
}

/** What is found in manifests, without the texts. */
function told(text: string, namespace = 'shop') {
  const { usable, policies, findings } = lintManifests(text, namespace, facts());
  return {
    usable,
    policies,
    findings: findings.map((one) => `${one.severity} ${one.finding} ${one.object} ${one.field}`),
  };
}

const head = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n';
const forWeb = 'spec: { podSelector: { matchLabels: { app: web } } }\n';

describe('lint of policies', () => {
  it('NP-06 finds the mistakes of the policies in force', () => {
    const { policies, findings } = lintPoliciesInForce(facts());
    assert.equal(policies, 1);
    assert.deepEqual(
      findings.map((one) => `${one.finding} ${one.object} ${one.meant}`),
      [
        'namespace-label NetworkPolicy/shop/old kubernetes.io/metadata.name: monitor, the label that namespace monitor has',
      ],
    );
  });

  it('NP-01 judges manifests by the pods of now, and tells nothing of other policies', () => {
    assert.deepEqual(told(`${head}metadata: { name: new }\n${forWeb}`), {
      usable: true,
      policies: 1,
      findings: [],
    });
    const typo = 'spec: { podSelector: { matchLabels: { app: wbe } } }\n';
    assert.deepEqual(told(`${head}metadata: { name: new }\n${typo}`).findings, [
      'warning selects-nothing NetworkPolicy/shop/new spec.podSelector',
    ]);
  });

  it('NP-01 an object without a namespace is in the given one, others are where they say', () => {
    const elsewhere = `${head}metadata: { name: new, namespace: monitor }\n${forWeb}`;
    assert.deepEqual(told(elsewhere).findings, [
      'warning selects-nothing NetworkPolicy/monitor/new spec.podSelector',
    ]);
    assert.deepEqual(told(`${head}metadata: { name: new }\n${forWeb}`, 'monitor').findings, [
      'warning selects-nothing NetworkPolicy/monitor/new spec.podSelector',
    ]);
  });

  it('NP-01 reads several documents, lists, and what else is in a file', () => {
    const text = `${head}metadata: { name: a }\n${forWeb}---\n---\napiVersion: v1
kind: List
items:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: { name: b, namespace: shop }
    spec: { podSelector: {}, policyTypes: [Ingress], egress: [{}] }
  - { apiVersion: apps/v1, kind: Deployment, metadata: { name: web } }
---
just text
`;
    assert.deepEqual(told(text), {
      usable: true,
      policies: 2,
      findings: ['error policy-types NetworkPolicy/shop/b spec.policyTypes'],
    });
  });

  it('NP-06 counts the namespaces and pods of the file as there', () => {
    const text = `apiVersion: v1
kind: Namespace
metadata: { name: fresh, labels: { team: z } }
---
apiVersion: v1
kind: Pod
metadata: { name: x, namespace: fresh, labels: { app: x } }
spec: {}
---
${head}metadata: { name: new }
spec:
  podSelector: {}
  ingress:
    - from: [{ namespaceSelector: { matchLabels: { team: z } }, podSelector: { matchLabels: { app: x } } }]
`;
    assert.deepEqual(told(text).findings, []);
    assert.deepEqual(told(text.slice(text.indexOf(head))).findings, [
      'warning selects-nothing NetworkPolicy/shop/new spec.ingress[0].from[0].namespaceSelector',
    ]);
  });

  it('CNP-02 reads ClusterNetworkPolicies, which have no namespace', () => {
    const text = `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: c }
spec:
  tier: Admin
  priority: 5
  subject: { pods: { namespaceSelector: { matchLabels: { name: shop } }, podSelector: { matchLabels: { app: web } } } }
  ingress: [{ action: Deny, from: [{ namespaces: {} }] }, { action: Accept, from: [{ namespaces: {} }] }]
`;
    assert.deepEqual(told(text), {
      usable: true,
      policies: 1,
      findings: [
        'error namespace-label ClusterNetworkPolicy/c spec.subject.pods.namespaceSelector',
        'warning hidden ClusterNetworkPolicy/c spec.ingress[1]',
      ],
    });
  });

  it('NP-25 a policy of the file stands for the one in force', () => {
    const text = `${head}metadata: { name: old }\n${forWeb}`;
    assert.deepEqual(told(text).findings, []);
    const same = `${head}metadata: { name: same }
spec: { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { name: monitor } } }] }] }
`;
    assert.deepEqual(told(same).findings, [
      'error namespace-label NetworkPolicy/shop/same spec.ingress[0].from[0].namespaceSelector',
      'info adds-nothing NetworkPolicy/shop/same spec.ingress[0]',
    ]);
  });

  it('NP-07 parts that cannot be read are errors', () => {
    const text = `${head}metadata: { name: new }
spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.300/8 } }] }] }
`;
    assert.deepEqual(told(text).findings, [
      'error unreadable NetworkPolicy/shop/new spec.ingress[0].from[0].ipBlock',
    ]);
  });

  it('text that is no YAML is unusable, and changes nothing', () => {
    for (const text of ['a: [', 'a: *nobody\n', `x: &x [1]\ny: [${'*x, '.repeat(20_000)}]\n`]) {
      const { usable, policies, findings } = told(text);
      assert.deepEqual([usable, policies], [false, 0]);
      assert.deepEqual(findings, ['error unreadable manifests ']);
    }
    assert.deepEqual(told(''), { usable: true, policies: 0, findings: [] });
  });
});
