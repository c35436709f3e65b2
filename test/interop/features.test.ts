import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import { passwordDigest } from '../../src/core/password-digest.ts';
import type { BgpPathRow, BgpPeerRow, BgpPolicyRow } from '../../src/desired/rows.ts';
import { until } from '../bgp/gobgpd.ts';
import {
  absence,
  createRig,
  type Node,
  nodeAsn,
  path,
  type Rig,
  routerNames,
  serverRows,
  sessionRow,
} from './rig.ts';
import type { Announcement, Neighbour, Router } from './router.ts';

/** A router of the same or another AS, and our session with it. */
interface Side {
  readonly asn?: number;
  readonly neighbour?: Partial<Neighbour>;
  readonly peer?: Partial<BgpPeerRow>;
  readonly announcements?: readonly Announcement[];
}

interface Wanted {
  readonly paths?: readonly BgpPathRow[];
  readonly policies?: readonly BgpPolicyRow[];
}

const otherAsn = 65010;
/** The routers call every second: who is not there after two calls does not come. */
const staysDownMs = 2_500;
const passwordRow = (key: string) => ({ key, digest: passwordDigest(key) });

for (const name of routerNames) {
  const absent = absence(name);
  const title = `what a session with ${name} can be told`;
  describe(absent === undefined ? title : `${title} (${absent})`, function () {
    this.timeout(60_000);
    let rig: Rig;
    let node: Node;
    let lastIndex = 1;

    before(async function () {
      if (absent !== undefined) return this.skip();
      rig = await createRig();
      node = await rig.startNode(1);
    });
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });

    /** Fresh routers, so that no session of an earlier test matters. */
    async function start(sides: readonly Side[]): Promise<readonly Router[]> {
      const routers: Router[] = [];
      for (const { asn = otherAsn, neighbour, announcements = [] } of sides) {
        const neighbours = [{ address: node.address, asn: nodeAsn, ...neighbour }];
        const router = await rig.startRouter(name, ++lastIndex, { asn, neighbours });
        await router.announce(announcements);
        routers.push(router);
      }
      return routers;
    }

    function want(routers: readonly Router[], sides: readonly Side[], wanted: Wanted = {}): void {
      node.want({
        ...serverRows(rig, 1),
        bgpPeers: routers.map((router, i) => sessionRow(rig, 1, router, sides[i]?.peer)),
        bgpPaths: wanted.paths ?? [],
        bgpPolicies: wanted.policies ?? [],
      });
    }

    /** Both must say so: one alone may have sent what the other does not take. */
    async function isUp(router: Router): Promise<boolean> {
      const peers = await node.speaker.target.listPeers(AbortSignal.timeout(5000));
      const ours = peers.find((peer) => peer.address === router.config.routerId);
      if (ours?.state !== 'established') return false;
      return (await router.session(node.address)).established;
    }

    /** One router whose session is up. */
    async function connect(side: Side, wanted: Wanted = {}): Promise<Router> {
      const [router] = await start([side]);
      assert.ok(router);
      want([router], [side], wanted);
      await until('established', () => isUp(router));
      assert.deepEqual(node.speaker.failures(), []);
      return router;
    }

    let plain: Router | undefined;

    /** A router of another AS and a session with nothing special; tests in a row share it. */
    async function connectPlainly(wanted: Wanted, announcements: readonly Announcement[] = []) {
      plain ??= await connect({}, wanted);
      await plain.announce(announcements);
      want([plain], [], wanted);
      const router = plain;
      await until('established', () => isUp(router));
      return router;
    }

    /** Routers whose sessions do not come up. */
    async function stayDown(sides: readonly Side[]): Promise<readonly Router[]> {
      const routers = await start(sides);
      want(routers, sides);
      const deadline = performance.now() + staysDownMs;
      await until('deadline', async () => {
        for (const [i, router] of routers.entries())
          assert.equal(await isUp(router), false, JSON.stringify(sides[i]));
        return performance.now() > deadline;
      });
      return routers;
    }

    async function arrives(router: Router, to: string) {
      let found: Awaited<ReturnType<Router['paths']>> = [];
      await until(`${to} arrives`, async () => {
        found = await router.paths(prefix(to));
        return found.length === 1;
      });
      const [only] = found;
      assert.ok(only);
      return only;
    }

    // From two hops away at most: nothing below 254.
    const far = { hopsMax: 2 };
    const near = { hopsMax: 1 };
    const password = 'right';
    const right = passwordRow(password);

    it('a password, a TTL for a neighbour some hops away, TTL security', async () => {
      const sides = [
        { neighbour: { password }, peer: { password: right } },
        { neighbour: far, peer: { multihopTtl: 254 } },
        { neighbour: near, peer: { ttlMin: 255 } },
        { neighbour: { ...near, password }, peer: { ttlMin: 255, password: right } },
      ];
      const routers = await start(sides);
      want(routers, sides);
      for (const [i, router] of routers.entries())
        await until(JSON.stringify(sides[i]), () => isUp(router));
    });

    it('and there is no session when only one side was told', async () => {
      const sides = [
        { neighbour: { password }, peer: { password: passwordRow('wrong') } },
        { neighbour: { password } },
        { peer: { password: right } },
        { neighbour: far, peer: { multihopTtl: 253 } },
        { neighbour: near },
        { neighbour: { ttl: 254 }, peer: { ttlMin: 255 } },
      ];
      const [router] = await stayDown(sides);
      assert.ok(router);
      want([router], [{ peer: { password: right } }]);
      await until('established with the right password', () => isUp(router));
    });

    it('communities of three kinds, and a MED', async () => {
      const communities = ['1:2:3', '64512:7', 'rt:64512:100'];
      const paths = [path('10.1.0.0/24', '192.0.2.1', { communities, med: 50 })];
      const router = await connectPlainly({ paths });
      const got = await arrives(router, '10.1.0.0/24');
      assert.deepEqual(got.communities, ['64512:7']);
      assert.deepEqual(got.largeCommunities, ['1:2:3']);
      assert.deepEqual(got.extendedCommunities, ['rt:64512:100']);
      assert.equal(got.med, 50);
    });

    it('that a path will be gone soon (RFC 8326)', async () => {
      const staying = path('10.3.0.0/24', '192.0.2.1');
      const router = await connectPlainly({ paths: [staying] });
      assert.deepEqual((await arrives(router, staying.prefix)).communities, []);
      want([router], [], { paths: [{ ...staying, communities: ['65535:0'] }] });
      const communities = async () => (await router.paths(staying.prefix))[0]?.communities.join();
      await until('said', async () => (await communities()) === '65535:0');
    });

    it('an export policy: which prefixes, with a longer path and a community', async () => {
      const paths = [path('10.1.0.0/24', '192.0.2.1'), path('10.2.0.0/24', '192.0.2.1')];
      const policy: BgpPolicyRow = {
        direction: 'export',
        otherwise: 'reject',
        statements: [
          {
            name: 'wanted',
            prefixes: [{ prefix: prefix('10.2.0.0/16'), min: 24, max: 32 }],
            accept: true,
            addCommunities: ['64512:9'],
            prepend: { asn: nodeAsn, times: 2 },
          },
        ],
      };
      const router = await connectPlainly({ policies: [policy] });
      want([router], [], { paths, policies: [policy] });
      const got = await arrives(router, '10.2.0.0/24');
      assert.deepEqual(got.asPath, [nodeAsn, nodeAsn, nodeAsn]);
      assert.deepEqual(got.communities, ['64512:9']);
      // Without the policy the other one comes, too: it was the policy that held it back.
      await until('the only one', async () => (await router.routes()).length === 1);
      want([router], [], { paths });
      await arrives(router, '10.1.0.0/24');
    });

    it('an import policy: which prefixes, and with which preference', async () => {
      const nextHop = ip('192.0.2.9');
      const announcements = [
        { prefix: prefix('10.9.0.0/24'), nextHop },
        { prefix: prefix('10.8.0.0/24'), nextHop, communities: ['65010:666'] },
      ];
      const policy: BgpPolicyRow = {
        direction: 'import',
        otherwise: 'accept',
        statements: [{ name: 'unwanted', communities: ['65010:666'], accept: false }],
      };
      const router = await connectPlainly({ policies: [policy] }, announcements);
      const both = ['10.8.0.0/24 via 192.0.2.9', '10.9.0.0/24 via 192.0.2.9'];
      await until('learned', () => node.speaker.learned().join() === both[1]);
      want([router], [], {});
      await until('both', () => node.speaker.learned().join() === both.join());
      want([router], [], { policies: [policy] });
      await until('one again', () => node.speaker.learned().join() === both[1]);
    });

    it('a local preference and communities of an IPv6 path, within the AS', async () => {
      const attributes = { localPreference: 333, communities: ['64512:7'] };
      const router = await connect(
        { asn: nodeAsn },
        { paths: [path('fd00:1::/64', '2001:db8::1', attributes)] },
      );
      const got = await arrives(router, 'fd00:1::/64');
      assert.equal(got.localPref, 333);
      assert.deepEqual(got.communities, ['64512:7']);
    });

    it('route reflection: from one client to the other, with the cluster', async () => {
      const announcements = [{ prefix: prefix('10.9.0.0/24'), nextHop: ip('192.0.2.9') }];
      const peer = { reflectorClusterId: '10.77.77.77' };
      const sides = [
        { asn: nodeAsn, peer, announcements },
        { asn: nodeAsn, peer },
      ];
      const [from, to] = await start(sides);
      assert.ok(from && to);
      want([from, to], sides);
      const got = await arrives(to, '10.9.0.0/24');
      assert.equal(got.nextHop, '192.0.2.9');
      assert.equal(got.originatorId, from.config.routerId);
      assert.deepEqual(got.clusterList, ['10.77.77.77']);
    });

    it('a limit of prefixes: who sends more loses the session', async () => {
      const nextHop = ip('192.0.2.9');
      const few = [1, 2, 3].map((i) => ({ prefix: prefix(`10.9.${i}.0/24`), nextHop }));
      const router = await connect({ announcements: few, peer: { maxPrefixes: 3 } });
      await until('learned', () => node.speaker.learned().length === few.length);
      await router.announce([...few, { prefix: prefix('10.9.4.0/24'), nextHop }]);
      await until('ended', async () => !(await isUp(router)));
    });

    it('how long our routes live without us (RFC 9494)', async () => {
      const paths = [path('10.1.0.0/24', '192.0.2.1'), path('10.2.0.0/24', '192.0.2.1')];
      // We call: bgpd of FRR 8.4 does not call again once the restart time is over.
      const peer = { gracefulRestartSeconds: 1, longLivedSeconds: 60, passive: false };
      const router = await connect({ peer }, { paths });
      await arrives(router, '10.1.0.0/24');
      await node.gobgpd.kill();
      const communities = async () => (await router.paths(prefix('10.1.0.0/24')))[0]?.communities;
      await until('stale for long', async () => (await communities())?.join() === '65535:6');
      await node.gobgpd.restart();
      await until('fresh', async () => (await communities())?.join() === '');
    });
  });
}
