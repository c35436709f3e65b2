import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { ip, prefix } from '../../src/core/ip.ts';
import { deleteAddress, listAddresses, putAddress } from '../../src/host/addresses.ts';
import {
  createVethPair,
  deleteLink,
  deleteLinkAside,
  findLink,
  linkFlags,
  requireLink,
  setLink,
} from '../../src/host/links.ts';
import { inNamespace } from '../../src/host/namespace.ts';
import { listNeighbours, putNeighbour } from '../../src/host/neighbours.ts';
import { openNetlink } from '../../src/host/netlink.ts';
import { NetlinkError } from '../../src/host/netlink-error.ts';
import { disableOffloads, offloads, readOffloads, setOffloads } from '../../src/host/offload.ts';
import { addRoute, deleteRoute, listRoutes, putRoute } from '../../src/host/routes.ts';
import { readSysctl, writeSysctl } from '../../src/host/sysctl.ts';
import { asRoot, createNamespaces } from './namespaces.ts';

const end = (name: string, last: number) => ({ name, mac: `02:00:00:00:00:0${last}`, mtu: 1400 });

describe('netlink in namespaces', function () {
  this.timeout(20_000);
  asRoot(() => {
    it('creates a veth pair across namespaces, changes, moves and deletes it', () => {
      using spaces = createNamespaces('nl', 2);
      const [a = '', b = ''] = spaces.paths;
      using left = openNetlink(a);
      using right = openNetlink(b);
      createVethPair(left, end('one', 1), { peer: end('two', 2), peerNamespace: b });
      const one = requireLink(left, 'one');
      assert.deepEqual(
        { mac: one.mac, mtu: one.mtu, kind: one.kind, up: one.flags & linkFlags.up },
        { mac: '02:00:00:00:00:01', mtu: 1400, kind: 'veth', up: 0 },
      );
      assert.equal(requireLink(right, 'two').mac, '02:00:00:00:00:02');
      assert.equal(findLink(left, 'two'), undefined);
      setLink(left, one.index, { up: true, noArp: true, allMulticast: true, mtu: 1300 });
      const { flags, mtu } = requireLink(left, 'one');
      const set = linkFlags.up | linkFlags.noArp | linkFlags.allMulticast;
      assert.deepEqual({ flags: flags & set, mtu }, { flags: set, mtu: 1300 });
      setLink(left, one.index, { up: false });
      setLink(left, one.index, { name: 'moved', namespace: b });
      assert.equal(findLink(left, 'one'), undefined);
      assert.equal(requireLink(right, 'moved').mtu, 1300);
      deleteLink(right, 'two');
      assert.equal(findLink(right, 'moved'), undefined);
      deleteLink(right, 'two'); // What is not there is not an error.
    });

    it('deletes a link aside while the event loop goes on', async () => {
      using spaces = createNamespaces('nl', 1);
      using netlink = openNetlink(spaces.paths[0] ?? '');
      createVethPair(netlink, end('one', 1), { peer: end('two', 2) });
      let turns = 0;
      const count = setInterval(() => turns++, 1);
      await deleteLinkAside(netlink, 'one');
      clearInterval(count);
      assert.ok(turns > 0, 'the event loop stood still');
      assert.equal(findLink(netlink, 'two'), undefined);
      await deleteLinkAside(netlink, 'one'); // What is not there is not an error.
      setLink(netlink, requireLink(netlink, 'lo').index, { up: true });
    });

    it('writes addresses, routes and permanent neighbours of both families', () => {
      using spaces = createNamespaces('nl', 1);
      const [space = ''] = spaces.paths;
      using netlink = openNetlink(space);
      createVethPair(netlink, end('one', 1), { peer: end('two', 2) });
      const link = requireLink(netlink, 'one').index;
      setLink(netlink, requireLink(netlink, 'two').index, { up: true });
      setLink(netlink, link, { up: true });
      for (const [address, length] of [
        ['10.9.0.1', 32],
        ['fd09::1', 128],
      ] as const) {
        putAddress(netlink, { link, ip: ip(address), length });
        putAddress(netlink, { link, ip: ip(address), length });
      }
      const global = () => listAddresses(netlink, link).filter((address) => address.scope === 0);
      assert.deepEqual(
        global().map((address) => `${address.ip}/${address.length}`),
        ['10.9.0.1/32', 'fd09::1/128'],
      );
      putNeighbour(netlink, { link, ip: ip('169.254.1.1'), mac: '02:00:00:00:00:02' });
      putNeighbour(netlink, { link, ip: ip('fe80::1'), mac: '02:00:00:00:00:02' });
      assert.deepEqual(
        listNeighbours(netlink, link)
          .map((n) => `${n.ip} ${n.mac}`)
          .toSorted(),
        ['169.254.1.1 02:00:00:00:00:02', 'fe80::1 02:00:00:00:00:02'],
      );
      putRoute(netlink, { prefix: prefix('169.254.1.1/32'), link });
      const default4 = {
        prefix: prefix('0.0.0.0/0'),
        link,
        gateway: ip('169.254.1.1'),
        onLink: true,
      };
      const default6 = {
        prefix: prefix('::/0'),
        link,
        gateway: ip('fe80::1'),
        onLink: true,
        metric: 77,
      };
      for (const route of [default4, default6]) {
        putRoute(netlink, route);
        putRoute(netlink, route);
        addRoute(netlink, route);
      }
      assert.match(
        spaces.run(0, 'ip route'),
        /^default via 169.254.1.1 dev one proto static onlink/m,
      );
      assert.match(
        spaces.run(0, 'ip -6 route'),
        /^default via fe80::1 dev one proto static metric 77 onlink/m,
      );
      const held = listRoutes(netlink, 6, link).find((route) => route.prefix === '::/0');
      assert.deepEqual({ ...held, protocol: 0, scope: 0 }, { ...default6, protocol: 0, scope: 0 });
      assert.equal(listRoutes(netlink, 4, link).length, 2);
      for (const route of [default4, default6, default4]) deleteRoute(netlink, route);
      assert.equal(spaces.run(0, 'ip route; ip -6 route').includes('default'), false);
      deleteAddress(netlink, { link, ip: ip('10.9.0.1'), length: 32 });
      deleteAddress(netlink, { link, ip: ip('10.9.0.1'), length: 32 });
      assert.deepEqual(
        global().map((address) => address.ip),
        ['fd09::1'],
      );
    });

    it('tells errors in the words of the kernel', () => {
      using spaces = createNamespaces('nl', 1);
      using netlink = openNetlink(spaces.paths[0] ?? '');
      const { index: link } = requireLink(netlink, 'lo');
      setLink(netlink, link, { up: true });
      const route = { prefix: prefix('10.0.0.0/8'), link, gateway: ip('10.9.9.9') };
      assert.throws(
        () => putRoute(netlink, route),
        (error: unknown) => {
          assert.ok(error instanceof NetlinkError);
          assert.equal(error.code, 'ENETUNREACH');
          assert.match(
            error.message,
            /add route 10.0.0.0\/8 via 10.9.9.9: ENETUNREACH Nexthop has invalid gateway/,
          );
          return true;
        },
      );
      assert.throws(() => requireLink(netlink, 'nope'), { code: 'ENODEV' });
      createVethPair(netlink, end('one', 1), { peer: end('two', 2) });
      assert.throws(() => createVethPair(netlink, end('one', 1), { peer: end('x', 2) }), {
        code: 'EEXIST',
      });
      assert.throws(() => openNetlink('/run/netns/kvr-nowhere'), { code: 'ENOENT' });
    });

    it('dumps ten thousand routes whole', () => {
      using spaces = createNamespaces('nl', 1);
      using netlink = openNetlink(spaces.paths[0] ?? '');
      const { index: link } = requireLink(netlink, 'lo');
      setLink(netlink, link, { up: true });
      const count = 10_000;
      for (let i = 0; i < count; i++) {
        putRoute(netlink, { prefix: prefix(`10.${i >> 8}.${i & 255}.0/24`), link });
      }
      assert.equal(new Set(listRoutes(netlink, 4, link).map((r) => r.prefix)).size, count);
    });

    it('changes offloads and sysctls of an interface in another namespace only', () => {
      using spaces = createNamespaces('nl', 1);
      const [space = ''] = spaces.paths;
      using netlink = openNetlink(space);
      createVethPair(netlink, end('one', 1), { peer: end('two', 2) });
      const before = readOffloads('one', space);
      assert.equal(before.txChecksum, true);
      disableOffloads('one', offloads, space);
      const off = readOffloads('one', space);
      for (const offload of ['gro', 'gso', 'tso', 'scatterGather', 'txChecksum'] as const) {
        assert.equal(off[offload], false, offload);
      }
      assert.match(spaces.run(0, 'ethtool -k one'), /tx-checksumming: off/);
      setOffloads('one', before, space);
      assert.deepEqual(readOffloads('one', space), before);
      const sysctl = { family: 'ipv4', interface: 'one', name: 'rp_filter' } as const;
      assert.equal(writeSysctl(sysctl, '1', space), true);
      assert.equal(readSysctl(sysctl, space), '1');
      assert.equal(readSysctl(sysctl), undefined);
      assert.throws(() => writeSysctl({ ...sysctl, name: 'no_such' }, '1', space), {
        code: 'ENOENT',
      });
      const none = { ...sysctl, family: 'ipv6', name: 'no_such' } as const;
      assert.equal(writeSysctl(none, '1', space), false);
    });

    it('comes back from a namespace, whatever the work does', () => {
      using spaces = createNamespaces('nl', 1);
      const [space = ''] = spaces.paths;
      const own = readlinkSync('/proc/thread-self/ns/net');
      const inside = inNamespace(space, () => readlinkSync('/proc/thread-self/ns/net'));
      assert.notEqual(inside, own);
      assert.throws(() => inNamespace(space, () => assert.fail('work failed')), /work failed/);
      assert.throws(() => inNamespace(space, () => Promise.resolve()), /is synchronous/);
      assert.throws(() => inNamespace('/dev/null', () => 1), { code: 'EINVAL' });
      assert.equal(readlinkSync('/proc/thread-self/ns/net'), own);
    });
  });
});
