import assert from 'node:assert/strict';
import type { GobgpClient } from '../../src/bgp/client.ts';
import { GobgpError, GrpcCode } from '../../src/bgp/error.ts';
import { createPeerDriver } from '../../src/bgp/peer-driver.ts';
import { allAtOnce, callsMax, eachAtOnce } from '../../src/bgp/pipeline.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { peerRow } from '../../src/desired/bgp.ts';
import type { BgpPeerRow } from '../../src/desired/rows.ts';
import { findGobgpd, freePort, startGobgpd } from './gobgpd.ts';
import { asn } from './speaker.ts';

const later = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('calls to GoBGP, some at a time', () => {
  const items = Array.from({ length: 3 * callsMax }, (_, i) => i);

  it('keeps the order of outcomes, and fails nobody for a neighbour', async () => {
    const outcomes = await eachAtOnce(items, async (i) => {
      for (let turns = items.length - i; turns > 0; turns--) await later();
      if (i % 5 === 0) throw new Error(`no ${i}`);
    });
    assert.deepEqual(
      outcomes.map((one) => (one.status === 'done' ? 'done' : String(one.error))),
      items.map((i) => (i % 5 === 0 ? `Error: no ${i}` : 'done')),
    );
  });

  it('has not more under way than it may', async () => {
    const counts = { now: 0, most: 0 };
    await allAtOnce(items, async () => {
      counts.most = Math.max(counts.most, ++counts.now);
      await later();
      counts.now--;
    });
    assert.deepEqual(counts, { now: 0, most: callsMax });
  });

  it('tries nothing more after a lost connection', async () => {
    const tried: number[] = [];
    const outcomes = await eachAtOnce(items, async (i) => {
      tried.push(i);
      await later();
      if (i === 1) throw new GobgpError('AddPeer', GrpcCode.unavailable, 'away');
    });
    assert.deepEqual(tried, items.slice(0, callsMax + 1));
    assert.equal(outcomes[0]?.status, 'done');
    for (const outcome of outcomes.slice(callsMax + 1))
      assert.match(outcome.status === 'failed' ? String(outcome.error) : '', /away/);
  });

  it('throws only when nothing is under way any more', async () => {
    let ended = 0;
    const all = allAtOnce(items, async (i) => {
      if (i === 0) throw new Error('no');
      await later();
      ended++;
    });
    await assert.rejects(all, /no/);
    assert.equal(ended, items.length - 1);
  });
});

/** Counts what is asked, and how many calls are under way. */
function counted(client: GobgpClient) {
  const counts = { getBgp: 0, now: 0, most: 0 };
  const call: GobgpClient['call'] = async (...args) => {
    counts.most = Math.max(counts.most, ++counts.now);
    await client.call(...args).finally(() => {
      counts.now--;
    });
  };
  const getBgp: GobgpClient['getBgp'] = (signal) => {
    counts.getBgp++;
    return client.getBgp(signal);
  };
  return {
    counts,
    client: Object.create(client, { call: { value: call }, getBgp: { value: getBgp } }),
  };
}

const programs = findGobgpd();
for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  it(`writes many neighbours of a real gobgpd ${version} together${absent}`, async function () {
    if (program === undefined) return this.skip();
    await using gobgpd = await startGobgpd(program, 1);
    const signal = AbortSignal.timeout(this.timeout());
    const local = ip(gobgpd.address);
    const port = await freePort();
    const server = { asn, routerId: local, port, listenAddresses: [local] };
    await gobgpd.client.startBgp(server, signal);
    const passive = (address: BgpPeerRow['address'], more: Partial<BgpPeerRow> = {}) =>
      peerRow({ address, asn, localAddress: local, passive: true, ...more });
    const rows = Array.from({ length: 100 }, (_, i) => [
      passive(ip(`10.7.0.${i}`)),
      // Ranges that come before neighbours of theirs, and after.
      ...(i % 25 === 0 ? [passive(prefix(`10.${7 + i}.0.0/16`))] : []),
    ]).flat();
    const { client, counts } = counted(gobgpd.client);
    const driver = createPeerDriver(client, () => undefined);
    const write = async (from: readonly BgpPeerRow[], to: readonly BgpPeerRow[]) => {
      const changes = rows.map(({ address: key }, i) => ({ key, from: from[i], to: to[i] }));
      const outcomes = await driver.apply(changes, signal);
      assert.deepEqual(new Set(outcomes.map((one) => one.status)), new Set(['done']));
      const held = new Map((await driver.dump(signal)).map(({ key, row }) => [key, row]));
      assert.deepEqual(held, new Map(to.map((row) => [row.address, row])));
    };
    await write([], rows);
    // One for the batch, one for the dump.
    assert.deepEqual(counts, { getBgp: 2, now: 0, most: callsMax });
    // What is there already is put anew.
    await write([], rows);
    const limited = rows.map((row) => ({ ...row, maxPrefixes: 9 }));
    await write(rows, limited);
    await write(limited, []);
    assert.deepEqual(counts, { getBgp: 7, now: 0, most: callsMax });
  });
}
