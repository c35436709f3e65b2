import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { executableName } from '../../native/cni/build.mjs';
import { parseConfig } from '../../src/config/parse.ts';
import { healthAnswer } from '../../src/daemon/health.ts';
import type { Config } from '../../src/model/config.ts';
import {
  base,
  baseManifests,
  containerOf,
  podSpec,
  readKustomization,
  readManifests,
  readText,
} from './manifests.ts';

function configOf(folder: string, file: string): Config {
  const result = parseConfig(readText(folder, file), { NODE_NAME: 'worker-1' });
  assert.ok(result.ok, result.ok ? '' : result.problem);
  return result.value;
}

const config = configOf(base, 'config/config.yaml');

describe('manifests/base', () => {
  it('lists every file that it has, and has every file that it lists', () => {
    const { resources, configMapGenerator } = readKustomization(base);
    const listed = [...resources, ...configMapGenerator.flatMap((one) => one.files)];
    const present = [
      ...readdirSync(base).filter((name) => name.endsWith('.yaml')),
      ...readdirSync(join(base, 'config')).map((name) => `config/${name}`),
    ].filter((name) => name !== 'kustomization.yaml');
    assert.deepEqual(listed.toSorted(), present.toSorted());
  });

  for (const folder of [base, 'manifests/overlays/example']) {
    it(`kubectl kustomize ${folder} renders`, function () {
      const run = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
      if (run.error !== undefined) {
        console.log('    no kubectl: that kustomize renders is not proven here');
        return this.skip();
      }
      assert.equal(run.status, 0, run.stderr);
      const rendered = readManifests(run.stdout);
      assert.deepEqual(rendered.map((one) => one.kind).toSorted(), [
        'ClusterRole',
        'ClusterRoleBinding',
        'ConfigMap',
        'ConfigMap',
        'DaemonSet',
        'Role',
        'RoleBinding',
        'ServiceAccount',
      ]);
      const text = rendered.find((one) => one.metadata.name === 'kube-vpp-router' && one.data)
        ?.data?.['config.yaml'];
      const parsedText = parseConfig(text ?? '', { NODE_NAME: 'worker-1' });
      assert.ok(parsedText.ok, 'the rendered ConfigMap holds a good configuration');
      for (const one of rendered) {
        if (!one.kind.startsWith('ClusterRole')) {
          assert.equal(one.metadata.namespace, 'kube-system', one.kind);
        }
      }
      return undefined;
    });
  }

  it('gives the overlay example a configuration that the router takes', () => {
    assert.equal(configOf('manifests/overlays/example', 'config.yaml').bgp.asn, 64513);
  });

  it("asks health where the router's configuration serves it", () => {
    const { livenessProbe, readinessProbe } = containerOf('router');
    const view = {
      checks: () => [],
      freshness: () => ({
        lastUpdatedMs: undefined,
        oldestPendingMs: undefined,
        nodeEligible: true,
      }),
    };
    for (const probe of [livenessProbe, readinessProbe]) {
      assert.equal(probe?.httpGet?.host, config.health.address);
      assert.equal(probe?.httpGet?.port, config.health.port);
      assert.equal(healthAnswer(probe?.httpGet?.path ?? '', view, 0)?.status, 200);
    }
    assert.notEqual(livenessProbe?.httpGet?.path, readinessProbe?.httpGet?.path);
  });

  it('has all parts meet at the same sockets', () => {
    const startup = readText(base, 'config/startup.conf');
    assert.ok(startup.includes(`socket-name ${config.vpp.apiSocket}\n`));
    assert.ok(startup.includes(`socket-name ${config.vpp.statsSocket}\n`));
    const cli = /cli-listen (\S+)/.exec(startup)?.[1] ?? '';
    assert.ok(containerOf('vpp').livenessProbe?.exec?.command.includes(cli));
    assert.ok(
      containerOf('gobgpd').command?.includes(`--api-hosts=unix://${config.bgp.apiSocket}`),
    );
    const conflist = JSON.parse(readText(base, 'config/10-kube-vpp-router.conflist'));
    assert.deepEqual(conflist.plugins, [{ type: executableName, socket: config.cni.socket }]);
    assert.match(containerOf('install-cni').command?.join('\n') ?? '', new RegExp(executableName));
  });

  it('mounts every folder that the configuration names, and nothing that is not there', () => {
    const spec = podSpec();
    const mounts = containerOf('router').volumeMounts ?? [];
    const folders = [
      dirname(config.vpp.apiSocket),
      dirname(config.vpp.statsSocket),
      dirname(config.bgp.apiSocket),
      dirname(config.cni.socket),
      dirname(config.control.socket),
      config.stateDir,
    ];
    for (const folder of folders) {
      assert.ok(
        mounts.some((mount) => mount.mountPath === folder),
        `the router does not see ${folder}`,
      );
    }
    const used = [...spec.initContainers, ...spec.containers].flatMap((container) =>
      (container.volumeMounts ?? []).map((mount) => mount.name),
    );
    const names = spec.volumes.map((volume) => volume.name);
    assert.deepEqual([...new Set(used)].toSorted(), names.toSorted());
  });

  it('sees network namespaces that are made after its start', () => {
    const netns = containerOf('router').volumeMounts?.find((mount) => mount.name === 'netns');
    assert.equal(netns?.mountPropagation, 'HostToContainer');
  });

  it('asks only for the capabilities that it explains, and for no privilege', () => {
    const asked = Object.fromEntries(
      [...podSpec().initContainers, ...podSpec().containers].map((container) => {
        const { capabilities, privileged } = container.securityContext ?? {};
        assert.deepEqual(capabilities?.drop, ['ALL'], container.name);
        assert.equal(privileged, undefined, container.name);
        return [container.name, capabilities?.add ?? []];
      }),
    );
    assert.deepEqual(asked, {
      'install-cni': [],
      'vpp-startup': [],
      vpp: ['NET_ADMIN', 'NET_RAW', 'IPC_LOCK'],
      gobgpd: ['NET_BIND_SERVICE'],
      router: ['NET_ADMIN', 'SYS_ADMIN', 'NET_RAW'],
    });
  });

  it('has a Containerfile for every image, and one place for their tags', () => {
    const images = new Set(
      [...podSpec().initContainers, ...podSpec().containers].map((one) => one.image),
    );
    assert.deepEqual(
      [...images].toSorted(),
      readKustomization(base)
        .images.map((one) => one.name)
        .toSorted(),
    );
    for (const image of images) {
      const name = image.replace(/^kube-vpp-router-?/, '') || 'router';
      assert.ok(existsSync(`manifests/images/${name}.Containerfile`), image);
    }
  });

  it('binds the account of the DaemonSet to the role', () => {
    const account = podSpec().serviceAccountName;
    const names = baseManifests()
      .filter((one) => one.kind !== 'DaemonSet')
      .map((one) => `${one.kind}/${one.metadata.name}`);
    assert.deepEqual(names, [
      `ServiceAccount/${account}`,
      `ClusterRole/${account}`,
      `ClusterRoleBinding/${account}`,
      `Role/${account}`,
      `RoleBinding/${account}`,
    ]);
  });
});
