import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { stringify } from 'yaml';
import { createFakeClock, realClock } from '../../src/core/clock.ts';
import { loadKubeAccess, parseServer } from '../../src/kube/access.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import { createKubeClient } from '../../src/kube/request.ts';

const { signal } = new AbortController();

describe('parseServer', () => {
  const cases = [
    {
      in: 'https://192.0.2.1:6443',
      out: { kind: 'tcp', secure: true, host: '192.0.2.1', port: 6443, basePath: '' },
    },
    {
      in: 'http://[2001:db8::1]/',
      out: { kind: 'tcp', secure: false, host: '2001:db8::1', port: 80, basePath: '' },
    },
    {
      in: 'https://example.net/k8s/clusters/c-1/',
      out: {
        kind: 'tcp',
        secure: true,
        host: 'example.net',
        port: 443,
        basePath: '/k8s/clusters/c-1',
      },
    },
    { in: 'unix:/run/api.sock', out: { kind: 'unix', path: '/run/api.sock' } },
    { in: 'unix:///run/api.sock', out: { kind: 'unix', path: '/run/api.sock' } },
  ];
  for (const c of cases) it(`reads ${c.in}`, () => assert.deepEqual(parseServer(c.in), c.out));

  for (const text of ['', 'unix:relative', 'ftp://x', '192.0.2.1']) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseServer(text), KubeError));
  }
});

describe('loadKubeAccess', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvr-access-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function writeKubeconfig(user: object, cluster: object = {}): Promise<string> {
    const path = join(folder, 'kubeconfig');
    const text = stringify({
      'current-context': 'two',
      contexts: [
        { name: 'one', context: { cluster: 'x', user: 'x' } },
        { name: 'two', context: { cluster: 'c', user: 'u' } },
      ],
      clusters: [
        { name: 'x', cluster: { server: 'https://192.0.2.99' } },
        { name: 'c', cluster: { server: 'https://192.0.2.1:6443', ...cluster } },
      ],
      users: [
        { name: 'x', user: { token: 'wrong' } },
        { name: 'u', user },
      ],
    });
    await writeFile(path, text);
    return path;
  }

  const users = [
    { name: 'a token', user: { token: 't' }, authorization: 'Bearer t' },
    { name: 'a password', user: { username: 'a', password: 'b' }, authorization: 'Basic YTpi' },
    { name: 'nothing', user: {}, authorization: '' },
    {
      name: 'a plugin',
      user: {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: process.execPath,
          args: ['-e', 'console.log(JSON.stringify({status:{token:process.env.T}}))'],
          env: [{ name: 'T', value: 'from-plugin' }],
        },
      },
      authorization: 'Bearer from-plugin',
    },
  ];
  for (const { name, user, authorization } of users) {
    it(`takes ${name} from the current context of a kubeconfig`, async () => {
      const access = await loadKubeAccess({ kubeconfig: await writeKubeconfig(user), server: '' });
      assert.equal(access.server.kind === 'tcp' && access.server.host, '192.0.2.1');
      assert.equal((await access.credentials(signal)).authorization, authorization);
    });
  }

  it('reads a token file again after a minute, or at once after a refusal', async () => {
    const clock = createFakeClock();
    await writeFile(join(folder, 'token'), 'first\n');
    const kubeconfig = await writeKubeconfig({ tokenFile: 'token' });
    const access = await loadKubeAccess({ kubeconfig, server: '', clock });
    const read = async () => (await access.credentials(signal)).authorization;
    assert.equal(await read(), 'Bearer first');
    await writeFile(join(folder, 'token'), 'second');
    assert.equal(await read(), 'Bearer first');
    await clock.advance(60_000);
    assert.equal(await read(), 'Bearer second');
    await writeFile(join(folder, 'token'), 'third');
    access.refresh();
    assert.equal(await read(), 'Bearer third');
  });

  it('takes the service account of its pod, and the configured server before the pod’s', async () => {
    await writeFile(join(folder, 'token'), 'pod-token');
    await writeFile(join(folder, 'ca.crt'), 'CA');
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const pod = { kubeconfig: '', environment, serviceAccountPath: folder };
    const access = await loadKubeAccess({ ...pod, server: '' });
    assert.deepEqual(access.server, {
      kind: 'tcp',
      secure: true,
      host: 'fd00::1',
      port: 443,
      basePath: '',
    });
    const { authorization, tls } = await access.credentials(signal);
    assert.deepEqual([authorization, tls.ca], ['Bearer pod-token', 'CA']);
    const other = await loadKubeAccess({ ...pod, server: 'https://192.0.2.5:6443' });
    assert.equal(other.server.kind === 'tcp' && other.server.host, '192.0.2.5');
  });

  const failures = [
    { name: 'nothing is given', options: { kubeconfig: '', server: '', environment: {} } },
    { name: 'the kubeconfig is missing', options: { kubeconfig: '/nonexistent', server: '' } },
  ];
  for (const { name, options } of failures) {
    it(`says so when ${name}`, () => assert.rejects(loadKubeAccess(options), KubeError));
  }

  describe('over TLS', () => {
    let server: Server;
    let url: string;
    before(async () => {
      const openssl = (...args: readonly string[]) =>
        execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
      const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj'];
      const name = ['-addext', 'subjectAltName=IP:127.0.0.1'];
      openssl(...request, '/CN=server', ...name, '-keyout', 's.key', '-out', 's.crt');
      openssl(...request, '/CN=client', '-keyout', 'c.key', '-out', 'c.crt');
      const read = (file: string) => readFile(join(folder, file));
      const [key, cert, ca] = await Promise.all([read('s.key'), read('s.crt'), read('c.crt')]);
      const options = { key, cert, ca, requestCert: true, rejectUnauthorized: false };
      server = createServer(options, (request_, response) => {
        const peer = (request_.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody';
        response.end(JSON.stringify({ peer, token: request_.headers.authorization ?? '' }));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    after(() => server.close());

    const base64 = async (file: string) => (await readFile(join(folder, file))).toString('base64');

    async function ask(user: object, cluster: object) {
      const kubeconfig = await writeKubeconfig(user, { server: url, ...cluster });
      await using client = createKubeClient(
        await loadKubeAccess({ kubeconfig, server: '' }),
        realClock,
      );
      return await client.request({ method: 'GET', path: '/' }, signal);
    }

    it('proves itself by a client certificate from files, and trusts the CA file', async () => {
      const user = { 'client-certificate': 'c.crt', 'client-key': 'c.key' };
      const answer = await ask(user, { 'certificate-authority': 's.crt' });
      assert.deepEqual(answer, { peer: 'client', token: '' });
    });

    it('takes certificates and the CA from the kubeconfig itself', async () => {
      const user = {
        'client-certificate-data': await base64('c.crt'),
        'client-key-data': await base64('c.key'),
        token: 't',
      };
      const answer = await ask(user, { 'certificate-authority-data': await base64('s.crt') });
      assert.deepEqual(answer, { peer: 'client', token: 'Bearer t' });
    });

    it('refuses a server that it does not trust, unless told to skip the check', async () => {
      await assert.rejects(ask({}, {}), KubeError);
      assert.deepEqual(await ask({}, { 'insecure-skip-tls-verify': true }), {
        peer: 'nobody',
        token: '',
      });
    });
  });
});
