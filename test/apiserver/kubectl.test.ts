import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ApiServer, createApiServer } from '../../src/apiserver/server.ts';

const run = promisify(execFile);
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;

const manifests = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, image: x, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {replicas: 2, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {containers: [{name: c, image: x}]}}}
`;

/** One story: each step sees what the steps before did. */
const story = [
  {
    args: ['create', '--validate=false', '-f', 'MANIFESTS'],
    out: /service\/web created[\s\S]*pod\/web-1 created[\s\S]*deployment.apps\/d created/,
  },
  { args: ['get', 'services'], out: /web\s+NodePort\s+10\.96\.\d+\.\d+\s+<none>\s+80:30000\/TCP/ },
  { args: ['get', 'pods', '-o', 'wide'], out: /web-1\s+0\/1\s+Running\s+10\.0\.0\.1\s+n1/ },
  { args: ['get', 'endpointslices'], out: /web-\w+\s+IPv4\s+8080\s+10\.0\.0\.1/ },
  { args: ['get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[0].targetPort}'], out: /^http$/ },
  { args: ['label', 'pod', 'web-1', 'a=b'], out: /pod\/web-1 labeled/ },
  { args: ['get', 'pods', '-l', 'a in (b,c),app'], out: /web-1/ },
  { args: ['get', 'pods', '-A', '--field-selector', 'spec.nodeName=n2'], out: /^$/ },
  { args: ['annotate', 'svc', 'web', 'x=y'], out: /service\/web annotated/ },
  { args: ['scale', 'deployment', 'd', '--replicas=5'], out: /deployment.apps\/d scaled/ },
  { args: ['get', 'deployment', 'd', '-o', 'jsonpath={.spec.replicas}'], out: /^5$/ },
  {
    args: ['patch', 'svc', 'web', '-p', '{"spec":{"ports":[{"port":80,"name":"http"}]}}'],
    out: /service\/web patched/,
  },
  { args: ['get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[*].nodePort}'], out: /^30000$/ },
  {
    args: ['replace', '--validate=false', '-f', 'MANIFESTS'],
    out: /service\/web replaced[\s\S]*pod\/web-1 replaced[\s\S]*deployment.apps\/d replaced/,
  },
  { args: ['get', 'deployment', 'd', '-o', 'jsonpath={.spec.replicas}'], out: /^2$/ },
  { args: ['apply', '--validate=false', '-f', 'MANIFESTS'], out: /service\/web configured/ },
  { args: ['apply', '--validate=false', '-f', 'MANIFESTS'], out: /service\/web unchanged/ },
  { args: ['delete', 'pod', 'web-1', '--grace-period=0', '--force'], out: /"web-1" force deleted/ },
  { args: ['delete', 'service', 'web'], out: /service "web" deleted/ },
  { args: ['get', 'svc,pods,endpointslices'], out: /^$/ },
];

// Without kubectl there is nothing to try: its requests are covered one by one in server.test.ts.
if (hasKubectl) {
  describe('kubectl on the small API server', function () {
    this.timeout(30_000);
    let server: ApiServer;
    let folder: string;
    before(async () => {
      server = await createApiServer();
      folder = await mkdtemp(join(tmpdir(), 'kvr-kubectl-'));
      await writeFile(join(folder, 'manifests.yaml'), manifests);
    });
    after(async () => {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    for (const { args, out } of story) {
      it(`kubectl ${args.join(' ')}`, async () => {
        const given = args.map((arg) => arg.replace('MANIFESTS', join(folder, 'manifests.yaml')));
        const env = { ...process.env, HOME: folder, KUBECONFIG: '/dev/null' };
        const { stdout } = await run('kubectl', ['-s', server.url, ...given], { env });
        assert.match(stdout.trim(), out);
      });
    }
  });
}
