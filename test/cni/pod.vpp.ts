import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findVpp, formatVppConfig, type VppInstall } from '../../demo/vpp-config.ts';
import { realClock, sleep } from '../../src/core/clock.ts';
import { familyOf, prefix } from '../../src/core/ip.ts';
import { claimUplink, releaseUplink } from '../../src/host/uplink.ts';
import type { Attachment, Uplink } from '../../src/model/facts.ts';
import { asRoot, createNamespaces } from '../host/namespaces.ts';
import { callCni, createFolder, createReadyStore, serve } from './runtime.ts';

/**
 * The Linux half with a real VPP between: a node whose uplink is claimed, a pod that the CNI
 * executable attached, and a network beyond. VPP is configured by its command line here, so
 * that nothing of ours but src/host and src/cni is under test.
 */
interface Vpp extends AsyncDisposable {
  cli(command: string): string;
}

const startMaxMs = 20_000;

async function startVpp(install: VppInstall, folder: string, namespace: string): Promise<Vpp> {
  const config = join(folder, 'startup.conf');
  writeFileSync(config, formatVppConfig(install, folder, `kvr${process.pid}`));
  const env = { ...process.env, LD_LIBRARY_PATH: install.libraries };
  const enter = [`--net=${namespace}`];
  const child = spawn('nsenter', [...enter, install.program, '-c', config], {
    env,
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const cliSocket = join(folder, 'cli.sock');
  const end = performance.now() + startMaxMs;
  while (!existsSync(cliSocket)) {
    assert.ok(child.exitCode === null && performance.now() < end, 'VPP did not start');
    await sleep(realClock, 50);
  }
  const vppctl = join(dirname(install.program), 'vppctl');
  return {
    cli(command) {
      const said = execFileSync(vppctl, ['-s', cliSocket, ...command.split(' ')], {
        env,
        encoding: 'utf8',
      });
      assert.doesNotMatch(said, /unknown|error|fail|invalid/i, `${command}: ${said}`);
      return said;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function open(vpp: Vpp, name: string, mac: string, mtu: number): string {
  vpp.cli(`create host-interface name ${name} hw-addr ${mac} cksum-gso-disable`);
  vpp.cli(`set interface mtu packet ${mtu} host-${name}`);
  vpp.cli(`set interface state host-${name} up`);
  return `host-${name}`;
}

function borrow(vpp: Vpp, link: string): void {
  vpp.cli(`set interface unnumbered ${link} use host-eth0`);
  vpp.cli(`enable ip6 interface ${link}`);
}

function configureNode(vpp: Vpp, uplink: Uplink): void {
  open(vpp, uplink.interface, uplink.mac, uplink.mtu);
  for (const { ip, length } of uplink.addresses) {
    vpp.cli(`set interface ip address host-eth0 ${ip}/${length}`);
  }
  const host = open(vpp, uplink.hostLink.vppInterface, uplink.hostLink.vppMac, uplink.mtu);
  borrow(vpp, host);
  vpp.cli(`set ip neighbor ${host} 169.254.1.2 ${uplink.hostLink.hostMac} static`);
  vpp.cli(`set ip neighbor ${host} fe80::2 ${uplink.hostLink.hostMac} static`);
  vpp.cli(`ip punt redirect add rx all via 169.254.1.2 ${host}`);
  vpp.cli(`ip6 punt redirect add rx all via fe80::2 ${host}`);
}

function configurePod(vpp: Vpp, pod: Attachment): void {
  const link = open(vpp, pod.hostInterface, pod.gatewayMac, pod.mtu);
  borrow(vpp, link);
  for (const ip of pod.ips) {
    vpp.cli(`set ip neighbor ${link} ${ip} ${pod.mac} static`);
    vpp.cli(`ip route add ${ip}/${familyOf(ip) === 4 ? 32 : 128} via ${ip} ${link}`);
  }
}

describe('a pod behind a real VPP on a claimed uplink', function () {
  this.timeout(120_000);
  asRoot(() => {
    it('reaches the network, its node and is reached, by both families, each packet once', async () => {
      const install = findVpp();
      assert.ok(install.ok, install.ok ? '' : install.problem);
      using folder = createFolder();
      using spaces = createNamespaces('vpp', 3);
      const [node = '', network = '', podSpace = ''] = spaces.paths;
      spaces.run(
        0,
        `ip link add eth0 type veth peer name net0 netns ${network.split('/').at(-1)}
        ip link set eth0 up; ip addr add 192.0.2.1/24 dev eth0; ip -6 addr add 2001:db8::1/64 dev eth0 nodad
        ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`,
      );
      spaces.run(
        1,
        `ip link set net0 up; ip link set lo up; ip addr add 192.0.2.254/24 dev net0
        ip -6 addr add 2001:db8::fe/64 dev net0 nodad; ip route add 10.1.0.0/24 via 192.0.2.1
        ip -6 route add fd10:1::/64 via 2001:db8::1; ethtool -K net0 tx off tso off gso off gro off`,
      );
      const stateFile = join(folder.path, 'uplink.json');
      const prefixes = [prefix('10.1.0.0/16'), prefix('fd10::/16')];
      const uplink = await claimUplink({ interface: 'eth0', stateFile, prefixes, namespace: node });
      await using vpp = await startVpp(install.value, folder.path, node);
      configureNode(vpp, uplink);
      const store = createReadyStore();
      await using server = await serve(folder.path, node, {
        store,
        awaitApplied: async (key) => {
          const pod = store.facts.attachments.get(key);
          if (pod !== undefined) configurePod(vpp, pod);
        },
      });
      const call = { command: 'ADD', containerId: 'c1', netns: podSpace };
      assert.equal((await callCni(server.socketPath, call)).exitCode, 0);

      const pings = [
        { from: 1, to: '10.1.0.2', what: 'network → pod' },
        { from: 1, to: 'fd10:1::a01:2', what: 'network → pod, v6' },
        { from: 2, to: '192.0.2.254', what: 'pod → network' },
        { from: 2, to: '2001:db8::fe', what: 'pod → network, v6' },
        { from: 0, to: '10.1.0.2', what: 'node → pod' },
        { from: 0, to: 'fd10:1::a01:2', what: 'node → pod, v6' },
        { from: 0, to: '192.0.2.254', what: 'node → network' },
        { from: 0, to: '2001:db8::fe', what: 'node → network, v6' },
      ];
      for (const { from, to, what } of pings) {
        // The first packet over the uplink may wait for VPP's neighbour discovery.
        spaces.run(from, `ping -c1 -W1 ${to} || :`);
        const said = spaces.run(from, `ping -c5 -i0.1 -W3 ${to}`);
        // One in some hundred is lost while other processes fill the machine; none may come twice.
        assert.match(said, / [45] received/, `${what}: ${said}`);
        assert.doesNotMatch(said, /DUP|duplicates/, what);
      }
      // The node's own stack serves the network and the pod, through VPP's punt.
      for (const [server, client, address] of [
        [0, 1, '192.0.2.1'],
        [0, 2, '192.0.2.1'],
        [2, 1, '10.1.0.2'],
        [2, 0, 'fd10:1::a01:2'],
        [1, 2, '2001:db8::fe'],
      ] as const) {
        spaces.run(server, 'iperf3 -s -1 -D');
        const said = spaces.run(client, `sleep 0.3; iperf3 -c ${address} -n 5M -J`);
        const { end } = JSON.parse(said);
        // The server stops counting when the client has sent all, with much still on its way.
        assert.ok(end.sum_received.bytes > 1_000_000, `${address}: ${JSON.stringify(end)}`);
      }
      const unresponsive = spaces.run(1, 'ping -c2 -i0.1 -W0.5 10.1.0.77 || :');
      assert.match(unresponsive, / 0 received/);
      assert.equal((await callCni(server.socketPath, { ...call, command: 'DEL' })).exitCode, 0);
      await releaseUplink(stateFile, { namespace: node });
      assert.match(spaces.run(0, 'ping -c2 -i0.1 -W1 192.0.2.254'), / 2 received/);
    });
  });
});
