import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { realClock as clock, sleep } from '../../src/core/clock.ts';
import { prefix } from '../../src/core/ip.ts';
import { type KeepOptions, keepUplink } from '../../src/host/keep-uplink.ts';
import type { RepairKind } from '../../src/host/repair-pace.ts';
import { asRoot } from './namespaces.ts';
import { createNode, picture, routes, type UplinkNode } from './uplink-node.ts';

/** What a keeper told. */
interface Told {
  readonly addresses: string[];
  readonly repairs: { readonly changes: readonly string[]; readonly kind: RepairKind | 'asked' }[];
  readonly errors: unknown[];
}

function keep(node: UplinkNode, more: Partial<KeepOptions> = {}) {
  const told: Told = { addresses: [], repairs: [], errors: [] };
  const { namespace, stateFile } = node;
  const kept = keepUplink({
    claim: () => ({
      ...{ interface: 'eth0', stateFile, namespace, nodePorts: [30_000, 32_767] },
      prefixes: [prefix('10.1.0.0/16')],
    }),
    onClaimed: (uplink) => told.addresses.push(uplink.addresses.map((a) => a.ip).join(' ')),
    onRepaired: (changes, kind) => told.repairs.push({ changes, kind }),
    onError: (error) => told.errors.push(error),
    clock,
    signal: new AbortController().signal,
    ...more,
  });
  return { told, kept };
}

/** Waits for the kernel's own time: events and repairs are real here. */
async function until(what: string, maxMs: number, condition: () => boolean): Promise<number> {
  const startMs = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - startMs < maxMs, `${what}: not within ${maxMs} ms`);
    await sleep(clock, 5);
  }
  return performance.now() - startMs;
}

/** No repair for longer than a look takes to come. */
async function settled(told: Told): Promise<void> {
  for (let count = -1; count !== told.repairs.length; await sleep(clock, 450))
    count = told.repairs.length;
}

const rules = (node: UplinkNode) => node.run(0, 'ip rule; ip -6 rule').split('\n').toSorted();

