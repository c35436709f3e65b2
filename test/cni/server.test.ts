import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createPodWiring, podGateways } from '../../src/host/pod-link.ts';
import { asRoot, createNamespaces } from '../host/namespaces.ts';
import { callCni, createFolder, createReadyStore, serve } from './runtime.ts';

describe('the CNI server and its executable', function () {
  this.timeout(20_000);
  asRoot(() => {
    it('attaches a pod, repeats the same result, checks it and detaches it', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 2);
      const [host = '', pod = ''] = spaces.paths;
      const store = createReadyStore();
      const applied: string[] = [];
      await using server = await serve(folder.path, host, {
        store,
        awaitApplied: async (key) => {
          applied.push(`${key} ${store.facts.attachments.has(key)}`);
        },
      });
      assert.equal(statSync(server.socketPath).mode & 0o777, 0o600);
      const call = { command: 'ADD', containerId: 'c1', netns: pod };
      const added = await callCni(server.socketPath, call);
      assert.equal(added.exitCode, 0, JSON.stringify(added));
      const attachment = store.facts.attachments.get('c1/eth0');
      assert.ok(attachment);
      assert.deepEqual(added.output, {
        cniVersion: '1.1.0',
        interfaces: [
          { name: attachment.hostInterface, mac: attachment.gatewayMac, mtu: 1450 },
          { name: 'eth0', mac: attachment.mac, mtu: 1450, sandbox: pod },
        ],
        ips: [
          { address: '10.1.0.2/32', gateway: podGateways[4], interface: 1 },
          { address: 'fd10:1::a01:2/128', gateway: podGateways[6], interface: 1 },
        ],
        routes: [
          { dst: '0.0.0.0/0', gw: podGateways[4] },
          { dst: '::/0', gw: podGateways[6] },
        ],
        dns: {},
      });
      assert.equal(attachment.pod, 'shop/web-0');
      assert.equal(attachment.podUid, '6f2c');
      assert.deepEqual(await callCni(server.socketPath, call), added);
      const check = { ...call, command: 'CHECK', config: { prevResult: added.output } };
      assert.deepEqual(await callCni(server.socketPath, check), { exitCode: 0, output: {} });
      spaces.run(1, 'ip route del default');
      const broken = await callCni(server.socketPath, check);
      assert.equal(broken.output.code, 5);
      assert.match(String(broken.output.msg), /eth0 lost its default route via 169.254.1.1/);
      // A repeated ADD repairs, and keeps the addresses.
      assert.deepEqual((await callCni(server.socketPath, call)).output.ips, added.output.ips);
      const remade = store.facts.attachments.get('c1/eth0');
      assert.ok(remade);
      assert.notEqual(remade.gatewayMac, attachment.gatewayMac);
      assert.equal(createPodWiring(host).check(remade), undefined);
      const removed = await callCni(server.socketPath, { ...call, command: 'DEL' });
      assert.deepEqual(removed, { exitCode: 0, output: {} });
      assert.equal(store.facts.attachments.size, 0);
      assert.equal(spaces.run(1, 'ip -o link').includes('eth0'), false);
      assert.deepEqual(
        applied,
        [true, true, false, true, false].map((held) => `c1/eth0 ${held}`),
      );
    });

    it('deletes what it does not know, and what lost its namespace', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 1);
      const [host = ''] = spaces.paths;
      const store = createReadyStore();
      await using server = await serve(folder.path, host, { store });
      const unknown = { command: 'DEL', containerId: 'nobody', netns: '' };
      assert.equal((await callCni(server.socketPath, unknown)).exitCode, 0);
      {
        using gone = createNamespaces('cni', 1);
        const call = { command: 'ADD', containerId: 'c2', netns: gone.paths[0] ?? '' };
        assert.equal((await callCni(server.socketPath, call)).exitCode, 0);
      }
      const del = { command: 'DEL', containerId: 'c2', netns: '/run/netns/kvr-gone' };
      assert.equal((await callCni(server.socketPath, del)).exitCode, 0);
      assert.equal(store.facts.attachments.size, 0);
    });

    it('attaches pods in parallel, each with its own addresses', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 13);
      const [host = '', ...pods] = spaces.paths;
      const store = createReadyStore();
      let waiting = 0;
      let release = () => {};
      const all = new Promise<void>((resolve) => {
        release = resolve;
      });
      await using server = await serve(folder.path, host, {
        store,
        // Passes only when all calls are inside at the same time.
        awaitApplied: async () => {
          if (++waiting === pods.length) release();
          await all;
        },
      });
      const answers = await Promise.all(
        pods.map((netns, i) =>
          callCni(server.socketPath, { command: 'ADD', containerId: `p${i}`, netns }),
        ),
      );
      assert.deepEqual(
        answers.map((answer) => answer.exitCode),
        pods.map(() => 0),
      );
      const ips = [...store.facts.attachments.values()].flatMap((a) => a.ips);
      assert.equal(new Set(ips).size, 2 * pods.length);
    });

    it('undoes everything when the data plane does not take the pod', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 2);
      const [host = '', pod = ''] = spaces.paths;
      const store = createReadyStore();
      await using server = await serve(folder.path, host, {
        store,
        awaitApplied: () => Promise.reject(new Error('VPP is away')),
      });
      const call = { command: 'ADD', containerId: 'c3', netns: pod };
      const failed = await callCni(server.socketPath, call);
      assert.equal(failed.exitCode, 1);
      assert.equal(failed.output.code, 11);
      assert.match(String(failed.output.msg), /c3\/eth0: not in force .*VPP is away/);
      assert.equal(store.facts.attachments.size, 0);
      assert.equal(spaces.run(0, 'ip -o link').includes('kvr'), false);
      assert.equal(spaces.run(1, 'ip -o link').includes('eth0'), false);
    });

    it('says "try again later" before its Node is known and while no daemon runs', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 2);
      const [host = '', pod = ''] = spaces.paths;
      const store = createReadyStore();
      store.commit('nodes', [['n1', undefined]]);
      const call = { command: 'ADD', containerId: 'c4', netns: pod };
      const status = { command: 'STATUS' };
      {
        await using server = await serve(folder.path, host, { store });
        assert.equal((await callCni(server.socketPath, call)).output.code, 11);
        assert.equal((await callCni(server.socketPath, status)).output.code, 50);
      }
      const away = await callCni(join(folder.path, 'cni.sock'), call);
      assert.equal(away.output.code, 11);
      assert.match(String(away.output.msg), /the daemon is not there/);
      const version = await callCni(join(folder.path, 'cni.sock'), { command: 'VERSION' });
      assert.equal(version.exitCode, 0);
    });

    it('keeps attachments over a restart, and drops those whose interface vanished', async () => {
      using folder = createFolder();
      using spaces = createNamespaces('cni', 3);
      const [host = '', kept = '', lost = ''] = spaces.paths;
      const first = createReadyStore();
      {
        await using server = await serve(folder.path, host, { store: first });
        const calls = [kept, lost].map((netns, i) =>
          callCni(server.socketPath, { command: 'ADD', containerId: `r${i}`, netns }),
        );
        for (const { exitCode } of await Promise.all(calls)) assert.equal(exitCode, 0);
      }
      spaces.run(2, 'ip link del eth0');
      const second = createReadyStore();
      const warnings: string[] = [];
      await using server = await serve(folder.path, host, {
        store: second,
        log: { info: () => undefined, warn: (_, message) => warnings.push(message) },
      });
      assert.deepEqual([...second.facts.attachments.keys()], ['r0/eth0']);
      assert.deepEqual(
        second.facts.attachments.get('r0/eth0'),
        first.facts.attachments.get('r0/eth0'),
      );
      assert.ok(second.synced.has('attachments'));
      assert.deepEqual(warnings, ['attachment without an interface: removed']);
      const gc = { command: 'GC', config: { 'cni.dev/valid-attachments': [] } };
      assert.equal((await callCni(server.socketPath, gc)).exitCode, 0);
      assert.equal(second.facts.attachments.size, 0);
    });
  });
});
