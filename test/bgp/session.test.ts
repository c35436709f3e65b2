import assert from 'node:assert/strict';
import { createGobgpClient } from '../../src/bgp/client.ts';
import { GobgpError } from '../../src/bgp/error.ts';
import { watchGobgp } from '../../src/bgp/watch.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { createStore } from '../../src/model/store.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, pathRows, quiet, type Speaker, serverRows, startSpeaker } from './speaker.ts';

const programs = findGobgpd();

for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`two nodes with a real gobgpd ${version}${absent}`, function () {
    this.timeout(90_000);
    let port = 0;
    let a: Speaker;
    let b: Speaker;

    const rowsOf = (
      local: Speaker,
      remote: Speaker,
      paths: readonly (readonly [string, string])[],
    ) => ({
      ...serverRows(local, port),
      bgpPeers: [nodePeerRow(local, remote, port)],
      bgpPaths: pathRows(paths),
    });
    const aPaths: readonly (readonly [string, string])[] = [
      ['10.1.0.0/24', '192.0.2.1'],
      ['fd00:1::/64', '2001:db8::1'],
    ];
    const learnedOfA = ['10.1.0.0/24 via 192.0.2.1', 'fd00:1::/64 via 2001:db8::1'];

    before(async function () {
      if (program === undefined) return this.skip();
      port = await freePort();
      a = await startSpeaker(program, 1);
      b = await startSpeaker(program, 2);
      a.want(rowsOf(a, b, aPaths));
      b.want(rowsOf(b, a, [['10.2.0.0/24', '192.0.2.2']]));
    });
    after(async () => {
      await a?.[Symbol.asyncDispose]();
      await b?.[Symbol.asyncDispose]();
    });

    it('speaks the dialect of the process', () => {
      assert.equal(a.gobgpd.client.version, version);
    });

    it('learns the IPv4 and IPv6 paths of the other, and not its own', async () => {
      await until('routes of a at b', () => b.learned().length === 2);
      await until('routes of b at a', () => a.learned().length === 1);
      assert.deepEqual(b.learned(), learnedOfA);
      assert.deepEqual(a.learned(), ['10.2.0.0/24 via 192.0.2.2']);
      assert.deepEqual([...a.failures(), ...b.failures()], []);
    });

    it('marks learned routes synced when the neighbour is complete', async () => {
      await until('synced', () => b.store.synced.has('learnedRoutes'));
    });

    it('tells how the peers are', async () => {
      const signal = AbortSignal.timeout(5000);
      await until('received', async () => (await b.target.listPeers(signal))[0]?.received === 2);
      const [peer, ...others] = await b.target.listPeers(signal);
      assert.deepEqual(others, []);
      assert.equal(peer?.state, 'established');
      assert.equal(peer?.address, a.gobgpd.address);
      // Version 3 also counts paths that iBGP does not pass on.
      if (version === 4) assert.equal(peer?.advertised, 1);
      else assert.ok((peer?.advertised ?? 0) >= 1);
      assert.equal(peer?.description, `node/${a.gobgpd.address}`);
      assert.ok(peer.uptimeSeconds < 60, `${peer.uptimeSeconds}`);
    });

    it('reads back what it wrote, so that a restart of the daemon changes nothing', async () => {
      const signal = AbortSignal.timeout(5000);
      const wanted = rowsOf(a, b, aPaths);
      const expected: Record<string, readonly unknown[]> = { ...wanted };
      for (const driver of a.target.drivers) {
        const held = await driver.dump(signal);
        assert.deepEqual(
          held.map((entry) => entry.row),
          expected[driver.table.name] ?? [],
        );
      }
    });

    it('gives a new daemon at once what a running gobgpd has learned', async () => {
      const stop = new AbortController();
      const client = createGobgpClient({ socket: b.gobgpd.socket, clock: realClock });
      const store = createStore();
      const common = { client, clock: realClock, signal: stop.signal, log: quiet };
      const watch = watchGobgp({ ...common, store });
      await until('live', () => watch.live);
      assert.deepEqual([...store.facts.learnedRoutes.keys()].toSorted(), [
        '10.1.0.0/24',
        'fd00:1::/64',
      ]);
      await until('synced', () => store.synced.has('learnedRoutes'), 5000);
      await watch[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    });

    it('notices a gobgpd that hangs, and fails its calls instead of waiting', async () => {
      const before = b.target.session;
      await b.gobgpd.freeze(true);
      const calls = b.target.listPeers(AbortSignal.timeout(20_000));
      await assert.rejects(calls, (error) => error instanceof GobgpError && error.isConnectionLoss);
      await until('noticed', () => b.target.session === undefined);
      assert.deepEqual(b.learned(), learnedOfA);
      await b.gobgpd.freeze(false);
      await until('back', () => b.target.session !== undefined);
      assert.notEqual(b.target.session, before);
      const state = async () => (await b.target.listPeers(AbortSignal.timeout(5000)))[0]?.state;
      await until('established', async () => (await state()) === 'established');
      await until('routes', () => a.learned().length === 1 && b.learned().length === 2);
    });

    it('does not start BGP twice', async () => {
      const signal = AbortSignal.timeout(5000);
      const [server] = serverRows(a, port).bgpServer ?? [];
      assert.ok(server);
      await assert.rejects(a.gobgpd.client.startBgp(server, signal), /already started/);
    });

    it('keeps the session when only the description changes', async () => {
      const signal = AbortSignal.timeout(5000);
      const before = await a.target.listPeers(signal);
      const rows = rowsOf(a, b, aPaths);
      const bgpPeers = rows.bgpPeers.map((row) => ({ ...row, description: 'node/renamed' }));
      a.want({ ...rows, bgpPeers });
      const peers = a.target.drivers.find((driver) => driver.table.name === 'bgpPeers');
      await until('written', async () => {
        const [held] = (await peers?.dump(signal)) ?? [];
        return (held?.row as { description?: string })?.description === 'node/renamed';
      });
      const after = await a.target.listPeers(signal);
      assert.equal(after[0]?.state, 'established');
      assert.ok((after[0]?.uptimeSeconds ?? 0) >= (before[0]?.uptimeSeconds ?? 0));
      a.want(rows);
    });

    it('takes routes away when they are withdrawn, and changes next hops in place', async () => {
      a.want(rowsOf(a, b, [['10.1.0.0/24', '192.0.2.9']]));
      await until('changed', () => b.learned().join() === '10.1.0.0/24 via 192.0.2.9');
      a.want(rowsOf(a, b, aPaths));
      await until('back', () => b.learned().length === 2);
    });

    it('keeps routes through a crash of gobgpd, replays it, and drops what has gone', async () => {
      const seen = { a: new Set<string>(), b: new Set<string>() };
      const look = setInterval(() => {
        seen.a.add(a.learned().join());
        seen.b.add(b.learned().join());
      }, 2);
      await b.gobgpd.kill();
      await until('noticed', () => !b.watch.live);
      assert.equal(b.watch.staleCount, 2);
      a.want(rowsOf(a, b, aPaths.slice(0, 1)));
      await b.gobgpd.restart();
      const state = async () =>
        (await b.target.listPeers(AbortSignal.timeout(5000)).catch(() => []))[0]?.state;
      await until('established again', async () => (await state()) === 'established');
      await until('the withdrawn route is gone', () => b.learned().length === 1);
      clearInterval(look);
      seen.b.add(b.learned().join());
      assert.deepEqual([...seen.b], [learnedOfA.join(), learnedOfA[0]], 'at the one that crashed');
      // RFC 4724: the neighbour keeps what the crashed one announced.
      assert.deepEqual([...seen.a], ['10.2.0.0/24 via 192.0.2.2'], 'at its neighbour');
      assert.equal(b.watch.staleCount, 0);
      assert.deepEqual([...a.failures(), ...b.failures()], []);
    });

    it('changes timers, and the router id where GoBGP can, and says so where it cannot', async () => {
      const rows = rowsOf(a, b, aPaths);
      a.want({
        ...rows,
        bgpServer: (rows.bgpServer ?? []).map((row) => ({ ...row, routerId: ip('192.0.2.77') })),
        bgpPeers: rows.bgpPeers.map((row) => ({ ...row, holdTimeSeconds: 30 })),
      });
      const signal = AbortSignal.timeout(60_000);
      if (version === 4) {
        await until('refused', () => a.failures().length === 1);
        const peerNow = async () => (await a.gobgpd.client.listPeers(signal))[0];
        await until('timers', async () => (await peerNow())?.row.holdTimeSeconds === 30);
        assert.equal((await peerNow())?.session, 'established', 'timers change in place');
        assert.match(a.failures()[0] ?? '', /restart gobgpd/);
        await a.gobgpd.kill();
        await a.gobgpd.restart();
      }
      const routerId = async () => (await a.gobgpd.client.getBgp(signal)).routerId;
      await until('restarted', async () => (await routerId()) === '192.0.2.77');
      await until('learned again', () => b.learned().join() === learnedOfA.join());
      await until('learned back', () => a.watch.live && a.watch.staleCount === 0);
      assert.deepEqual(a.learned(), ['10.2.0.0/24 via 192.0.2.2']);
      assert.equal((await a.gobgpd.client.listPeers(signal))[0]?.row.holdTimeSeconds, 30);
      assert.deepEqual(a.failures(), []);
    });

    it('forgets a peer that is no longer wanted', async () => {
      a.want({ ...serverRows(a, port), bgpPaths: [] });
      await until(
        'no peer',
        async () => (await a.target.listPeers(AbortSignal.timeout(5000))).length === 0,
      );
      await until('routes of the peer are gone', () => a.learned().length === 0);
    });
  });
}
