import assert from 'node:assert/strict';
import { ip, prefixOf } from '../../src/core/ip.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, pathRows, type Speaker, serverRows, startSpeaker } from './speaker.ts';

const programs = findGobgpd();
const manyRoutes = 20_000;

for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`learned routes from a real gobgpd ${version}${absent}`, function () {
    this.timeout(90_000);
    const vip = '203.0.113.80/32';
    let port = 0;
    let a: Speaker;
    let b: Speaker;
    let c: Speaker;

    const announce = (from: Speaker, paths: readonly (readonly [string, string])[]) =>
      from.want({
        ...serverRows(from, port),
        bgpPeers: [nodePeerRow(from, c, port)],
        bgpPaths: pathRows(paths),
      });

    before(async function () {
      if (program === undefined) return this.skip();
      port = await freePort();
      // The listener has the lowest address, so both others connect to it.
      c = await startSpeaker(program, 1, { staleSeconds: 2, startupSeconds: 2 });
      a = await startSpeaker(program, 2);
      b = await startSpeaker(program, 3);
      c.want({
        ...serverRows(c, port),
        bgpPeers: [nodePeerRow(c, a, port), nodePeerRow(c, b, port)],
      });
      announce(a, [[vip, '192.0.2.2']]);
      announce(b, [[vip, '192.0.2.3']]);
    });
    after(async () => {
      for (const speaker of [a, b, c]) await speaker?.[Symbol.asyncDispose]();
    });

    it('marks routes synced after a while although no neighbour is up', async () => {
      await until('synced', () => c.store.synced.has('learnedRoutes'), 15_000);
    });

    it('spreads over all nodes that announce a prefix', async () => {
      await until('both', () => c.learned().join() === `${vip} via 192.0.2.2 192.0.2.3`);
    });

    it('goes on with the other when one withdraws, and with both when it is back', async () => {
      announce(a, []);
      await until('one', () => c.learned().join() === `${vip} via 192.0.2.3`);
      announce(a, [[vip, '192.0.2.2']]);
      await until('both', () => c.learned().join() === `${vip} via 192.0.2.2 192.0.2.3`);
    });

    it('prefers its own path, which is no learned route', async () => {
      const rows = {
        ...serverRows(c, port),
        bgpPeers: [nodePeerRow(c, a, port), nodePeerRow(c, b, port)],
      };
      c.want({ ...rows, bgpPaths: pathRows([[vip, '192.0.2.1']]) });
      await until('none', () => c.learned().length === 0);
      c.want(rows);
      await until('both', () => c.learned().join() === `${vip} via 192.0.2.2 192.0.2.3`);
    });

    it(`takes ${manyRoutes} routes and their withdrawal`, async () => {
      const many = Array.from({ length: manyRoutes }, (_, i) => {
        const bytes = `10.${(i >> 8) & 255}.${i & 255}.0`;
        return { prefix: prefixOf(ip(bytes), 24), nextHop: ip('192.0.2.2') };
      });
      const signal = AbortSignal.timeout(60_000);
      const change = (withdraw: boolean) =>
        a.gobgpd.client.applyPaths(
          many.map((path) => ({ ...path, withdraw })),
          signal,
        );
      await change(false);
      await until('all', () => c.store.facts.learnedRoutes.size === manyRoutes + 1);
      await change(true);
      await until('none', () => c.store.facts.learnedRoutes.size === 1);
    });

    it('gives up stale routes when gobgpd does not come back', async () => {
      await c.gobgpd.kill();
      await until('noticed', () => !c.watch.live);
      const lostMs = performance.now();
      assert.deepEqual(c.learned(), [`${vip} via 192.0.2.2 192.0.2.3`]);
      await until('given up', () => c.learned().length === 0);
      const keptMs = performance.now() - lostMs;
      assert.ok(keptMs > 1_500 && keptMs < 6_000, `${keptMs} ms`);
    });
  });
}
