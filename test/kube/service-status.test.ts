import assert from 'node:assert/strict';
import { findResource } from '../../src/apiserver/resources.ts';
import { createApiServer } from '../../src/apiserver/server.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import { createKubeClient } from '../../src/kube/request.ts';
import { writeServiceStatus } from '../../src/kube/service-status.ts';
import { accessOf } from './rig.ts';

const services = findResource('', 'v1', 'services');
assert.ok(services !== undefined);

describe('the status of a load balancer', () => {
  it('is written to the version about which was decided, and to no other', async () => {
    await using server = await createApiServer();
    await using client = createKubeClient(await accessOf(server.url), realClock);
    const { signal } = new AbortController();
    server.load(`
apiVersion: v1
kind: Service
metadata: { name: a, namespace: default }
spec: { type: LoadBalancer, selector: { app: a }, ports: [{ port: 80 }] }
`);
    const read = () => server.api.storage.list(services).find((one) => one.metadata.name === 'a');
    const resourceVersion = read()?.metadata.resourceVersion ?? '';
    const write = (text: string) =>
      writeServiceStatus(client, 'default/a', { ips: [ip(text)], resourceVersion }, signal);
    await write('203.0.113.1');
    // A second leader that decided about the same Service, and is late.
    await assert.rejects(write('203.0.113.2'), (error) => {
      assert.ok(error instanceof KubeError);
      assert.equal(error.status, 409);
      return true;
    });
    const status = read()?.status as { loadBalancer: { ingress: { ip: string }[] } };
    assert.deepEqual(
      status.loadBalancer.ingress.map((one) => one.ip),
      ['203.0.113.1'],
    );
  });
});
