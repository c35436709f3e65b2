import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createGobgpClient } from '../../src/bgp/client.ts';
import { watchGobgp } from '../../src/bgp/watch.ts';
import { realClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { createStore } from '../../src/model/store.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, pathRows, quiet, type Speaker, serverRows, startSpeaker } from './speaker.ts';

const programs = findGobgpd();
const cli = spawnSync('gobgp', ['--version']).status === 0;

for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`what is told of a real gobgpd ${version}${absent}`, function () {
    this.timeout(60_000);
    const signal = new AbortController().signal;
    const sessions: boolean[] = [];
    const committed: number[] = [];
    let port = 0;
    let here: Speaker;
    let there: Speaker;

    before(async function () {
      if (program === undefined) return this.skip();
      port = await freePort();
      here = await startSpeaker(program, 1, {
        onSession: (up) => sessions.push(up),
        onCommitted: (sinceMs) => committed.push(performance.now() - sinceMs),
      });
      there = await startSpeaker(program, 2);
      here.want({ ...serverRows(here, port), bgpPeers: [nodePeerRow(here, there, port)] });
      await until('the stream is open', () => here.watch.live);
      there.want({
        ...serverRows(there, port),
        bgpPeers: [nodePeerRow(there, here, port)],
        bgpPaths: pathRows([
          ['10.1.0.0/16', '192.0.2.2'],
          ['10.2.0.0/16', '192.0.2.2'],
        ]),
      });
      await until('both', () => here.learned().length === 2);
    });
    after(async () => {
      for (const speaker of [here, there]) await speaker?.[Symbol.asyncDispose]();
    });

    it('a session that comes up, once, and news with the time that it took', () => {
      assert.deepEqual(sessions, [true]);
      assert.ok(committed.length >= 1);
      assert.ok(
        committed.every((ms) => ms >= 0 && ms < 5_000),
        committed.join(),
      );
    });

    it('a path that the import policy rejects is still told by its neighbour', async function () {
      if (!cli || version !== 3) {
        process.stdout.write('no gobgp of version 3 to make a policy with\n');
        return this.skip();
      }
      const gobgp = (...args: string[]) => {
        const run = spawnSync('gobgp', ['--target', `unix://${here.gobgpd.socket}`, ...args]);
        assert.equal(run.status, 0, `${args.join(' ')}: ${run.stderr} ${run.stdout}`);
      };
      gobgp('policy', 'prefix', 'add', 'two', '10.2.0.0/16');
      gobgp('policy', 'statement', 'no', 'add', 'condition', 'prefix', 'two');
      gobgp('policy', 'statement', 'no', 'add', 'action', 'reject');
      gobgp('policy', 'add', 'refuse', 'no');
      gobgp('global', 'policy', 'import', 'add', 'refuse');
      gobgp('neighbor', there.gobgpd.address, 'softresetin');
      await until('one', () => here.learned().length === 1);
      const { client } = here.gobgpd;
      const two = prefix('10.2.3.4/32');
      assert.deepEqual(await client.lookup(two, { kind: 'best' }, signal), []);
      const peer = ip(there.gobgpd.address);
      const told = await client.lookup(two, { kind: 'from', peer }, signal);
      assert.deepEqual(
        told.map((one) => [one.prefix, one.neighbor, one.filtered]),
        [['10.2.0.0/16', peer, true]],
      );
    });

    it('of more routes than are taken: what was refused comes when there is room', async () => {
      const refused: number[] = [];
      const onRefused = (count: number) => refused.push(count);
      const { socket } = here.gobgpd;
      await using client = createGobgpClient({ socket, clock: realClock });
      const store = createStore();
      const common = { client, store, clock: realClock, signal, log: quiet };
      await using small = watchGobgp({ ...common, routesMax: 10, onRefused });
      const taken = () => [...store.facts.learnedRoutes.keys()].toSorted();
      const all = () => [...here.store.facts.learnedRoutes.keys()].toSorted();
      const want = (from: number) =>
        there.want({
          ...serverRows(there, port),
          bgpPeers: [nodePeerRow(there, here, port)],
          bgpPaths: pathRows(
            Array.from({ length: 14 - from }, (_, i) => [`10.9.${from + i}.0/24`, '192.0.2.2']),
          ),
        });
      want(0);
      await until('all', () => here.learned().length === 14);
      await until('full', () => taken().length === 10 && refused.length > 0);
      assert.ok((refused.at(-1) ?? 0) >= 4, refused.join());
      want(6);
      const expected = () => small.live && taken().join() === all().join();
      await until('the others', () => here.learned().length === 8 && expected());
      await until('said', () => refused.at(-1) === 0);
      want(5);
      await until('goes on', () => here.learned().length === 9 && expected());
    });

    it('a session that ends', async () => {
      there.want(serverRows(there, port));
      await until('down', () => sessions.length === 2);
      assert.deepEqual(sessions, [true, false]);
    });
  });
}