describe('the uplink claim is kept', function () {
  this.timeout(60_000);
  asRoot(() => {
    /** What is removed, and the words of the repair. */
    const removals: readonly (readonly [string, RegExp])[] = [
      ['ip route del default dev kvr0', /^route 0.0.0.0\/0 via 169.254.1.1 metric 100 on kvr0$/],
      ['ip -6 route del default dev kvr0', /^route ::\/0 via fe80::1/],
      ['ip route del 10.1.0.0/16', /^route 10.1.0.0\/16 via 169.254.1.1 on kvr0$/],
      ['ip route flush table 10256', /^route 192.0.2.1\/32 via 169.254.1.1 table 10256/],
      ['ip rule del pref 50', /^IPv4 rule 50 192.0.2.1 /],
      ['ip rule add pref 0 table local', /^IPv4 rule 0 all any any table 255 gone$/],
      ['ip rule del pref 100', /^IPv4 rule 100 all any any table 255$/],
      ['ip addr del 192.0.2.7/32 dev kvr0', /^address 192.0.2.7 on kvr0$/],
      ['ip -6 addr del 2001:db8::1/128 dev kvr0', /^address 2001:db8::1 on kvr0$/],
      ['ip addr flush dev kvr0', /^address 169.254.1.2 on kvr0$/],
      ['ip neigh del 169.254.1.1 dev kvr0', /^neighbour 169.254.1.1 on kvr0$/],
      ['ip link set kvr0 down', /^link kvr0 up$/],
      ['ip link set kvr0-vpp down', /^link kvr0-vpp up$/],
      ['ip link set eth0 down', /^link eth0 up$/],
      ['ip link set eth0 arp on', /^no ARP on eth0$/],
      ['ip link set eth0 allmulticast off', /^all multicast on eth0$/],
      ['ip addr add 192.0.2.1/24 dev eth0', /^address 192.0.2.1\/24 taken from eth0$/],
      [
        'ip route replace default via 198.51.100.1 dev mgmt0 metric 100',
        /^route 0.0.0.0\/0 via 169.254.1.1 metric 100 on kvr0$/,
      ],
    ];

    it('puts back within a second whatever is removed, and says what', async () => {
      using node = createNode();
      const { told, kept } = keep(node);
      await using _kept = await kept;
      const wanted = { picture: picture(node), rules: rules(node) };
      let longestMs = 0;
      for (const [command, words] of removals) {
        await settled(told);
        told.repairs.length = 0;
        node.run(0, command);
        const ms = await until(command, 1_000, () => told.repairs.length > 0);
        longestMs = Math.max(longestMs, ms);
        const said = told.repairs.flatMap((repair) => repair.changes);
        assert.ok(
          said.some((change) => words.test(change)),
          `${command}: ${said.join('; ')}`,
        );
        if (command.includes('mgmt0')) node.run(0, `${command.replace('replace', 'del')}`);
        await settled(told);
        assert.equal(picture(node), wanted.picture, command);
        assert.deepEqual(rules(node), wanted.rules, command);
      }
      assert.deepEqual(told.addresses.length, 1);
      assert.deepEqual(told.errors, []);
      assert.ok(longestMs < 1_000, `${longestMs} ms`);
    });

    it('its own writing sets off no repair', async () => {
      using node = createNode();
      const { told, kept } = keep(node);
      await using _kept = await kept;
      node.run(0, 'ip link set kvr0 down; ip route flush table 10256; ip rule del pref 50');
      await until('repair', 1_000, () => told.repairs.length > 0);
      await settled(told);
      assert.ok(told.repairs.length <= 2, `${told.repairs.length} repairs`);
    });

    it('takes over the address of a new lease: the old one goes with its routes', async () => {
      using node = createNode();
      node.run(
        0,
        `ip addr flush dev eth0 scope global; ip -6 addr add 2001:db8::1/64 dev eth0 nodad
         ip addr add 192.0.2.7/24 dev eth0 valid_lft 600 preferred_lft 600
         ip addr add 203.0.113.1/24 dev eth0
         ip route add default via 192.0.2.254 src 192.0.2.7 metric 100 proto dhcp`,
      );
      const { told, kept } = keep(node);
      await using _kept = await kept;
      const kvr0 = () => node.run(0, 'ip -4 -o addr show dev kvr0 scope global | cut -d" " -f7');
      assert.equal(kvr0(), '192.0.2.7/32\n203.0.113.1/32\n');
      await settled(told);
      // The lease is renewed: nothing is new.
      node.run(0, 'ip addr add 192.0.2.7/24 dev eth0 valid_lft 900 preferred_lft 900');
      await until('renewal', 1_000, () => told.repairs.length > 0);
      assert.equal(told.addresses.length, 1);
      await settled(told);
      node.run(
        0,
        `ip addr add 192.0.9.8/24 dev eth0 valid_lft 600 preferred_lft 600
         ip route add default via 192.0.9.254 dev eth0 src 192.0.9.8 metric 100 proto dhcp || :`,
      );
      const ms = await until('new lease', 1_000, () => told.addresses.length > 1);
      assert.ok(ms < 1_000);
      assert.equal(told.addresses.at(-1), '203.0.113.1 2001:db8::1 192.0.9.8');
      await settled(told);
      assert.equal(told.addresses.length, 2);
      assert.equal(kvr0(), '203.0.113.1/32\n192.0.9.8/32\n');
      assert.deepEqual(
        routes(node).filter((line) => line.includes('192.0.2.')),
        [],
      );
      const rule = node.run(0, 'ip rule show pref 50');
      assert.match(rule, /192.0.9.8/);
      assert.doesNotMatch(rule, /192.0.2.7/);
    });

    it('survives an uplink that goes down, loses its carrier, and is made again', async () => {
      using node = createNode();
      const { told, kept } = keep(node);
      await using _kept = await kept;
      const wanted = { picture: picture(node), rules: rules(node) };
      for (let flap = 0; flap < 3; flap++) {
        node.run(1, 'ip link set net0 down; ip link set net0 up');
        node.run(0, 'ip link set eth0 down; ip link set eth0 up');
      }
      await settled(told);
      assert.equal(picture(node), wanted.picture);
      assert.deepEqual(rules(node), wanted.rules);
      node.run(0, 'ip link del eth0');
      await until('its absence is told', 2_000, () => told.errors.length > 0);
      assert.match(String(told.errors[0]), /ENODEV/);
      node.run(0, 'ip link add eth0 address 02:00:00:00:00:10 type veth peer name net9');
      node.run(0, 'ip link set net9 up');
      await until('the new one is claimed', 3_000, () =>
        /NOARP,ALLMULTI,UP/.test(node.run(0, 'ip -o link show eth0')),
      );
      assert.deepEqual(told.addresses.length, 1);
    });

    it('10,000 routes of others cost no look, also when events are lost', async () => {
      using node = createNode();
      let looks = 0;
      const { namespace, stateFile } = node;
      const { told, kept } = keep(node, {
        claim() {
          looks++;
          return { interface: 'eth0', stateFile, namespace };
        },
      });
      await using _kept = await kept;
      await settled(told);
      await sleep(clock, 500);
      looks = 0;
      const batch = (verb: string) =>
        `for i in $(seq 0 9999); do echo route ${verb} 10.$((i/200)).$((i%200)).0/24 dev mgmt0; done`;
      const count = () => Number(node.run(0, 'ip route | wc -l'));
      const few = count();
      // In the background: the daemon goes on, and sees all 20,000 events.
      const done = `${node.stateFile}.done`;
      node.run(
        0,
        `{ (${batch('add')}; ${batch('del')}) | ip -batch -; touch ${done}; } >/dev/null 2>&1 &`,
      );
      await until('they came and went', 30_000, () => existsSync(done));
      assert.equal(count(), few);
      await sleep(clock, 500);
      assert.ok(looks <= 1, `${looks} looks`);
      // While the daemon is busy, more than its socket can hold, and one of them matters.
      told.repairs.length = 0;
      node.run(
        0,
        `(${batch('add')}; ${batch('del')}; ${batch('add')}; echo route del default dev kvr0) |
         ip -batch -`,
      );
      await until('the one that matters', 2_000, () => told.repairs.length > 0);
      assert.ok(looks <= 4, `${looks} looks`);
    });

    it('a route that somebody adds to the uplink leads through VPP within a second', async () => {
      using node = createNode();
      const found: string[] = [];
      const { kept } = keep(node, {
        onClaimed: ({ routes: all = [] }) =>
          found.push(all.map((r) => `${r.prefix} ${r.gateways}`).join(', ')),
      });
      await using _kept = await kept;
      assert.deepEqual(found, ['203.0.113.0/24 192.0.2.253']);
      node.run(0, 'ip route add 198.18.0.0/15 via 192.0.2.250 dev eth0 onlink metric 7');
      await until('the fact', 1_000, () => found.length > 1);
      assert.equal(found[1], '203.0.113.0/24 192.0.2.253, 198.18.0.0/15 192.0.2.250');
      assert.match(node.run(0, 'ip route get 198.18.0.1'), /via 169.254.1.1 dev kvr0/);
      // The same with another gateway takes its place.
      node.run(0, 'ip route add 198.18.0.0/15 via 192.0.2.251 dev eth0 onlink metric 6');
      await until('the better one', 1_000, () => found.length > 2);
      assert.equal(found[2], '203.0.113.0/24 192.0.2.253, 198.18.0.0/15 192.0.2.251');
    });

    it('a route that its owner puts back on the uplink is outbid, and no longer fought', async () => {
      using node = createNode();
      const { told, kept } = keep(node);
      await using _kept = await kept;
      const way = () => node.run(0, 'ip route get 203.0.114.1');
      const putBack =
        'ip route replace default via 192.0.2.254 dev eth0 onlink metric 100 proto 16';
      for (let time = 0; time < 4; time++) {
        node.run(0, putBack);
        await until('packets leave through VPP', 1_000, () => /dev kvr0/.test(way()));
        await settled(told);
      }
      assert.ok(told.repairs.length <= 2, `${told.repairs.length} repairs`);
      assert.match(node.run(0, 'ip route'), /^default via 192.0.2.254 dev eth0 /m);
      assert.match(node.run(0, 'ip route'), /^default via 169.254.1.1 dev kvr0 .* metric 99 /m);
    });

    it('what somebody keeps undoing is repaired ever less often', async () => {
      using node = createNode();
      const { told, kept } = keep(node);
      await using _kept = await kept;
      // Every 20 ms for 6 s.
      node.run(
        0,
        `(for i in $(seq 300); do ip route del 203.0.113.0/24 dev kvr0 || :; sleep 0.02; done) \
         >/dev/null 2>&1 &`,
      );
      await sleep(clock, 6_000);
      const kinds = told.repairs.map((repair) => repair.kind);
      assert.ok(kinds.length >= 4 && kinds.length <= 9, kinds.join(' '));
      assert.equal(kinds.filter((kind) => kind === 'undone').length, 1);
      await until('the last repair', 8_000, () =>
        routes(node).some((line) => line.startsWith('203.0.113.0/24 via 169.254.1.1')),
      );
    });
  });
});
