import assert from 'node:assert/strict';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, pathRows, type Speaker, serverRows, startSpeaker } from './speaker.ts';

const { 3: old, 4: next } = findGobgpd();
const absent = old === undefined || next === undefined ? ' (absent: GOBGPD_BIN, GOBGPD4_BIN)' : '';

describe(`gobgpd 3 becomes gobgpd 4 under a running daemon${absent}`, function () {
  this.timeout(90_000);
  let a: Speaker;
  let b: Speaker;

  before(async function () {
    if (old === undefined || next === undefined) return this.skip();
    a = await startSpeaker(old, 1);
    b = await startSpeaker(old, 2);
  });
  after(async () => {
    await a?.[Symbol.asyncDispose]();
    await b?.[Symbol.asyncDispose]();
  });

  it('in both directions: everything is written again, and no route is missed', async () => {
    const port = await freePort();
    const rowsOf = (own: Speaker, other: Speaker, prefix: string, via: string) => ({
      ...serverRows(own, port),
      bgpPolicies: [{ direction: 'export' as const, otherwise: 'accept' as const, statements: [] }],
      bgpPeers: [nodePeerRow(own, other, port)],
      bgpPaths: pathRows([[prefix, via]]),
    });
    a.want(rowsOf(a, b, '10.1.0.0/24', '192.0.2.1'));
    b.want(rowsOf(b, a, '10.2.0.0/24', '192.0.2.2'));
    const told = () => a.learned().join() === '10.2.0.0/24 via 192.0.2.2';
    const heard = () => b.learned().join() === '10.1.0.0/24 via 192.0.2.1';
    await until('learned', () => told() && heard());
    for (const [version, program] of [
      [4, next],
      [3, old],
    ] as const) {
      const missed: string[] = [];
      const look = setInterval(() => {
        if (!heard()) missed.push(b.learned().join());
      }, 2);
      await a.gobgpd.kill();
      await until('noticed', () => !a.watch.live);
      await a.gobgpd.restart(program);
      const state = async () =>
        (await a.target.listPeers(AbortSignal.timeout(5_000)).catch(() => []))[0]?.state;
      await until('established again', async () => (await state()) === 'established');
      await until('complete', () => a.watch.live && a.watch.staleCount === 0 && told());
      clearInterval(look);
      assert.equal(a.gobgpd.client.version, version);
      assert.deepEqual(missed, [], 'RFC 4724: the neighbour keeps the routes');
      assert.deepEqual(a.failures(), []);
    }
  });
});
