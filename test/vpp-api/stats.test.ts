import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { openStats } from '../../native/vpp-api/stats.ts';
import { createStatsView, StatsError } from '../../native/vpp-api/stats-layout.ts';
import { mapFile } from '../../native/vpp-api/stats-socket.ts';

const base = 0x7f00_0000_0000n;

/** A segment as VPP lays it out, made by hand. */
function createSegment(bytes = 16_384) {
  const memory = new ArrayBuffer(bytes);
  const view = new DataView(memory);
  let end = 64;
  const vector = (length: number, elementBytes: number): number => {
    const start = end + 8;
    view.setUint32(start - 8, length, true);
    end = start + length * elementBytes;
    end += (8 - (end % 8)) % 8;
    return start;
  };
  const pointers = (targets: readonly number[]): number => {
    const start = vector(targets.length, 8);
    for (const [i, target] of targets.entries()) {
      view.setBigUint64(start + i * 8, target === 0 ? 0n : base + BigInt(target), true);
    }
    return start;
  };
  const numbers = (values: readonly number[]): number => {
    const start = vector(values.length, 8);
    for (const [i, value] of values.entries())
      view.setBigUint64(start + i * 8, BigInt(value), true);
    return start;
  };
  const textAt = (text: string): number => {
    const start = vector(text.length + 1, 1);
    for (let i = 0; i < text.length; i++) view.setUint8(start + i, text.charCodeAt(i));
    return start;
  };
  const pairs = (rows: readonly (readonly [number, number])[]): number => {
    const start = numbers(rows.flat());
    view.setUint32(start - 8, rows.length, true);
    return start;
  };
  const rx = pointers([
    pairs([
      [1, 64],
      [2, 128],
    ]),
    pairs([
      [10, 640],
      [20, 2 ** 40],
    ]),
  ]);
  const drops = pointers([numbers([5, 6]), 0]);
  const names = pointers([textAt('local0'), textAt('eth0'), 0]);
  const entries: { name: string; type: number; value: bigint }[] = [
    { name: '/sys/heartbeat', type: 1, value: 42n },
    { name: '/if/rx', type: 3, value: base + BigInt(rx) },
    { name: '/if/drops', type: 2, value: base + BigInt(drops) },
    { name: '/if/names', type: 4, value: base + BigInt(names) },
    { name: '/interfaces/eth0/rx', type: 6, value: (1n << 32n) | 1n },
    { name: '/interfaces/eth0/drops', type: 6, value: (1n << 32n) | 2n },
    { name: '/cnat/sessions', type: 9, value: 7n },
    { name: '/none', type: 2, value: 0n },
    { name: '', type: 5, value: 0n },
  ];
  const directory = vector(entries.length, 144);
  for (const [i, { name, type, value }] of entries.entries()) {
    const at = directory + i * 144;
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, value, true);
    for (let j = 0; j < name.length; j++) view.setUint8(at + 16 + j, name.charCodeAt(j));
  }
  for (const [i, word] of [2n, base, 3n, 0n, base + BigInt(directory)].entries()) {
    view.setBigUint64(i * 8, word, true);
  }
  return { memory, view, directory };
}

const alive = () => undefined;

