import assert from 'node:assert/strict';
import type { GobgpClient } from '../../src/bgp/client.ts';
import { createPolicyDriver } from '../../src/bgp/policy-driver.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { pathRow } from '../../src/desired/bgp.ts';
import type { BgpPolicyRow, BgpStatement } from '../../src/desired/rows.ts';
import { createSite, findGobgpd, freePort, type Site, until } from './gobgpd.ts';
import {
  asn,
  attachSpeaker,
  nodePeerRow,
  type Speaker,
  serverRows,
  startSpeaker,
  table,
} from './speaker.ts';

const programs = findGobgpd();
const asnOfT = 64601;
const soon = () => AbortSignal.timeout(5000);

/** A client whose calls of that name are never made. */
function dyingBefore(name: string, client: GobgpClient): GobgpClient {
  const call: GobgpClient['call'] = (called, ...rest) =>
    called === name ? Promise.reject(new Error('died')) : client.call(called, ...rest);
  return Object.create(client, { call: { value: call } });
}

for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`policies in a real gobgpd ${version}${absent}`, function () {
    this.timeout(60_000);
    let port = 0;
    let site: Site | undefined;
    /** The one with policies; a neighbour of another AS, and one of the same. */
    let r: Speaker;
    let t: Speaker;
    let u: Speaker;

    const fromT = () => [
      pathRow(prefix('10.50.7.0/24'), ip(t.gobgpd.address), { communities: ['64601:1'] }),
      pathRow(prefix('10.60.0.0/24'), ip(t.gobgpd.address), { communities: ['64601:666'] }),
      pathRow(prefix('10.99.0.0/24'), ip(t.gobgpd.address)),
      pathRow(prefix('fd99::/64'), ip('2001:db8::99')),
    ];
    const ownPaths = [
      pathRow(prefix('10.1.0.0/24'), ip('192.0.2.1'), {
        communities: ['64512:1:1', '64512:5'],
        med: 7,
      }),
      pathRow(prefix('10.2.0.0/24'), ip('192.0.2.1'), { localPreference: 150 }),
      pathRow(prefix('fd00:1::/64'), ip('2001:db8::1'), {
        communities: ['lb:64512:125000000', 'rt:64512:1', 'rt:70000:5'],
      }),
    ];
    const rowsOfR = (policies: readonly BgpPolicyRow[]) => ({
      ...serverRows(r, port),
      bgpPolicies: policies,
      bgpPaths: ownPaths,
      bgpPeers: [nodePeerRow(r, t, port, { asn: asnOfT }), nodePeerRow(r, u, port)],
    });
    const exporting = (statements: readonly BgpStatement[]): BgpPolicyRow => ({
      direction: 'export',
      otherwise: 'reject',
      statements,
    });
    const importing = (statements: readonly BgpStatement[]): BgpPolicyRow => ({
      direction: 'import',
      otherwise: 'reject',
      statements,
    });
    const toT = (more: Partial<BgpStatement> = {}): BgpStatement => ({
      name: 't services',
      peers: [ip(t.gobgpd.address)],
      communities: ['64512:1:1'],
      accept: true,
      removeCommunities: ['64512:1:1', '64512:5'],
      addCommunities: ['64512:9:9', '64601:7', 'rt:64512:8', 'rt:70000:9'],
      prepend: { asn, times: 2 },
      med: 55,
      nextHop: 'self',
      ...more,
    });
    const toU = (more: Partial<BgpStatement> = {}): BgpStatement => ({
      name: 'u',
      peers: [prefix(`${u.gobgpd.address}/32`)],
      accept: true,
      removeCommunities: ['64512:5', 'rt:70000:5'],
      localPreference: 300,
      ...more,
    });
    const notToT = (): BgpStatement => ({
      name: 't nothing else',
      peers: [ip(t.gobgpd.address)],
      accept: false,
    });
    const fromPeer = (): BgpStatement[] => [
      { name: 'bad', communities: ['64601:666'], accept: false },
      {
        name: 'good',
        // The route is within the longer one, too, whose lengths do not fit.
        prefixes: [
          { prefix: prefix('10.48.0.0/12'), min: 24, max: 24 },
          { prefix: prefix('10.50.0.0/16'), min: 16, max: 16 },
        ],
        routeType: 'external',
        accept: true,
        addCommunities: ['64512:1000'],
        localPreference: 250,
      },
    ];
    const asSeenByT = (large: string) =>
      `10.1.0.0/24 via ${r.gobgpd.address} ${large} 64601:7 rt:64512:8 rt:70000:9 med 55 path ${asn} ${asn} ${asn}`;
    const learned = async (speaker: Speaker, own: readonly string[]) =>
      (await table(speaker)).filter((line) => !own.some((text) => line.startsWith(text)));
    const atT = () => learned(t, ['10.50.', '10.60.', '10.99.', 'fd99']);
    const atR = () => learned(r, ['10.1.', '10.2.', 'fd00:1:']);
    const ups = async () =>
      (await r.gobgpd.client.listPeers(AbortSignal.timeout(5000)))
        .map((peer) => `${peer.row.address} ${peer.upSince}`)
        .toSorted();
    const settled = (what: string, read: () => Promise<string[]>, expected: readonly string[]) =>
      until(what, async () => (await read()).join('\n') === expected.join('\n'), 15_000).catch(
        async () => assert.deepEqual(await read(), expected, what),
      );

    before(async function () {
      if (program === undefined) return this.skip();
      site = createSite();
      if (site === undefined) {
        console.log('no network namespace can be made here');
        return this.skip();
      }
      port = await freePort();
      r = await startSpeaker(program, 1, { site });
      t = await startSpeaker(program, 2, { site });
      u = await startSpeaker(program, 3, { site });
      t.want({
        ...serverRows(t, port, asnOfT),
        bgpPeers: [nodePeerRow(t, r, port)],
        bgpPaths: fromT(),
      });
      u.want({ ...serverRows(u, port), bgpPeers: [nodePeerRow(u, r, port)] });
      r.want(rowsOfR([importing(fromPeer()), exporting([toT(), notToT(), toU()])]));
    });
    after(async () => {
      for (const speaker of [r, t, u]) await speaker?.[Symbol.asyncDispose]();
      site?.[Symbol.dispose]();
    });

    it('sends one neighbour what has a large community, and changes it', async () => {
      await settled('at t', atT, [asSeenByT('64512:9:9')]);
      assert.deepEqual(r.failures(), []);
    });

    it('sends another neighbour other things', async () => {
      await settled('at u', () => table(u), [
        `10.1.0.0/24 via 192.0.2.1 64512:1:1 pref 300 med 7 path`,
        `10.2.0.0/24 via 192.0.2.1 pref 300 path`,
        `10.50.7.0/24 via ${t.gobgpd.address} 64512:1000 64601:1 pref 300 path ${asnOfT}`,
        `fd00:1::/64 via 2001:db8::1 rt:64512:1 pref 300 path`,
      ]);
    });

    it('takes only what the import policy lets in, and sets its preference', async () => {
      await settled('at r', atR, [
        `10.50.7.0/24 via ${t.gobgpd.address} 64512:1000 64601:1 pref 250 path ${asnOfT}`,
      ]);
      const peers = await r.target.listPeers(AbortSignal.timeout(5000));
      const status = peers.find((peer) => peer.address === t.gobgpd.address);
      assert.deepEqual([status?.received, status?.accepted, status?.flaps], [4, 4, 0]);
    });

    it('sends a change to whom it concerns, in the session that is there', async () => {
      const before = await ups();
      r.calls();
      const changed = toT({
        addCommunities: ['64512:10:10', '64601:7', 'rt:64512:8', 'rt:70000:9'],
      });
      r.want(rowsOfR([importing(fromPeer()), exporting([changed, notToT(), toU()])]));
      await settled('at t', atT, [asSeenByT('64512:10:10')]);
      await until('all calls', async () => (await policyNames()).length === 2);
      const calls = r.calls();
      assert.equal(calls.filter((name) => name === 'ResetPeer').length, 1);
      assert.ok(!calls.includes('UpdatePeer'));
      assert.deepEqual(await ups(), before);
      const status = await r.target.listPeers(AbortSignal.timeout(5000));
      assert.deepEqual(
        status.map((peer) => peer.flaps),
        [0, 0],
      );
    });

    const policyNames = () =>
      r.gobgpd.client.list(
        'ListPolicy',
        (d) => d.listPolicies(),
        (d) => d.decodePolicy,
        AbortSignal.timeout(5000),
      );

    it('lets a daemon that starts find all of it, without a call', async () => {
      const changed = toT({
        addCommunities: ['64512:10:10', '64601:7', 'rt:64512:8', 'rt:70000:9'],
      });
      const rows = rowsOfR([importing(fromPeer()), exporting([changed, notToT(), toU()])]);
      const second = attachSpeaker(r.gobgpd, { rows });
      await until('one round', async () => second.target.session !== undefined);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.deepEqual(second.calls(), []);
      assert.deepEqual(second.failures(), []);
      // It knows what it wants, and so what the target holds.
      const driver = second.target.drivers.find((one) => one.table.name === 'bgpPolicies');
      const held = await driver?.dump(AbortSignal.timeout(5000));
      const rowOf = (direction: string) => held?.find((entry) => entry.key === direction)?.row;
      for (const row of rows.bgpPolicies) assert.deepEqual(rowOf(row.direction), row);
      await second[Symbol.asyncDispose]();
    });

    it('tells neighbours what a daemon that died half way did not', async () => {
      const driver = createPolicyDriver(dyingBefore('ResetPeer', r.gobgpd.client));
      const to = exporting([notToT(), toU()]);
      const outcomes = await driver.apply([{ key: 'export', from: undefined, to }], soon());
      assert.equal(outcomes[0]?.status, 'failed');
      if (version === 4) assert.deepEqual(await atT(), [asSeenByT('64512:10:10')]);
      const next = createPolicyDriver(r.gobgpd.client);
      const held = await next.dump(soon());
      assert.deepEqual(held.find((entry) => entry.key === 'export')?.row, undefined);
      const written = await next.apply([{ key: 'export', from: undefined, to }], soon());
      assert.deepEqual(written, [{ status: 'done' }]);
      await settled('at t', atT, []);
      assert.equal((await policyNames()).length, 2);
      // The same on the way to no policy at all.
      const last = createPolicyDriver(dyingBefore('ResetPeer', r.gobgpd.client));
      await last.apply([{ key: 'export', from: to, to: undefined }], soon());
      const after = createPolicyDriver(r.gobgpd.client);
      const left = await after.dump(soon());
      assert.deepEqual(
        left.map((entry) => entry.key),
        ['import', 'export'],
      );
      await after.apply([{ key: 'export', from: undefined, to: undefined }], soon());
      await until('all at t', async () => (await atT()).length === 3);
      assert.equal((await policyNames()).length, 1);
    });

    it('judges again what it has, when the import policy changes', async () => {
      const before = await ups();
      const all = importing([{ name: 'all', peers: [ip(t.gobgpd.address)], accept: true }]);
      r.want(rowsOfR([all, exporting([toT(), notToT(), toU()])]));
      await until('at r', async () => (await atR()).length === 4);
      r.want(rowsOfR([importing(fromPeer()), exporting([toT(), notToT(), toU()])]));
      await until('again', async () => (await atR()).length === 1);
      assert.deepEqual(await ups(), before);
      await settled('own paths stay', atT, [asSeenByT('64512:9:9')]);
    });

    it('matches extended communities, route types and a policy without conditions', async () => {
      const rt = toU({ communities: ['rt:70000:5', 'rt:1:1'], removeCommunities: [] });
      const local = toU({
        name: 'local',
        routeType: 'local',
        prefixes: [{ prefix: prefix('0.0.0.0/0'), min: 0, max: 32 }],
      });
      r.want(rowsOfR([importing(fromPeer()), exporting([rt, local])]));
      await settled('at u', () => table(u), [
        `10.1.0.0/24 via 192.0.2.1 64512:1:1 pref 300 med 7 path`,
        `10.2.0.0/24 via 192.0.2.1 pref 300 path`,
        `fd00:1::/64 via 2001:db8::1 lb:64512:125000000 rt:64512:1 rt:70000:5 pref 300 path`,
      ]);
      await settled('at t', atT, []);
      r.want(rowsOfR([exporting([{ name: 'reset', nextHop: ip('192.0.2.77'), accept: true }])]));
      await until('at t', async () => (await atT()).length === 3);
      assert.match((await atT())[1] ?? '', /via 192\.0\.2\.77 /);
    });

    it('says what GoBGP cannot do, and keeps what is there', async () => {
      const [before] = (await policyNames()).filter((name) => name.startsWith('kvr-export-'));
      r.want(rowsOfR([exporting([{ name: 'lb', communities: ['lb:1:2'], accept: true }])]));
      await until('refused', () => r.failures().length === 1);
      assert.match(r.failures()[0] ?? '', /bgpPolicies export: .*cannot match a link bandwidth/);
      assert.deepEqual(await policyNames(), [before]);
    });

    it('lets everything pass when there is no policy, and leaves nothing behind', async () => {
      r.want(rowsOfR([]));
      await until('at t', async () => (await atT()).length === 3);
      await until('at r', async () => (await atR()).length === 4);
      await until('clean', async () => (await policyNames()).length === 0);
      const sets = await r.gobgpd.client.list(
        'ListDefinedSet',
        (d) => d.listDefinedSets('large'),
        (d) => d.decodeDefinedSet,
        AbortSignal.timeout(5000),
      );
      assert.deepEqual(sets, []);
      await until('healed', () => r.failures().length === 0);
    });
  });
}
