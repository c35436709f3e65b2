import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createFakeClock } from '../../src/core/clock.ts';
import { prefix } from '../../src/core/ip.ts';
import { keepIntervalMs, keepUplink } from '../../src/host/keep-uplink.ts';
import { claimUplink, releaseUplink } from '../../src/host/uplink.ts';
import { formatUplinkState, parseUplinkState } from '../../src/host/uplink-state.ts';
import { asRoot, createNamespaces } from './namespaces.ts';
import { createNode, picture, routes } from './uplink-node.ts';

/** Lets file system calls finish, which the fake clock does not know of. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('the uplink claim', function () {
  this.timeout(60_000);
  asRoot(() => {
    it('moves addresses and routes to the host link, and release puts all back', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const before = picture(node);
      const uplink = await claimUplink({ interface: 'eth0', stateFile, namespace });
      assert.deepEqual(
        { ...uplink, hostLink: uplink.hostLink.vppInterface },
        {
          interface: 'eth0',
          addresses: [
            { ip: '192.0.2.1', length: 24 },
            { ip: '192.0.2.7', length: 24 },
            { ip: '2001:db8::1', length: 64 },
          ],
          gateways: ['192.0.2.254', '2001:db8::fe'],
          mtu: 1500,
          mac: '02:00:00:00:00:10',
          routes: [{ prefix: '203.0.113.0/24', gateways: ['192.0.2.253'] }],
          hostLink: 'kvr0-vpp',
        },
      );
      assert.deepEqual(routes(node).toSorted(), [
        '169.254.1.1 dev kvr0 proto 118 scope link',
        '192.0.2.0/24 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 onlink',
        '198.51.100.0/24 dev mgmt0 proto kernel scope link src 198.51.100.5',
        '2001:db8:5::/64 dev mgmt0 proto kernel metric 256 pref medium',
        '2001:db8::/64 via fe80::1 dev kvr0 proto 118 src 2001:db8::1 metric 256 onlink pref medium',
        '203.0.113.0/24 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 onlink',
        'default via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 metric 100 onlink',
        'default via 198.51.100.1 dev mgmt0 metric 500',
        'default via fe80::1 dev kvr0 proto 118 src 2001:db8::1 metric 1024 onlink pref medium',
        'fe80::1 dev kvr0 proto 118 metric 1024 pref medium',
      ]);
      assert.equal(node.run(0, 'ip -o addr show dev eth0').trim(), '');
      assert.match(node.run(0, 'ip -o link show eth0'), /NOARP,ALLMULTI,UP/);
      // A second claim finds all as it is and says the same.
      const claimed = picture(node);
      assert.deepEqual(await claimUplink({ interface: 'eth0', stateFile, namespace }), uplink);
      assert.equal(picture(node), claimed);
      await releaseUplink(stateFile, { namespace });
      assert.equal(picture(node), before);
      assert.equal(existsSync(stateFile), false);
      await releaseUplink(stateFile, { namespace });
    });

    it("the host talks through VPP's end, and the kernel ignores what the uplink hears", async function () {
      if (spawnSync('ping', ['-V']).error !== undefined) {
        console.log('      skipped: there is no ping');
        this.skip();
      }
      using node = createNode();
      const { namespace, stateFile } = node;
      const { hostLink, mac } = await claimUplink({ interface: 'eth0', stateFile, namespace });
      // The network knows the node without ARP; a kernel that answered would be seen here.
      node.run(
        1,
        `ip neigh replace 192.0.2.1 lladdr ${mac} dev net0 nud permanent
         ip neigh replace 10.1.0.9 lladdr ${mac} dev net0 nud permanent
         ip neigh replace 2001:db8::1 lladdr ${mac} dev net0 nud permanent
         ip route add 10.1.0.9 dev net0`,
      );
      const heard = node.run(
        1,
        'for a in 192.0.2.1 10.1.0.9 2001:db8::1; do ping -c2 -i0.1 -W0.3 $a || :; done',
      );
      assert.equal(heard.match(/2 packets transmitted, 0 received/g)?.length, 3, heard);
      const sent = () => Number(node.run(0, 'cat /sys/class/net/kvr0/statistics/tx_packets'));
      const quiet = sent();
      assert.equal(node.run(0, 'grep "^Icmp:" /proc/net/snmp').split('\n')[1]?.split(' ')[8], '0');
      // In VPP's place: a namespace that owns kvr0-vpp and answers as 203.0.113.9.
      using vpp = createNamespaces('up', 1);
      const name = vpp.paths[0]?.split('/').at(-1);
      node.run(0, `ip link set kvr0-vpp netns ${name}`);
      vpp.run(
        0,
        `ip link set lo up; ip addr add 203.0.113.9/32 dev lo; ip -6 addr add 2001:db8:9::9/128 dev lo nodad
         ip link set kvr0-vpp up arp on; sysctl -qw net.ipv6.conf.kvr0-vpp.disable_ipv6=0
         ip -6 addr add fe80::1/64 dev kvr0-vpp nodad
         ip addr add 169.254.1.1/32 dev kvr0-vpp; ip route add 192.0.2.1 dev kvr0-vpp src 203.0.113.9
         ip -6 route add 2001:db8::1 dev kvr0-vpp src 2001:db8:9::9
         ip neigh replace 192.0.2.1 lladdr ${hostLink.hostMac} dev kvr0-vpp nud permanent
         ip neigh replace 2001:db8::1 lladdr ${hostLink.hostMac} dev kvr0-vpp nud permanent`,
      );
      for (const address of ['203.0.113.9', '2001:db8:9::9']) {
        assert.match(node.run(0, `ping -c2 -i0.1 -W1 ${address}`), / 2 received/);
      }
      for (const address of ['192.0.2.1', '2001:db8::1']) {
        assert.match(vpp.run(0, `ping -c2 -i0.1 -W1 ${address}`), / 2 received/);
      }
      assert.ok(sent() > quiet);
    });

    it('KP-25 the node reaches its own NodePorts through VPP, and other ports without it', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const rules = () => node.run(0, 'ip rule; ip -6 rule');
      const before = rules();
      const options = {
        interface: 'eth0',
        stateFile,
        namespace,
        nodePorts: [30_000, 32_767] as const,
      };
      await claimUplink(options);
      const route = (port: number, protocol: string, to: string) =>
        node.run(0, `ip route get ${to} ipproto ${protocol} dport ${port}`).split('\n')[0] ?? '';
      assert.match(route(30080, 'tcp', '192.0.2.1'), /via 169.254.1.1 dev kvr0 .*src 192.0.2.1/);
      assert.match(route(32767, 'udp', '192.0.2.7'), /via 169.254.1.1 dev kvr0 .*src 192.0.2.7/);
      assert.match(route(30080, 'tcp', '2001:db8::1'), /via fe80::1 dev kvr0 .*src 2001:db8::1/);
      assert.match(route(29999, 'tcp', '192.0.2.1'), /^local 192.0.2.1 dev lo/);
      assert.match(route(30080, 'tcp', '198.51.100.5'), /^local 198.51.100.5 dev lo/);
      // Somebody flushes the rules; the next claim repairs them, and changes nothing twice.
      const claimed = rules();
      node.run(0, 'ip rule del pref 50; ip rule add pref 0 table local');
      await claimUplink(options);
      assert.deepEqual(rules().split('\n').toSorted(), claimed.split('\n').toSorted());
      await claimUplink({ ...options, nodePorts: [31_000, 31_999] });
      assert.match(route(30080, 'tcp', '192.0.2.1'), /^local/);
      assert.match(route(31_500, 'tcp', '192.0.2.1'), /dev kvr0/);
      await releaseUplink(stateFile, { namespace });
      assert.equal(rules(), before);
    });

    it('KP-22 the host refuses what goes to the port where nothing listens', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const { hostLink } = await claimUplink({ interface: 'eth0', stateFile, namespace });
      const heard = node.run(0, 'ip -o addr show dev kvr0');
      assert.match(heard, /169\.254\.1\.2\/32/);
      assert.match(heard, /fd6b:7670:7200::2\/128 .*deprecated/);
      assert.equal(hostLink.vppInterface, 'kvr0-vpp');
    });

    it('repairs what somebody changed, and takes in what is new', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const options = { interface: 'eth0', stateFile, namespace };
      const uplink = await claimUplink(options);
      const claimed = picture(node);
      node.run(
        0,
        `ip route del default dev kvr0; ip addr del 192.0.2.7/32 dev kvr0; ip neigh del 169.254.1.1 dev kvr0
         ip link set eth0 arp on; ip addr add 192.0.2.1/24 dev eth0
         sysctl -qw net.ipv4.conf.eth0.rp_filter=0`,
      );
      assert.deepEqual(await claimUplink(options), uplink);
      assert.equal(picture(node), claimed);
      node.run(0, 'ip addr add 192.0.2.99/24 dev eth0');
      const grown = await claimUplink(options);
      assert.deepEqual(
        grown.addresses.map((a) => a.ip),
        [...uplink.addresses.map((a) => a.ip), '192.0.2.99'],
      );
      assert.match(node.run(0, 'ip -o addr show dev kvr0'), /192.0.2.99\/32/);
      // As after a boot: no host link, and the uplink has its addresses again.
      node.run(0, 'ip link del kvr0; ip addr add 192.0.2.50/24 dev eth0');
      assert.deepEqual((await claimUplink(options)).addresses, [{ ip: '192.0.2.50', length: 24 }]);
      // As after somebody deleted the host link of a claimed uplink: the state knows.
      // VPP must open the new one, so its MAC differs.
      const { hostLink } = await claimUplink(options);
      node.run(0, 'ip link del kvr0');
      const remade = await claimUplink(options);
      assert.deepEqual(remade.addresses, [{ ip: '192.0.2.50', length: 24 }]);
      assert.notEqual(remade.hostLink.vppMac, hostLink.vppMac);
      assert.match(node.run(0, 'ip -o addr show dev kvr0'), /192.0.2.50\/32/);
    });

    it('sends the cluster through VPP whatever the default route, and follows a change', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      node.run(0, 'ip route del default dev eth0');
      const options = { interface: 'eth0', stateFile, namespace };
      const cluster = () =>
        routes(node).filter((line) => /^(10|fd10|default|203)/.test(line) && line.includes('kvr0'));
      await claimUplink({ ...options, prefixes: [prefix('10.1.0.0/16'), prefix('fd10::/16')] });
      const rest = [
        '203.0.113.0/24 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 onlink',
        'default via fe80::1 dev kvr0 proto 118 src 2001:db8::1 metric 1024 onlink pref medium',
      ];
      assert.deepEqual(cluster(), [
        '10.1.0.0/16 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 onlink',
        rest[0],
        'fd10::/16 via fe80::1 dev kvr0 proto 118 src 2001:db8::1 metric 1024 onlink pref medium',
        rest[1],
      ]);
      await claimUplink({ ...options, prefixes: [prefix('10.2.0.0/16')] });
      const moved = '10.2.0.0/16 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 onlink';
      assert.deepEqual(cluster(), [moved, ...rest]);
      await releaseUplink(stateFile, { namespace });
    });

    it('the host reaches what BGP taught through VPP, whatever its default route', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      node.run(
        0,
        `ip route del default dev eth0; ip route add 203.0.114.0/24 via 198.51.100.1 dev mgmt0
         ip -6 route replace default via 2001:db8:5::fe dev mgmt0`,
      );
      const options = { interface: 'eth0', stateFile, namespace };
      const learned = ['10.50.0.0/16', '203.0.114.0/24', '192.0.2.0/24', '2001:db8:77::/48'];
      const way = (to: string) => node.run(0, `ip route get ${to}`).split('\n')[0] ?? '';
      await claimUplink({ ...options, learned: learned.map(prefix) });
      assert.match(way('10.50.1.1'), /via 169.254.1.1 dev kvr0 src 192.0.2.1/);
      assert.match(way('2001:db8:77::1'), /via fe80::1 dev kvr0 .*src 2001:db8::1/);
      assert.match(way('8.8.8.8'), /dev mgmt0/);
      // Somebody's own route of the same prefix is theirs.
      assert.match(way('203.0.114.1'), /dev mgmt0/);
      await claimUplink({ ...options, learned: [] });
      assert.match(way('10.50.1.1'), /dev mgmt0/);
      await releaseUplink(stateFile, { namespace });
    });

    it('heals when it is killed at any point of a claim or a release', async () => {
      const writer = fileURLToPath(new URL('./uplink-writer.ts', import.meta.url));
      for (const delayMs of [0, 6, 13, 22]) {
        using node = createNode();
        const { namespace, stateFile } = node;
        const before = picture(node);
        const child = spawn(process.execPath, ['--import', 'tsx', writer, namespace, stateFile], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const ended = new Promise((resolve) => child.on('close', resolve));
        for await (const line of createInterface({ input: child.stdout })) {
          if (line !== '3') continue; // A warm round takes about 25 ms.
          const end = performance.now() + delayMs;
          while (performance.now() < end);
          child.kill('SIGKILL');
        }
        await ended;
        const uplink = await claimUplink({ interface: 'eth0', stateFile, namespace });
        assert.deepEqual(uplink.addresses.length, 3, `after ${delayMs} ms`);
        await releaseUplink(stateFile, { namespace });
        assert.equal(picture(node), before, `after ${delayMs} ms`);
      }
    });

    it('is kept: each interval repairs, and only news is told', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const clock = createFakeClock();
      const told: string[] = [];
      {
        let prefixes = [prefix('10.1.0.0/16')];
        await using _kept = await keepUplink({
          claim: () => ({ interface: 'eth0', stateFile, namespace, prefixes }),
          onClaimed: ({ addresses }) => told.push(addresses.map((a) => a.ip).join(' ')),
          onError: (error) => told.push(String(error)),
          clock,
          signal: new AbortController().signal,
        });
        const turn = async (command: string) => {
          node.run(0, command);
          await clock.advance(keepIntervalMs);
        };
        const three = '192.0.2.1 192.0.2.7 2001:db8::1';
        assert.deepEqual(told, [three]);
        await turn('ip route del default dev kvr0');
        await until(() => routes(node).some((line) => /^default via 169.254.1.1/.test(line)));
        assert.deepEqual(told, [three]);
        await turn('ip addr add 192.0.2.99/24 dev eth0');
        await until(() => told.length === 2);
        assert.equal(told[1], `${three} 192.0.2.99`);
        prefixes = [prefix('10.2.0.0/16')];
        await turn('true');
        await until(() => routes(node).some((line) => line.startsWith('10.2.0.0/16 via')));
        await turn(`echo damaged > ${stateFile}`);
        await until(() => told.length === 3);
        assert.match(told[2] ?? '', /NetlinkError: read uplink state .*: not JSON/);
      }
      // No repair comes after the end.
      node.run(0, `rm ${stateFile}`);
      await clock.advance(10 * keepIntervalMs);
      assert.equal(existsSync(stateFile), false);
    });

    it("others' routes survive the claim and the release, whatever they are", async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      node.run(
        0,
        `ip link add wg0 type veth peer name wg1; ip link set wg0 up; ip link set wg1 up
         ip addr add 10.9.0.1/24 dev wg0; ip route add 10.9.8.0/24 via 10.9.0.2
         ip addr add 192.0.9.1/24 brd 192.0.9.255 metric 77 dev eth0
         ip addr add 192.0.8.1/24 dev eth0 noprefixroute
         ip route add 192.0.8.0/24 dev eth0 proto kernel scope link src 192.0.8.1 metric 55
         ip route add 172.31.1.1 dev eth0 proto dhcp
         ip route add default via 172.31.1.1 dev eth0 proto dhcp metric 300
         ip route add 198.18.0.0/15 via 192.0.2.253 proto bird metric 32 mtu 1400 advmss 1360
         ip route add 198.19.0.0/24 nexthop via 192.0.2.252 weight 3 nexthop via 192.0.2.251
         ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8::a nexthop via 2001:db8::b
         ip route add 10.77.0.0/16 via 192.0.2.250 tos 0x10
         ip route add default via 192.0.2.249 table 100
         ip -6 route add default via 2001:db8::c table 100
         ip rule add from 192.0.2.7 lookup 100
         ip route add 203.0.113.9 via 192.0.2.254 src 192.0.2.7
         ip route add blackhole 198.51.99.0/24`,
      );
      const before = picture(node);
      const uplink = await claimUplink({ interface: 'eth0', stateFile, namespace });
      assert.deepEqual(uplink.gateways, ['192.0.2.254', '2001:db8::fe']);
      const ways = new Map((uplink.routes ?? []).map((r) => [r.prefix, r.gateways.join(' ')]));
      assert.equal(ways.get(prefix('198.18.0.0/15')), '192.0.2.253');
      assert.equal(ways.get(prefix('198.19.0.0/24')), '192.0.2.252 192.0.2.251');
      assert.equal(ways.get(prefix('2001:db8:9::/48')), '2001:db8::a 2001:db8::b');
      assert.equal(ways.has(prefix('10.77.0.0/16')), false);
      assert.equal(ways.has(prefix('192.0.9.0/24')), false);
      const claimed = routes(node);
      assert.ok(claimed.includes('10.9.8.0/24 via 10.9.0.2 dev wg0'));
      assert.ok(claimed.includes('blackhole 198.51.99.0/24'));
      const has = (line: string) => assert.ok(claimed.includes(line), claimed.join('\n'));
      has(
        '198.18.0.0/15 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.1 metric 32 onlink mtu 1400 advmss 1360',
      );
      has('203.0.113.9 via 169.254.1.1 dev kvr0 proto 118 src 192.0.2.7 onlink');
      assert.match(node.run(0, 'ip route show table 100'), /^default via 169.254.1.1 dev kvr0/);
      assert.match(node.run(0, 'ip -6 route show table 100'), /^default via fe80::1 dev kvr0/);
      // A VPN that comes later routes its server by the gateway that it sees.
      node.run(0, 'ip route add 198.51.100.77 via 169.254.1.1 dev kvr0 onlink proto 4');
      await claimUplink({ interface: 'eth0', stateFile, namespace });
      assert.match(node.run(0, 'ip route'), /^198.51.100.77 via 169.254.1.1 dev kvr0/m);
      assert.deepEqual(await releaseUplink(stateFile, { namespace }), []);
      assert.equal(picture(node), before);
    });

    it('a release goes on after a route that can no longer be', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      await claimUplink({ interface: 'eth0', stateFile, namespace });
      const state = JSON.parse(readFileSync(stateFile, 'utf8'));
      const lost = { prefix: '10.66.0.0/16', gateway: '10.5.5.5', protocol: 4, scope: 0 };
      writeFileSync(stateFile, JSON.stringify({ ...state, routes: [lost, ...state.routes] }));
      const refused = await releaseUplink(stateFile, { namespace });
      assert.equal(refused.length, 1);
      assert.match(refused[0] ?? '', /10.66.0.0\/16 via 10.5.5.5: ENETUNREACH/);
      assert.match(node.run(0, 'ip route'), /^default via 192.0.2.254 dev eth0/m);
    });

    it('finishes a release that was cut short before it claims again', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const before = picture(node);
      const { addresses } = await claimUplink({ interface: 'eth0', stateFile, namespace });
      const state = JSON.parse(readFileSync(stateFile, 'utf8'));
      writeFileSync(stateFile, JSON.stringify({ ...state, releasing: true }));
      node.run(0, 'ip link del kvr0; ip addr add 192.0.2.1/24 dev eth0');
      const again = await claimUplink({ interface: 'eth0', stateFile, namespace });
      assert.deepEqual(again.addresses, addresses);
      await releaseUplink(stateFile, { namespace });
      assert.equal(picture(node), before);
    });

    it('refuses an uplink without an address, another uplink, and a damaged state', async () => {
      using node = createNode();
      const { namespace, stateFile } = node;
      const claim = (name: string) => claimUplink({ interface: name, stateFile, namespace });
      await assert.rejects(claim('lo'), /claim lo: it has no address of the node/);
      await assert.rejects(claim('eth7'), { code: 'ENODEV' });
      await claim('eth0');
      await assert.rejects(claim('mgmt0'), /says that eth0 is claimed: release it first/);
      await releaseUplink(stateFile, { namespace });
      writeFileSync(stateFile, '{"version": 1, "interface"');
      await assert.rejects(claim('eth0'), /read uplink state .*: not JSON/);
      assert.equal(node.run(0, 'ip -o link').includes('kvr0'), false);
    });
  });
});

describe('the uplink state', () => {
  const state = {
    version: 1,
    interface: 'eth0',
    mac: '02:00:00:00:00:10',
    mtu: 1500,
    noArp: false,
    allMulticast: false,
    addresses: [{ ip: '192.0.2.1', length: 24, flags: 128 }],
    routes: [{ prefix: '0.0.0.0/0', gateway: '192.0.2.254', protocol: 4, scope: 0 }],
    offloads: { tso: true },
    sysctls: { 'ipv4/rp_filter': '0' },
    hostLink: { hostInterface: 'a', vppInterface: 'b', hostMac: 'c', vppMac: 'd' },
  };
  it('is read back as it was written', () => {
    const parsed = parseUplinkState(JSON.stringify(state));
    assert.ok(parsed.ok);
    assert.deepEqual(parseUplinkState(formatUplinkState(parsed.value)), parsed);
  });

  it('law: a state with any field replaced, or any text, is a state or a problem', () => {
    const field = fc.constantFrom(...Object.keys(state));
    fc.assert(
      fc.property(field, fc.jsonValue(), fc.string(), (name, value, text) => {
        parseUplinkState(JSON.stringify({ ...state, [name]: value }));
        parseUplinkState(text);
      }),
    );
    for (const name of ['interface', 'mac', 'mtu', 'addresses', 'routes', 'hostLink', 'version']) {
      assert.equal(parseUplinkState(JSON.stringify({ ...state, [name]: null })).ok, false, name);
    }
  });
});
