import assert from 'node:assert/strict';
import { ip, prefix } from '../../src/core/ip.ts';
import { pathRow } from '../../src/desired/bgp.ts';
import { evaluatePolicy, type PolicyPath } from '../../src/desired/bgp-policy.ts';
import { everyMarker, peerMarker, podsMarker, servicesMarker } from '../../src/desired/markers.ts';
import type { BgpPathRow, BgpPolicyRow } from '../../src/desired/rows.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, type Speaker, serverRows, startSpeaker } from './speaker.ts';

/** Statements with each condition and each action, and paths that meet them in turn. */
const exports: BgpPolicyRow = {
  direction: 'export',
  otherwise: 'reject',
  statements: [
    { name: 'never', communities: ['64512:66'], accept: false },
    {
      name: 'marked',
      communities: [servicesMarker],
      routeType: 'local',
      accept: true,
      removeCommunities: [everyMarker],
      addCommunities: ['64512:9', '64512:1:9'],
      med: 30,
      prepend: { asn: 64_999, times: 2 },
    },
    { name: 'not local', routeType: 'external', accept: true },
    {
      name: 'tens',
      prefixes: [{ prefix: prefix('10.0.0.0/8'), min: 16, max: 24 }],
      accept: true,
    },
  ],
};
const imports: BgpPolicyRow = {
  direction: 'import',
  otherwise: 'accept',
  statements: [
    {
      name: 'small',
      prefixes: [{ prefix: prefix('10.2.0.0/16'), min: 24, max: 32 }],
      accept: false,
    },
    { name: 'nobody', peers: [ip('192.0.2.99')], accept: false },
    { name: 'large', communities: ['64512:5:5'], accept: true, localPreference: 250 },
    { name: 'rest', routeType: 'internal', accept: true, addCommunities: ['64512:77'] },
  ],
};
const nextHop = ip('192.0.2.2');
const paths: readonly BgpPathRow[] = (
  [
    ['10.1.0.0/16', []],
    ['10.1.2.0/25', []],
    ['10.2.3.0/24', []],
    ['10.2.0.0/16', ['64512:5:5']],
    ['10.3.0.0/16', ['64512:66', servicesMarker]],
    ['11.1.0.0/16', ['64512:5']],
    ['11.2.0.0/16', [podsMarker, servicesMarker, peerMarker('gone'), '64512:5:5', '64512:5']],
    ['10.4.0.0/16', [podsMarker, '64512:5:5']],
  ] as const
).map(([to, communities], i) =>
  pathRow(prefix(to), nextHop, { communities: communities.toSorted(), med: 10 + i }),
);

const programs = findGobgpd();
for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`policies: what is said of them, and a real gobgpd ${version}${absent}`, function () {
    this.timeout(60_000);
    let here: Speaker;
    let there: Speaker;

    before(async function () {
      if (program === undefined) return this.skip();
      const port = await freePort();
      here = await startSpeaker(program, 1);
      there = await startSpeaker(program, 2);
      here.want({
        ...serverRows(here, port),
        bgpPolicies: [imports],
        bgpPeers: [nodePeerRow(here, there, port)],
      });
      there.want({
        ...serverRows(there, port),
        bgpPolicies: [exports],
        bgpPaths: paths,
        bgpPeers: [nodePeerRow(there, here, port)],
      });
    });
    after(async () => {
      for (const speaker of [here, there]) await speaker?.[Symbol.asyncDispose]();
    });

    /** What `here` should have of a path of `there`, as the evaluator says. */
    function expected({ prefix: to, communities, localPreference, med }: BgpPathRow) {
      const ends = (a: Speaker, b: Speaker) => ({
        address: ip(b.gobgpd.address),
        localAddress: ip(a.gobgpd.address),
      });
      const own: PolicyPath = {
        ...{ prefix: to, nextHop, communities, localPreference, med },
        asPath: [],
        routeType: 'local',
      };
      const out = evaluatePolicy(exports, own, ends(there, here));
      if (!out.accept) return undefined;
      const told = { ...out.path, routeType: 'internal' as const, localPreference: 100 };
      const taken = evaluatePolicy(imports, told, ends(here, there));
      return taken.accept ? taken.path : undefined;
    }

    it('agree on which paths pass both, and on what becomes of them', async () => {
      const wanted = paths.flatMap((path) => expected(path) ?? []);
      assert.ok(wanted.length > 2 && wanted.length < paths.length, `${wanted.length}`);
      const names = wanted.map((one) => `${one.prefix} via ${one.nextHop}`).toSorted();
      await until('all', () => here.learned().join() === names.join()).catch(() =>
        assert.deepEqual(here.learned(), names),
      );
      for (const one of wanted) {
        const signal = AbortSignal.timeout(5_000);
        const found = await here.gobgpd.client.lookup(one.prefix, { kind: 'best' }, signal);
        const path = found.find((candidate) => candidate.prefix === one.prefix);
        assert.deepEqual(
          {
            communities: path?.communities,
            localPreference: path?.localPreference,
            med: path?.med,
            asPath: path?.asPath,
          },
          {
            communities: one.communities.toSorted(),
            localPreference: one.localPreference,
            med: one.med,
            asPath: one.asPath.map(String),
          },
          one.prefix,
        );
      }
    });
  });
}
