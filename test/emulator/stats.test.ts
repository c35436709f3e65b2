import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openStats } from '../../native/vpp-api/stats.ts';
import { createStatsView } from '../../native/vpp-api/stats-layout.ts';
import { realClock } from '../../src/core/clock.ts';
import {
  headerWord,
  layOut,
  layoutVersion,
  type StatEntry,
  segmentBase,
} from '../../src/emulator/stats/layout.ts';
import { serveStats } from '../../src/emulator/stats/serve.ts';
import { createRig, tcp } from './rig.ts';

/** Reads a laid-out image with the client's reader. */
function readBack(entries: readonly StatEntry[]) {
  const image = layOut(entries, 1 << 20);
  assert(image !== undefined, 'it fits');
  const memory = new ArrayBuffer((1 << 20) + 64);
  new Uint8Array(memory).set(image.bytes);
  const header = new BigUint64Array(memory, 0, 8);
  header[headerWord.version] = layoutVersion;
  header[headerWord.base] = segmentBase;
  header[headerWord.directory] = image.directory;
  return createStatsView(memory, () => undefined);
}

const counter = fc.nat();
const entry: fc.Arbitrary<(name: string) => StatEntry> = fc.oneof(
  counter.map(
    (value) =>
      (name: string): StatEntry => ({ kind: 'gauge', name, value }),
  ),
  fc.array(counter).map(
    (values) =>
      (name: string): StatEntry => ({ kind: 'simple', name, values }),
  ),
  fc.array(fc.record({ packets: counter, bytes: counter })).map(
    (values) =>
      (name: string): StatEntry => ({ kind: 'combined', name, values }),
  ),
  fc.array(fc.stringMatching(/^[a-z0-9/-]{0,40}$/)).map(
    (names) =>
      (name: string): StatEntry => ({ kind: 'names', name, names }),
  ),
);

describe('the stats segment', () => {
  it('laid out by us is read back by the client of real VPP', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), (makers) => {
        const entries = makers.map((make, i) => make(`/some/entry-${i}`));
        const view = readBack(entries);
        assert.deepEqual(
          view.names(),
          entries.map((one) => one.name),
        );
        const seen = view.read(view.names());
        for (const one of entries) assert.deepEqual(seen.get(one.name), expected(one));
      }),
    );
  });

  it('that does not fit is not written', () => {
    assert.equal(
      layOut([{ kind: 'simple', name: '/a', values: new Array(100).fill(1) }], 512),
      undefined,
    );
  });

  it('is served over a SEQPACKET socket of its owner only, and counts packets', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kvr-stats-'));
    const path = join(directory, 'stats.sock');
    await using rig = await createRig();
    await rig.service('10.96.0.10', 80, ['10.1.1.12:8080']);
    rig.send('pod1', tcp('10.1.1.11:1234', '10.96.0.10:80'));
    const serving = serveStats(rig.emulator.plane, path, rig.clock);
    try {
      assert.equal(statSync(path).mode & 0o777, 0o600);
      await using stats = await openStats({ path, clock: realClock });
      const names = ['/if/names', '/if/rx', '/cnat/sessions/total', '/net/cnat-translation'];
      const read = stats.read([...names, '/interfaces/host-veth1/rx']);
      assert.deepEqual(read.get('/if/names'), {
        kind: 'names',
        names: ['local0', 'host-eth0', 'host-veth1', 'host-veth2'],
      });
      assert.deepEqual(read.get('/interfaces/host-veth1/rx'), {
        kind: 'combined',
        packets: [[1]],
        bytes: [[54]],
      });
      assert.deepEqual(read.get('/cnat/sessions/total'), { kind: 'gauge', value: 1 });
      assert.deepEqual(read.get('/net/cnat-translation'), {
        kind: 'combined',
        packets: [[1]],
        bytes: [[40]],
      });
      rig.send('pod1', tcp('10.1.1.11:1235', '10.96.0.10:80'));
      await rig.clock.advance(1000);
      assert.deepEqual(stats.read(names).get('/cnat/sessions/total'), { kind: 'gauge', value: 2 });
    } finally {
      serving[Symbol.dispose]();
      rmSync(directory, { recursive: true });
    }
  });
});

function expected(one: StatEntry): unknown {
  switch (one.kind) {
    case 'simple':
      return { kind: 'simple', values: [one.values] };
    case 'combined':
      return {
        kind: 'combined',
        packets: [one.values.map((value) => value.packets)],
        bytes: [one.values.map((value) => value.bytes)],
      };
    case 'names':
      return { kind: 'names', names: one.names };
    default:
      return { kind: one.kind, value: 'value' in one ? one.value : 0 };
  }
}
