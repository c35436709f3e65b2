import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import { until } from '../bgp/gobgpd.ts';
import {
  absence,
  createRig,
  type Node,
  nodeAsn,
  path,
  type Rig,
  routerNames,
  sample,
  serverRows,
  sessionRow,
  stopSampling,
} from './rig.ts';
import type { Announcement, Router } from './router.ts';

for (const name of routerNames) {
  const absent = absence(name);
  const title = `restarts beside ${name}`;
  describe(absent === undefined ? title : `${title} (${absent})`, function () {
    this.timeout(60_000);
    let rig: Rig;
    let node: Node;
    let router: Router;
    const ours = [
      path('10.1.0.0/24', '192.0.2.1'),
      path('10.1.1.0/24', '192.0.2.1'),
      path('fd00:1::/64', '2001:db8::1'),
    ];
    const theirs: readonly Announcement[] = [
      { prefix: prefix('10.9.0.0/16'), nextHop: ip('192.0.2.9') },
      { prefix: prefix('10.10.0.0/16'), nextHop: ip('192.0.2.9') },
      { prefix: prefix('fd00:9::/64'), nextHop: ip('2001:db8::9') },
    ];
    const want = (paths = ours) =>
      node.want({
        ...serverRows(rig, 1),
        bgpPeers: [sessionRow(rig, 1, router)],
        bgpPaths: paths,
      });
    const learned = () => node.speaker.learned().join();
    const routes = async () => JSON.stringify(await router.routes());
    const session = () => router.session(node.address);
    const peer = async () => {
      const [first] = await node.speaker.target.listPeers(AbortSignal.timeout(5000));
      return first;
    };
    const settled = async () => {
      const { established, helping } = await session();
      return established && !helping;
    };

    before(async function () {
      if (absent !== undefined) return this.skip();
      rig = await createRig();
      node = await rig.startNode(1);
      router = await rig.startRouter(name, 2, {
        asn: 65010,
        neighbours: [{ address: node.address, asn: nodeAsn }],
      });
      await router.announce(theirs);
      want();
    });
    beforeEach(async () => {
      await until('our routes', async () => (await router.routes()).length === ours.length);
      await until('their routes', () => node.speaker.learned().length === theirs.length);
    });
    afterEach(stopSampling);
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });

    it('changes nothing when the daemon ends and starts again', async () => {
      const before = { session: await session(), routes: await routes(), learned: learned() };
      const seen = sample(routes);
      await node.restartDaemon();
      await until('learned again', () => learned() === before.learned);
      await until('converged', () => node.speaker.store.synced.has('learnedRoutes'));
      assert.deepEqual(await seen.seen(), [before.routes]);
      assert.deepEqual(await session(), before.session);
      assert.deepEqual(node.speaker.failures(), []);
    });

    it('keeps our routes while our gobgpd is away after a crash', async () => {
      const before = { session: await session(), routes: await routes(), learned: learned() };
      const seen = { theirs: sample(routes), ours: sample(learned) };
      await node.gobgpd.kill();
      await until('noticed', async () => (await session()).helping);
      // Until the new one calls. It does not claim that it forwarded meanwhile (the F bit of
      // RFC 4724, which GoBGP sets for `local_restarting` only), so then they are replaced.
      assert.deepEqual(await seen.theirs.seen(), [before.routes]);
      await node.gobgpd.restart();
      await until('settled', settled);
      const settledMs = performance.now();
      await until('all', async () => (await router.routes()).length === ours.length);
      const tookMs = performance.now() - settledMs;
      assert.ok(tookMs < 500, `${tookMs} ms without routes`);
      await until('learned again', () => node.speaker.watch.live && !node.speaker.watch.staleCount);
      assert.deepEqual(await seen.ours.seen(), [before.learned]);
      assert.notEqual((await session()).incarnation, before.session.incarnation);
    });

    it('drops of them what is no longer wanted when gobgpd is back', async () => {
      await node.gobgpd.kill();
      await until('noticed', async () => (await session()).helping);
      want(ours.slice(1));
      await node.gobgpd.restart();
      await until('settled', settled);
      const rest = ours.slice(1).map((row) => row.prefix);
      const held = async () => (await router.routes()).map((route) => route.prefix).toSorted();
      await until('dropped', async () => (await held()).join() === rest.join());
      want();
    });

    it('leaves us its routes through a crash of its own, and takes those it lost in it', async () => {
      const before = node.speaker.learned();
      const seen = sample(learned);
      await router.kill();
      await router.announce(theirs.slice(0, 1));
      // GoBGP turns every call away for some seconds after the end of a session.
      await until('listening', async () => (await peer())?.state === 'active');
      assert.equal(learned(), before.join());
      await router.restart();
      const left = before.filter((line) => line.startsWith('10.9.0.0/16'));
      await until('gone', () => learned() === left.join());
      assert.equal((await peer())?.state, 'established');
      // The route that goes on is never among those that go.
      for (const value of await seen.seen()) assert.ok(value.includes(left.join()), value);
    });
  });
}
