import assert from 'node:assert/strict';
import { createPeerDriver, peerUpdate } from '../../src/bgp/peer-driver.ts';
import { keepSecondChances } from '../../src/bgp/second-chance.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { passwordDigest } from '../../src/core/password-digest.ts';
import { pathRow, peerRow } from '../../src/desired/bgp.ts';
import type { BgpPeerRow } from '../../src/desired/rows.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import {
  asn,
  attachSpeaker,
  nodePeerRow,
  pathRows,
  quiet,
  type Speaker,
  serverRows,
  startSpeaker,
} from './speaker.ts';

const programs = findGobgpd();
const soon = () => AbortSignal.timeout(5000);

for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`peers in a real gobgpd ${version}${absent}`, function () {
    this.timeout(60_000);
    let port = 0;
    let index = 0;
    const speakers: Speaker[] = [];
    let secrets: Record<string, string> = {};
    const start = async (count: number): Promise<Speaker[]> => {
      const started: Speaker[] = [];
      for (let i = 0; i < count; i++)
        started.push(
          await startSpeaker(program ?? '', ++index, { passwordOf: (key) => secrets[key] }),
        );
      speakers.push(...started);
      return started;
    };
    const stateAt = async (speaker: Speaker) => (await speaker.target.listPeers(soon()))[0];
    const established = (speaker: Speaker) =>
      until('established', async () => (await stateAt(speaker))?.state === 'established', 40_000);

    before(async function () {
      if (program === undefined) return this.skip();
      port = await freePort();
    });
    afterEach(async () => {
      for (const speaker of speakers.splice(0)) await speaker[Symbol.asyncDispose]();
      secrets = {};
    });

    const full = (address: BgpPeerRow['address'], localAddress: string): BgpPeerRow =>
      peerRow({
        address,
        asn: 64601,
        port: 1799,
        localAddress: ip(localAddress),
        families: [4, 6],
        holdTimeSeconds: 45,
        keepaliveSeconds: 11,
        connectRetrySeconds: 7,
        passive: true,
        multihopTtl: 5,
        gracefulRestartSeconds: 77,
        longLivedSeconds: 3600,
        maxPrefixes: 1234,
        addPathReceive: true,
        addPathSend: 4,
        description: 'peer/full',
      });

    it('reads every field back, of peers and of ranges, without a call', async () => {
      const [a] = await start(1);
      assert.ok(a);
      secrets = { tor: 'not for logs' };
      const password = { key: 'tor', digest: passwordDigest('not for logs') };
      const local = a.gobgpd.address;
      const rows: BgpPeerRow[] = [
        full(ip('127.0.0.9'), local),
        { ...full(ip('127.0.0.8'), local), password },
        { ...full(ip('127.0.0.7'), local), asn, reflectorClusterId: '1.2.3.4', multihopTtl: 0 },
        { ...full(ip('127.0.0.6'), local), multihopTtl: 0, ttlMin: 254, families: [4] },
        peerRow({ address: ip('127.0.0.5'), asn, localAddress: ip(local) }),
        { ...full(prefix('127.99.0.0/16'), local), reflectorClusterId: '1.2.3.4', asn },
        peerRow({ address: prefix('127.98.0.0/16'), asn, localAddress: ip(local) }),
        ...(version === 3 ? [] : [{ ...full(prefix('127.97.0.0/16'), local), password }]),
      ];
      const bgpPaths = [
        pathRow(prefix('10.1.0.0/24'), ip('192.0.2.1'), {
          communities: ['64512:1', '64512:1:2', 'lb:64512:125000000', 'rt:70000:1', 'soo:1:70000'],
          localPreference: 0,
          med: 4294967295,
        }),
        pathRow(prefix('10.2.0.0/24'), ip('2001:db8::1'), { communities: ['65535:666'] }),
        pathRow(prefix('fd00::/64'), ip('2001:db8::1'), { med: 0 }),
      ];
      const wanted = { ...serverRows(a, port), bgpPeers: rows, bgpPaths };
      a.want(wanted);
      const fresh = createPeerDriver(a.gobgpd.client, () => undefined);
      await until('all', async () => (await fresh.dump(soon())).length === rows.length);
      assert.deepEqual(a.failures(), []);
      const held = new Map((await fresh.dump(soon())).map(({ key, row }) => [key, row]));
      for (const row of rows) {
        const found = held.get(row.address);
        const isRange = row.address.includes('/');
        assert.deepEqual(found, {
          ...row,
          passive: row.passive || isRange,
          // GoBGP knows the password, not under which key it is kept.
          password: row.password && { ...row.password, key: '' },
        });
        assert.equal(peerUpdate(found ?? row, row), 'nothing');
      }
      const second = attachSpeaker(a.gobgpd, { rows: wanted });
      await until('session', () => second.target.session !== undefined);
      await new Promise((resolve) => setTimeout(resolve, 700));
      assert.deepEqual([second.calls(), second.failures()], [[], []]);
      await second[Symbol.asyncDispose]();
      a.want(serverRows(a, port));
      await until('none', async () => (await fresh.dump(soon())).length === 0);
    });

    it('refuses a path with more attributes than GoBGP bears, and sends the others', async () => {
      const [a] = await start(1);
      assert.ok(a);
      const many = (count: number) =>
        Array.from({ length: count }, (_, i) => `64512:${i}`).toSorted();
      const row = (to: string, count: number) =>
        pathRow(prefix(to), ip('192.0.2.1'), { communities: many(count) });
      const bgpPaths = [row('10.1.0.0/24', 0), row('10.2.0.0/24', 2000), row('10.3.0.0/24', 700)];
      a.want({ ...serverRows(a, port), bgpPaths });
      await until('refused', () => a.failures().length === 1);
      assert.match(
        a.failures()[0] ?? '',
        /bgpPaths 10\.2\.0\.0\/24: .*attributes of 10\.2\.0\.0\/24 have 8\d\d\d bytes, more than 3000/,
      );
      const own = await a.gobgpd.client.listOwnPaths(4, soon());
      assert.deepEqual(own.map((path) => path.prefix).toSorted(), ['10.1.0.0/24', '10.3.0.0/24']);
    });

    it('minds no other order of addresses, and starts again after it was not wanted', async () => {
      const [a] = await start(1);
      assert.ok(a);
      const { address } = a.gobgpd;
      const other = address.replace(/\.\d+$/, '.77');
      const rows = (...addresses: string[]) => ({
        bgpServer: (serverRows(a, port).bgpServer ?? []).map((row) => ({
          ...row,
          listenAddresses: addresses.map(ip),
        })),
      });
      const asnNow = async () => (await a.gobgpd.client.getBgp(soon())).asn;
      a.want(rows(address, other));
      await until('started', async () => (await asnNow()) === asn);
      a.calls();
      a.want(rows(other, address));
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.deepEqual([a.calls(), a.failures()], [[], []]);
      a.want({});
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.deepEqual(a.calls(), version === 3 ? ['StopBgp'] : []);
      a.want({ ...rows(address, other), bgpPaths: pathRows([['10.1.0.0/24', '192.0.2.1']]) });
      const own = async () => (await a.gobgpd.client.listOwnPaths(4, soon())).length;
      await until('again', async () => (await asnNow()) === asn && (await own()) === 1);
      assert.deepEqual(a.failures(), []);
    });

    it('knows a bandwidth again that has lost precision on the way', async () => {
      const [a] = await start(1);
      assert.ok(a);
      const row = pathRow(prefix('10.1.0.0/24'), ip('192.0.2.1'), {
        communities: ['lb:64512:125000001'],
      });
      a.want({ ...serverRows(a, port), bgpPaths: [row] });
      const paths = a.target.drivers.find((driver) => driver.table.name === 'bgpPaths');
      await until('written', async () => (await paths?.dump(soon()))?.length === 1);
      assert.deepEqual(await paths?.dump(soon()), [{ key: '10.1.0.0/24', row }]);
    });

    it('changes timers and limits in the session that is there', async () => {
      const [a, b] = await start(2);
      assert.ok(a && b);
      const want = (more: Partial<BgpPeerRow>) =>
        a.want({ ...serverRows(a, port), bgpPeers: [nodePeerRow(a, b, port, more)] });
      want({});
      b.want({
        ...serverRows(b, port),
        bgpPeers: [nodePeerRow(b, a, port)],
        bgpPaths: pathRows([['10.2.0.0/24', '192.0.2.2']]),
      });
      await until('learned', () => a.learned().length === 1, 40_000);
      const before = (await a.gobgpd.client.listPeers(soon()))[0]?.upSince;
      const changes: Partial<BgpPeerRow>[] = [
        { holdTimeSeconds: 30 },
        { keepaliveSeconds: 5 },
        { maxPrefixes: 100 },
        { connectRetrySeconds: 9 },
      ];
      for (const change of changes) {
        a.calls();
        want(change);
        const has = async () => {
          const row = (await a.gobgpd.client.listPeers(soon()))[0]?.row;
          return Object.entries(change).every(([key, value]) => row?.[key as 'asn'] === value);
        };
        await until(`has ${Object.keys(change)}`, has);
        assert.deepEqual(a.calls(), ['UpdatePeer']);
        await new Promise((resolve) => setTimeout(resolve, 300));
        const [peer] = await a.gobgpd.client.listPeers(soon());
        assert.equal(peer?.session, 'established');
        assert.equal(peer?.upSince, before);
      }
      const status = await stateAt(a);
      assert.deepEqual([status?.flaps, status?.lastError, status?.accepted], [0, '', 1]);
      assert.equal(a.learned().length, 1);
    });

    it('asks for passwords, and never shows one', async () => {
      const [a, b] = await start(2);
      assert.ok(a && b);
      const secret = (key: string, value: string) => ({ key, digest: passwordDigest(value) });
      const want = (local: Speaker, remote: Speaker, password: BgpPeerRow['password']) =>
        local.want({
          ...serverRows(local, port),
          bgpPeers: [nodePeerRow(local, remote, port, { password, connectRetrySeconds: 5 })],
        });
      secrets = { one: 'first', two: 'second' };
      want(a, b, secret('one', 'first'));
      want(b, a, secret('one', 'first'));
      await established(a);
      want(b, a, secret('two', 'second'));
      await until('apart', async () => (await stateAt(a))?.state !== 'established');
      await new Promise((resolve) => setTimeout(resolve, 6000));
      assert.notEqual((await stateAt(a))?.state, 'established');
      want(a, b, secret('two', 'second'));
      await established(a);
      want(a, b, secret('three', 'third'));
      await until('refused', () => a.failures().length === 1);
      assert.match(a.failures()[0] ?? '', /there is no password under three/);
      secrets = { three: 'other' };
      want(a, b, secret('three', 'third'));
      await until('changed', () => /the password under three changed/.test(a.failures().join()));
      assert.doesNotMatch(a.failures().join(), /first|second|third|other/);
    });

    it('ends the session of a neighbour that sends too much, and says why', async () => {
      const [a, b] = await start(2);
      assert.ok(a && b);
      a.want({
        ...serverRows(a, port),
        bgpPeers: [nodePeerRow(a, b, port, { maxPrefixes: 2, gracefulRestartSeconds: 0 })],
      });
      const routes = ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'];
      const want = (count: number) =>
        b.want({
          ...serverRows(b, port),
          bgpPeers: [nodePeerRow(b, a, port, { gracefulRestartSeconds: 0 })],
          bgpPaths: pathRows(routes.slice(0, count).map((to) => [to, '192.0.2.2'])),
        });
      want(2);
      await until('learned', () => a.learned().length === 2, 40_000);
      want(3);
      await until('over', async () => (await stateAt(a))?.state !== 'established');
      await until('said', async () => ((await stateAt(a))?.lastError ?? '') !== '');
      const status = await stateAt(a);
      assert.match(status?.lastError ?? '', /prefix|notification/i);
      assert.equal(status?.flaps, 1);
      assert.equal(a.learned().length, 0);
    });

    for (const gracefulRestartSeconds of [0, 120])
      it(`takes a neighbour back when its limit is raised (graceful restart ${gracefulRestartSeconds})`, async () => {
        const [a, b] = await start(2);
        assert.ok(a && b);
        const want = (maxPrefixes: number) =>
          a.want({
            ...serverRows(a, port),
            bgpPeers: [nodePeerRow(a, b, port, { maxPrefixes, gracefulRestartSeconds })],
          });
        const routes = ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'];
        want(2);
        b.want({
          ...serverRows(b, port),
          bgpPeers: [nodePeerRow(b, a, port, { gracefulRestartSeconds })],
          bgpPaths: pathRows(routes.map((to) => [to, '192.0.2.2'])),
        });
        const isOver = async () => (await a.gobgpd.client.listSessions(soon()))[0]?.overLimit;
        await until('over', async () => (await isOver()) === true, 40_000);
        a.calls();
        want(100);
        await established(a);
        await until('learned', () => a.learned().length === 3);
        assert.deepEqual(a.calls(), ['DeletePeer', 'AddPeer']);
        want(2);
        await until('over again', async () => (await isOver()) === true);
        assert.deepEqual(a.calls(), ['UpdatePeer']);
      });

    it('takes a neighbour back that has calmed down, after a while', async () => {
      const [a, b] = await start(2);
      assert.ok(a && b);
      const stop = new AbortController();
      const { client } = a.gobgpd;
      const common = { client, clock: realClock, signal: stop.signal, log: quiet };
      const peers = createPeerDriver(client, () => undefined);
      const keeping = keepSecondChances({ ...common, peers, firstMs: 1_000, everyMs: 200 });
      a.want({ ...serverRows(a, port), bgpPeers: [nodePeerRow(a, b, port, { maxPrefixes: 1 })] });
      const want = (routes: readonly string[]) =>
        b.want({
          ...serverRows(b, port),
          bgpPeers: [nodePeerRow(b, a, port)],
          bgpPaths: pathRows(routes.map((to) => [to, '192.0.2.2'])),
        });
      want(['10.1.0.0/24', '10.2.0.0/24']);
      const isOver = async () => (await client.listSessions(soon()))[0]?.overLimit;
      await until('over', async () => (await isOver()) === true, 40_000);
      await until('tried again', async () => (await isOver()) === false);
      want(['10.1.0.0/24']);
      await until('learned', () => a.learned().length === 1, 40_000);
      stop.abort();
      await keeping;
    });

    it('reflects routes from client to client', async () => {
      const [hub, a, b] = await start(3);
      assert.ok(hub && a && b);
      hub.want({
        ...serverRows(hub, port),
        bgpPeers: [a, b].map((one) =>
          nodePeerRow(hub, one, port, { reflectorClusterId: hub.gobgpd.address }),
        ),
      });
      a.want({
        ...serverRows(a, port),
        bgpPeers: [nodePeerRow(a, hub, port)],
        bgpPaths: pathRows([['10.1.0.0/24', '192.0.2.1']]),
      });
      b.want({ ...serverRows(b, port), bgpPeers: [nodePeerRow(b, hub, port)] });
      await until('at b', () => b.learned().join() === '10.1.0.0/24 via 192.0.2.1', 40_000);
    });

    it('takes several paths of a prefix from one neighbour', async () => {
      const [hub, a, b, c] = await start(4);
      assert.ok(hub && a && b && c);
      const reflectorClusterId = hub.gobgpd.address;
      hub.want({
        ...serverRows(hub, port),
        bgpPeers: [
          nodePeerRow(hub, a, port, { reflectorClusterId }),
          nodePeerRow(hub, b, port, { reflectorClusterId }),
          nodePeerRow(hub, c, port, { reflectorClusterId, addPathSend: 8 }),
        ],
      });
      const announce = (from: Speaker, via: string | undefined) =>
        from.want({
          ...serverRows(from, port),
          bgpPeers: [nodePeerRow(from, hub, port)],
          bgpPaths: pathRows(via === undefined ? [] : [['10.1.0.0/24', via]]),
        });
      announce(a, '192.0.2.1');
      announce(b, '192.0.2.2');
      c.want({
        ...serverRows(c, port),
        bgpPeers: [nodePeerRow(c, hub, port, { addPathReceive: true })],
      });
      const both = '10.1.0.0/24 via 192.0.2.1 192.0.2.2';
      await until('both', () => c.learned().join() === both, 40_000);
      announce(a, undefined);
      await until('one', () => c.learned().join() === '10.1.0.0/24 via 192.0.2.2');
      announce(a, '192.0.2.3');
      await until('other', () => c.learned().join() === '10.1.0.0/24 via 192.0.2.2 192.0.2.3');
    });

    it('lets in whoever calls from a range, and ends it all when the range goes', async () => {
      const [hub, a] = await start(2);
      assert.ok(hub && a);
      const range = prefix(`${a.gobgpd.address.split('.').slice(0, 3).join('.')}.0/24`);
      const local = ip(hub.gobgpd.address);
      const row = peerRow({ address: range, asn, localAddress: local, description: 'range' });
      hub.want({ ...serverRows(hub, port), bgpPeers: [row] });
      a.want({
        ...serverRows(a, port),
        bgpPeers: [nodePeerRow(a, hub, port, { passive: false })],
        bgpPaths: pathRows([['10.1.0.0/24', '192.0.2.1']]),
      });
      await until('learned', () => hub.learned().length === 1, 40_000);
      const status = await stateAt(hub);
      assert.equal(status?.address, a.gobgpd.address);
      assert.equal(status?.description, 'range');
      const dump = await hub.target.drivers
        .find((driver) => driver.table.name === 'bgpPeers')
        ?.dump(soon());
      assert.deepEqual(
        dump?.map((entry) => entry.key),
        [range],
      );
      hub.want(serverRows(hub, port));
      await until('gone', () => hub.learned().length === 0);
      await until('no peer', async () => (await stateAt(hub)) === undefined);
      assert.deepEqual(hub.failures(), []);
    });
  });
}
