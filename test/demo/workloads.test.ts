import assert from 'node:assert/strict';
import type { Pod, Workload } from '../../demo/objects.ts';
import { podEnvironment, podPorts } from '../../demo/pod-environment.ts';
import { planBindings, planPods } from '../../demo/workloads.ts';

const nodes = ['node1', 'node2'];

function workload(kind: Workload['kind'], name: string, replicas?: number): Workload {
  return {
    kind,
    metadata: { name, namespace: 'shop', uid: `uid-${name}` },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name }] } },
    },
  };
}

/** The pods that a workload has after its plan was carried out. */
function grow(of: Workload): Pod[] {
  return [...planPods([of], [], nodes).create];
}

describe('the pods of a workload in the demo', () => {
  const cases = [
    { name: 'a Deployment without replicas has one', of: workload('Deployment', 'web'), count: 1 },
    { name: 'a Deployment has its replicas', of: workload('Deployment', 'web', 3), count: 3 },
    { name: 'a StatefulSet has its replicas', of: workload('StatefulSet', 'db', 2), count: 2 },
    { name: 'a DaemonSet has one on each node', of: workload('DaemonSet', 'agent'), count: 2 },
    { name: 'none when none is wanted', of: workload('Deployment', 'web', 0), count: 0 },
  ];
  for (const { name, of, count } of cases) {
    it(name, () => {
      assert.equal(new Set(grow(of).map((pod) => pod.metadata.name)).size, count);
    });
  }

  it('a plan that was carried out leaves nothing to do', () => {
    const web = workload('Deployment', 'web', 3);
    assert.deepEqual(planPods([web], grow(web), nodes), { create: [], remove: [] });
  });

  it('fewer replicas remove pods, and a pod that is being deleted is not removed twice', () => {
    const pods = grow(workload('Deployment', 'web', 3));
    const fewer = planPods([workload('Deployment', 'web', 1)], pods, nodes);
    assert.equal(fewer.remove.length, 2);
    const deleted = pods.map((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    }));
    assert.deepEqual(planPods([workload('Deployment', 'web', 1)], deleted, nodes).remove, []);
  });

  it('the pods of a deleted workload are removed, a bare pod is left alone', () => {
    const bare: Pod = { metadata: { name: 'bare', namespace: 'shop' }, spec: { containers: [] } };
    const pods = [...grow(workload('Deployment', 'web', 2)), bare];
    assert.equal(planPods([], pods, nodes).remove.length, 2);
  });

  it('StatefulSet pods are named by their ordinal', () => {
    const names = grow(workload('StatefulSet', 'db', 2)).map((pod) => pod.metadata.name);
    assert.deepEqual(names, ['db-0', 'db-1']);
  });
});

describe('the scheduler of the demo', () => {
  it('spreads the pods of one owner over the nodes', () => {
    const pods = grow(workload('Deployment', 'web', 4));
    const on = planBindings(pods, nodes).map(({ node }) => node);
    assert.deepEqual(on.toSorted(), ['node1', 'node1', 'node2', 'node2']);
  });

  it('obeys the host name in the selector, and leaves a pod that fits nowhere', () => {
    const pod = (host: string): Pod => ({
      metadata: { name: host },
      spec: { containers: [], nodeSelector: { 'kubernetes.io/hostname': host } },
    });
    assert.deepEqual(
      planBindings([pod('node2'), pod('elsewhere')], nodes).map(({ node }) => node),
      ['node2'],
    );
  });
});

describe('the environment of a pod in the demo', () => {
  it('has the Services of its namespace, and $(NAME) is replaced', () => {
    const pod: Pod = {
      metadata: { name: 'web-1', namespace: 'shop' },
      spec: {
        nodeName: 'node1',
        containers: [
          {
            name: 'web',
            env: [{ name: 'UPSTREAM', value: '$(BACK_END_SERVICE_HOST):80 $(NONE)' }],
          },
        ],
      },
    };
    const service = (name: string, namespace: string, clusterIP: string) => ({
      metadata: { name, namespace },
      spec: { clusterIP, ports: [{ port: 80 }] },
    });
    const env = podEnvironment(pod, [
      service('back-end', 'shop', '10.96.0.7'),
      service('other', 'default', '10.96.0.8'),
      service('headless', 'shop', 'None'),
    ]);
    assert.deepEqual(env, {
      HOSTNAME: 'web-1',
      NODE_NAME: 'node1',
      BACK_END_SERVICE_HOST: '10.96.0.7',
      BACK_END_SERVICE_PORT: '80',
      UPSTREAM: '10.96.0.7:80 $(NONE)',
    });
  });

  it('TCP is the default protocol, and SCTP is not served', () => {
    const ports = [
      { containerPort: 80 },
      { containerPort: 53, protocol: 'UDP' },
      { containerPort: 9, protocol: 'SCTP' },
    ];
    const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', ports }] } };
    assert.deepEqual(podPorts(pod), [
      { protocol: 'TCP', port: 80 },
      { protocol: 'UDP', port: 53 },
    ]);
  });
});