describe('the stats segment', () => {
  const cases: { name: string; stat: unknown }[] = [
    { name: '/sys/heartbeat', stat: { kind: 'scalar', value: 42 } },
    { name: '/cnat/sessions', stat: { kind: 'gauge', value: 7 } },
    {
      name: '/if/rx',
      stat: {
        kind: 'combined',
        packets: [
          [1, 2],
          [10, 20],
        ],
        bytes: [
          [64, 128],
          [640, 2 ** 40],
        ],
      },
    },
    { name: '/if/drops', stat: { kind: 'simple', values: [[5, 6], []] } },
    { name: '/if/names', stat: { kind: 'names', names: ['local0', 'eth0', ''] } },
    {
      name: '/interfaces/eth0/rx',
      stat: { kind: 'combined', packets: [[2], [20]], bytes: [[128], [2 ** 40]] },
    },
    { name: '/interfaces/eth0/drops', stat: { kind: 'simple', values: [[6], []] } },
    { name: '/none', stat: { kind: 'simple', values: [] } },
    { name: '/unknown', stat: undefined },
  ];
  for (const { name, stat } of cases) {
    it(`gives ${name}`, () => {
      assert.deepEqual(createStatsView(createSegment().memory, alive).read([name]).get(name), stat);
    });
  }

  it('lists the names that begin with a prefix', () => {
    const stats = createStatsView(createSegment().memory, alive);
    assert.deepEqual(stats.names('/if/'), ['/if/rx', '/if/drops', '/if/names']);
    assert.equal(stats.names().length, 8);
  });

  it('shows what VPP counts meanwhile', () => {
    const { memory, view, directory } = createSegment();
    const stats = createStatsView(memory, alive);
    stats.names();
    view.setBigUint64(directory + 8, 43n, true);
    assert.deepEqual(stats.read(['/sys/heartbeat']).get('/sys/heartbeat'), {
      kind: 'scalar',
      value: 43,
    });
  });

  it('reads the directory again when the epoch has changed', () => {
    const { memory, view, directory } = createSegment();
    const stats = createStatsView(memory, alive);
    assert.ok(stats.names().includes('/sys/heartbeat'));
    view.setUint8(directory + 16 + 1, 'S'.charCodeAt(0));
    assert.ok(stats.names().includes('/sys/heartbeat'), 'the same epoch, the same directory');
    view.setBigUint64(16, 4n, true);
    assert.ok(stats.names().includes('/Sys/heartbeat'));
  });

  it('gives up, and says so, while VPP is writing', () => {
    const { memory, view } = createSegment();
    const stats = createStatsView(memory, alive);
    view.setBigUint64(24, 1n, true);
    assert.throws(() => stats.names(), StatsError);
    view.setBigUint64(24, 0n, true);
    assert.equal(stats.names().length, 8);
  });

  it('of another version is refused', () => {
    const { memory, view } = createSegment();
    view.setBigUint64(0, 1n, true);
    assert.throws(() => createStatsView(memory, alive), /version 1/);
  });

  it('full of any bytes gives values or a StatsError, and nothing else', () => {
    const name = '/if/rx';
    const change = fc.record({ at: fc.nat(1200), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 30 }), (changes) => {
        const { memory, view } = createSegment(1600 + 64);
        for (const { at, byte } of changes) view.setUint8(at, byte);
        try {
          const stats = createStatsView(memory, alive);
          stats.names();
          stats.read([name, '/if/names', '/interfaces/eth0/rx', '/if/drops']);
        } catch (error) {
          if (!(error instanceof StatsError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is not touched after its end', () => {
    let open = true;
    const { memory } = createSegment();
    const stats = createStatsView(memory, () => {
      if (!open) throw new StatsError('closed');
    });
    stats.names();
    open = false;
    assert.throws(() => stats.names(), /closed/);
    assert.throws(() => stats.read(['/if/rx']), /closed/);
    assert.throws(() => stats.epoch, /closed/);
  });
});

describe('the memory of the stats segment', () => {
  it('is a file as it is now, not a copy', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvr-stats-'));
    const path = join(folder, 'segment');
    writeFileSync(path, Buffer.from(createSegment().memory));
    const fd = openSync(path, 'r+');
    const mapping = mapFile(fd, 16_384);
    closeSync(fd);
    const stats = createStatsView(mapping.memory, alive);
    assert.deepEqual(stats.read(['/cnat/sessions']).get('/cnat/sessions'), {
      kind: 'gauge',
      value: 7,
    });
    writeFileSync(path, Buffer.from([9]), { flag: 'r+' });
    assert.equal(new Uint8Array(mapping.memory)[0], 9);
    mapping.unmap();
    rmSync(folder, { recursive: true });
  });

  it('cannot be had from a socket that is not there', async () => {
    await assert.rejects(openStats({ path: '/nonexistent/stats.sock' }), StatsError);
    await assert.rejects(openStats({ path: `/${'x'.repeat(200)}` }), /too long/);
  });
});
