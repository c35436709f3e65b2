import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { leaseName } from '../../src/daemon/pools.ts';
import { kubeRequests } from '../../src/kube/requests.ts';
import { kubeAssets, type RealApiServer, startKubeApiServer } from './kube-apiserver.ts';
import { base } from './manifests.ts';

describe('manifests/base on a real API server', () => {
  let server: RealApiServer | undefined;
  const account = '--as=system:serviceaccount:kube-system:kube-vpp-router';

  before(async function () {
    this.timeout(90_000);
    const assets = kubeAssets();
    const kubectl = spawnSync('kubectl', ['version', '--client']).error === undefined;
    if (assets === undefined || !kubectl) {
      console.log(
        '    KUBEBUILDER_ASSETS or kubectl is missing: that it applies is not proven here',
      );
      this.skip();
    } else server = await startKubeApiServer(assets);
  });
  after(() => server?.[Symbol.asyncDispose]());

  function kubectl(...args: string[]): string {
    return server?.kubectl(...args) ?? '';
  }

  /** `kubectl auth can-i` ends with 1 for "no". */
  function can(verb: string, resource: string, ...rest: string[]): boolean {
    try {
      return kubectl('auth', 'can-i', verb, resource, account, ...rest).trim() === 'yes';
    } catch {
      // "no" is an answer; a server that is gone shows in the tests that expect "yes".
      return false;
    }
  }

  it('applies as it is, with every field known', () => {
    const said = kubectl('apply', '--validate=strict', '-k', base);
    assert.match(said, /daemonset\.apps\/kube-vpp-router created/);
    assert.doesNotMatch(said, /[Ww]arning/);
  }).timeout(60_000);

  it('applies again without a change', () => {
    const lines = kubectl('apply', '-k', base).trim().split('\n');
    assert.deepEqual(
      lines.filter((line) => !line.endsWith(' unchanged')),
      [],
    );
  }).timeout(60_000);

  it("lets the daemon's account do what the daemon does", () => {
    for (const { verb, group, resource, namespace } of kubeRequests) {
      const [plural = '', subresource] = resource.split('/');
      const where = namespace === undefined ? ['-A'] : ['-n', namespace];
      if (subresource !== undefined) where.push(`--subresource=${subresource}`);
      const name = namespace === undefined || verb === 'create' ? '' : `/${leaseName}`;
      const what = `${plural}.${group}${name}`;
      assert.ok(can(verb, what, ...where), `${verb} ${what}`);
    }
  }).timeout(60_000);

  const denied = [
    ['get', 'secrets'],
    ['list', 'configmaps'],
    ['update', 'nodes'],
    ['patch', 'services'],
    ['delete', 'pods'],
    ['create', 'pods'],
  ] as const;
  for (const [verb, resource] of denied) {
    it(`does not let it ${verb} ${resource}`, () => {
      assert.equal(can(verb, resource, '-A'), false);
    }).timeout(20_000);
  }
});
