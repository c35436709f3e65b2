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

const kinds = [
  { kind: 'eBGP', asn: 65010, over: 4 },
  { kind: 'iBGP', asn: nodeAsn, over: 4 },
  { kind: 'eBGP', asn: 65010, over: 6 },
] as const;

for (const name of routerNames) {
  const absent = absence(name);
  for (const { kind, asn, over } of kinds) {
    const title = `${kind} with ${name} over IPv${over}`;
    describe(absent === undefined ? title : `${title} (${absent})`, function () {
      this.timeout(60_000);
      let rig: Rig;
      let node: Node;
      let router: Router;
      let sessionAddress = ip('::');
      const ours = [
        path('10.1.0.0/24', '192.0.2.1'),
        path('10.1.1.7/32', '192.0.2.1'),
        path('fd00:1::/64', '2001:db8::1'),
      ];
      const theirs: readonly Announcement[] = [
        { prefix: prefix('10.9.0.0/16'), nextHop: ip('192.0.2.9') },
        { prefix: prefix('fd00:9::/64'), nextHop: ip('2001:db8::9') },
      ];
      const theirLines = ['10.9.0.0/16 via 192.0.2.9', 'fd00:9::/64 via 2001:db8::9'];
      const want = (paths = ours) =>
        node.want({
          ...serverRows(rig, 1),
          bgpPeers: [
            sessionRow(rig, 1, router, {
              address: rig.address(2, over),
              localAddress: rig.address(1, over),
            }),
          ],
          bgpPaths: paths,
        });
      const prefixes = async () => (await router.routes()).map((route) => route.prefix).toSorted();

      before(async function () {
        if (absent !== undefined) return this.skip();
        rig = await createRig();
        node = await rig.startNode(1);
        sessionAddress = rig.address(1, over);
        router = await rig.startRouter(name, 2, {
          asn,
          neighbours: [{ address: sessionAddress, asn: nodeAsn }],
        });
        want();
        await router.announce(theirs);
      });
      afterEach(stopSampling);
      after(async () => {
        await rig?.[Symbol.asyncDispose]();
      });

      it('comes up, and our paths arrive with their next hops', async () => {
        await until('all of ours', async () => (await router.routes()).length === ours.length);
        assert.equal((await router.session(sessionAddress)).established, true);
        for (const row of ours) {
          const [got, ...others] = await router.paths(row.prefix);
          assert.deepEqual(others, []);
          assert.equal(got?.nextHop, row.nextHop);
          assert.equal(got?.from, sessionAddress);
          assert.deepEqual(got?.asPath, kind === 'eBGP' ? [nodeAsn] : []);
        }
        assert.deepEqual(node.speaker.failures(), []);
      });

      it('teaches us its paths with their next hops', async () => {
        await until('all of theirs', () => node.speaker.learned().length === theirs.length);
        assert.deepEqual(node.speaker.learned(), theirLines);
      });

      it('hears of a withdrawal, and of nothing else', async () => {
        const before = await router.routes();
        want(ours.slice(1));
        await until('withdrawn', async () => (await router.routes()).length === ours.length - 1);
        const gone = before.filter((route) => route.prefix !== ours[0]?.prefix);
        assert.deepEqual(await router.routes(), gone);
        want();
        await until('back', async () => (await router.routes()).length === ours.length);
        assert.deepEqual(await prefixes(), ours.map((row) => row.prefix).toSorted());
      });

      it('takes its routes from us within a second', async () => {
        const startMs = performance.now();
        await router.announce(theirs.slice(1));
        await until('gone', () => node.speaker.learned().length === theirs.length - 1);
        const tookMs = performance.now() - startMs;
        assert.deepEqual(node.speaker.learned(), theirLines.slice(1));
        assert.ok(tookMs < 1000, `${tookMs} ms`);
        await router.announce(theirs);
        await until('back', () => node.speaker.learned().length === theirs.length);
      });

      it('moves a route to another next hop in place', async () => {
        const learned = sample(() => node.speaker.learned().join());
        const [first, ...rest] = theirs;
        assert.ok(first);
        await router.announce([{ ...first, nextHop: ip('192.0.2.10') }, ...rest]);
        const moved = theirLines.with(0, '10.9.0.0/16 via 192.0.2.10');
        await until('moved', () => node.speaker.learned().join() === moved.join());
        assert.deepEqual(await learned.seen(), [theirLines.join(), moved.join()]);
        await router.announce(theirs);
        await until('back', () => node.speaker.learned().join() === theirLines.join());
      });
    });
  }
}
