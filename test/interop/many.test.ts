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
import type { Router } from './router.ts';

const manyPrefixes = 10_000;

for (const name of routerNames) {
  const absent = absence(name);
  const title = `two routers, both ${name}`;
  describe(absent === undefined ? title : `${title} (${absent})`, function () {
    this.timeout(60_000);
    let rig: Rig;
    let node: Node;
    let routers: readonly [Router, Router];
    const vip = { prefix: prefix('10.9.0.0/16'), nextHop: ip('192.0.2.9') };
    const other = { ...vip, nextHop: ip('192.0.2.10') };
    const ours = [path('10.1.0.0/24', '192.0.2.1')];
    const learned = () => node.speaker.learned().join();
    const killed = '10.9.0.0/16 via 192.0.2.9';
    const withdrawn = '10.9.0.0/16 via 192.0.2.10';
    const both = '10.9.0.0/16 via 192.0.2.10 192.0.2.9';
    before(async function () {
      if (absent !== undefined) return this.skip();
      rig = await createRig();
      node = await rig.startNode(1);
      const neighbours = [{ address: node.address, asn: nodeAsn }];
      routers = [
        await rig.startRouter(name, 2, { asn: 65010, neighbours }),
        // Neighbours forget what this one said when it dies.
        await rig.startRouter(name, 3, { asn: 65011, neighbours, restartSeconds: 0 }),
      ];
      await routers[0].announce([vip]);
      await routers[1].announce([other]);
      const bgpPeers = routers.map((router) => sessionRow(rig, 1, router));
      node.want({ ...serverRows(rig, 1), bgpPeers, bgpPaths: ours });
    });
    afterEach(stopSampling);
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });

    it('are both ways to the same prefix, and get our paths', async () => {
      for (const router of routers) {
        const isOurs = async () => (await router.paths(prefix('10.1.0.0/24'))).length === 1;
        await until('our path', isOurs);
      }
      await until('both', () => learned() === both);
      assert.deepEqual(node.speaker.failures(), []);
    });

    it('leave one way when the other withdraws', async () => {
      const seen = sample(learned);
      await routers[0].announce([]);
      await until('one', () => learned() === withdrawn);
      await routers[0].announce([vip]);
      await until('both', () => learned() === both);
      assert.deepEqual(await seen.seen(), [both, withdrawn]);
    });

    it('leave one way when the other is killed', async () => {
      const seen = sample(learned);
      await routers[1].kill();
      await until('one', () => learned() === killed);
      assert.deepEqual(await seen.seen(), [both, killed]);
    });

    it(`bring ${manyPrefixes} prefixes and take them away, and no session suffers`, async () => {
      const before = await routers[0].session(node.address);
      const many = Array.from({ length: manyPrefixes }, (_, i) => ({
        prefix: prefix(`11.${i >> 8}.${i & 255}.0/24`),
        nextHop: ip('192.0.2.9'),
      }));
      const { learnedRoutes } = node.speaker.store.facts;
      await routers[0].announce([vip, ...many]);
      await until('all', () => learnedRoutes.size === manyPrefixes + 1);
      for (const { prefix: each, nextHop } of many)
        assert.deepEqual(learnedRoutes.get(each)?.nextHops, [nextHop]);
      await routers[0].announce([vip]);
      await until('none', () => learnedRoutes.size === 1);
      assert.equal(learned(), killed);
      assert.deepEqual(await routers[0].session(node.address), before);
    });

    it('are both ways again when the killed one is back', async () => {
      const seen = sample(learned);
      await routers[1].restart();
      await until('both', () => learned() === both);
      assert.deepEqual(await seen.seen(), [killed, both]);
    });
  });
}
