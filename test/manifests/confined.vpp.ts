import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findVpp, vppEnv } from '../../scripts/vpp.mjs';
import type { StatusView, TableView } from '../../src/core/control-api.ts';
import { base, containerOf } from './manifests.ts';

/** `+net_admin,+net_raw`: what setpriv(1) calls the capabilities of a container. */
function capabilitiesOf(container: string): string {
  const { capabilities } = containerOf(container).securityContext ?? {};
  assert.deepEqual(capabilities?.drop, ['ALL']);
  return (capabilities?.add ?? []).map((name) => `+${name.toLowerCase()}`).join(',');
}

const config = `nodeName: n1
uplink: { interface: up0 }
stateDir: /run/state
kube: { server: "http://127.0.0.1:1" }
pods: { clusterCidrs: [10.244.0.0/16] }
services: { cidrs: [10.96.0.0/12] }
`;

describe("the DaemonSet's security context", () => {
  let directory = '';
  before(function () {
    this.timeout(90_000);
    if (process.getuid?.() !== 0) {
      console.log('    not root: that the capabilities suffice is not proven here');
      this.skip();
    }
    directory = mkdtempSync(join(tmpdir(), 'kvr-confined-'));
    writeFileSync(join(directory, 'config.yaml'), config);
    const vpp = findVpp() ?? '';
    const capabilities = ['vpp', 'gobgpd', 'router'].map(capabilitiesOf);
    const script = ['sh', resolve('test/manifests/confined.sh'), directory, ...capabilities];
    const run = spawnSync('unshare', ['--mount', '--net', ...script], {
      encoding: 'utf8',
      env: {
        ...process.env,
        VPP_BIN: vpp,
        VPP_LIBRARIES: vppEnv(vpp).LD_LIBRARY_PATH ?? '',
        GOBGPD_BIN: process.env.GOBGPD_BIN ?? '/usr/bin/gobgpd',
        STARTUP_CONF: resolve(base, 'config/startup.conf'),
        NODE_BIN: process.execPath,
        SOURCES: process.cwd(),
      },
    });
    assert.equal(run.status, 0, `${run.stdout}${run.stderr}${logs()}`);
  });
  after(() => {
    if (directory !== '') rmSync(directory, { recursive: true });
  });

  function result(name: string) {
    return JSON.parse(readFileSync(join(directory, name), 'utf8'));
  }

  function logs(): string {
    const names = ['router.log', 'vpp.log', 'gobgpd.log', 'kvr.log'];
    return names
      .map((name) => {
        const { stdout } = spawnSync('tail', ['-n', '5', join(directory, name)]);
        return `\n${name}: ${stdout}`;
      })
      .join('');
  }

  it('lets the router reach VPP and GoBGP', () => {
    const { checks }: StatusView = result('status.json');
    const ok = checks.filter((check) => check.ok).map((check) => check.name);
    for (const name of ['target vpp', 'target gobgp', 'rows']) {
      assert.ok(ok.includes(name), `${name} is not well:${logs()}`);
    }
  });

  it('lets the router claim the uplink, and VPP open both of its interfaces', () => {
    const { items }: { items: TableView[] } = result('tables.json');
    const table = items.find((one) => one.name === 'interfaces');
    assert.deepEqual(table, { name: 'interfaces', desired: 2, applied: 2, failed: 0 }, logs());
  });
});
