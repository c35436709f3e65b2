import assert from 'node:assert/strict';
import { createDeniedFlows, oftenMax, type Pace, paces } from '../../src/vpp/denied-flows.ts';

/** Somebody denies a packet between any two looks; nothing is ever read from a disk. */
function denying() {
  let nowMs = 0;
  let denied = 0;
  let ended = 0;
  const connection = {
    request: (async (name: string) => {
      if (name === 'cli_inband') ended++;
      // Not ours: so it is left alone, and there is no file.
      return { reply: 'capture to file /tmp/theirs' };
    }) as never,
  };
  const flows = createDeniedFlows({
    connection: () => connection,
    denied: async () => denied++,
    directory: '/nowhere',
    monotonic: () => nowMs,
    log: (message) => assert.fail(message),
  });
  return {
    /** How many captures were ended in so many looks. */
    async looks(count: number, pace: Pace, everyMs = 0): Promise<number> {
      const before = ended;
      for (let i = 0; i < count; i++) {
        nowMs += everyMs;
        await flows.look(true, pace);
      }
      return ended - before;
    },
  };
}

describe('captures that cost VPP memory', () => {
  const { seldom, often } = paces;

  it(`NP-29 ${often.burst} in a row for who looks often, then one a second`, async () => {
    const world = denying();
    assert.equal(await world.looks(often.burst + 100, 'often'), often.burst);
    assert.equal(await world.looks(100, 'often', 100), 10);
  });

  it('NP-29 who stops looking often has no more than who never did', async () => {
    const world = denying();
    await world.looks(1 + 10, 'often');
    assert.equal(await world.looks(200, 'seldom'), seldom.burst);
  });

  it(`NP-29 ${oftenMax} in all, then one in 30 seconds`, async () => {
    const world = denying();
    // The first look only begins.
    assert.equal(await world.looks(oftenMax + 1, 'often', often.pauseMs), oftenMax);
    assert.equal(await world.looks(100, 'often'), seldom.burst);
    assert.equal(await world.looks(300, 'often', 1000), 10);
  }).timeout(30_000);
});
