import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fillStartup, sessionTable } from '../../src/core/session-table.ts';

const gib = 1024 ** 3;

describe('the session table', () => {
  const cases = [
    { memory: gib, sessionMax: 262_144, scanTickSeconds: 0.047 },
    { memory: 16 * gib, sessionMax: 524_288, scanTickSeconds: 0.023 },
    { memory: 64 * gib, sessionMax: 2_097_152, scanTickSeconds: 0.01 },
    { memory: 1024 * gib, sessionMax: 4_194_304, scanTickSeconds: 0.01 },
  ];
  for (const { memory, ...table } of cases)
    it(`of a node with ${memory / gib} GiB`, () => assert.deepEqual(sessionTable(memory), table));

  it("is written into the manifests' start-up file, and nothing else is", () => {
    const text = readFileSync('manifests/base/config/startup.conf', 'utf8');
    const filled = fillStartup(text, 16 * gib);
    assert.match(filled, /\n {2}session-max 524288\n {2}session-cleanup-timeout 0\.023\n/);
    assert.equal(filled.split('\n').length, text.split('\n').length);
    assert.throws(() => fillStartup('unix { }', gib), /no line/);
  });
});
