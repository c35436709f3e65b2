import assert from 'node:assert/strict';
import type { PeerState } from '../../src/bgp/peer-codec.ts';
import { createSecondChances } from '../../src/bgp/second-chance.ts';
import { ip } from '../../src/core/ip.ts';
import { peerRow } from '../../src/desired/bgp.ts';

const minute = 60_000;

const peer = (address: string, overLimit: boolean, group = ''): PeerState => ({
  row: {
    ...peerRow({ address: ip(address), asn: 64512, localAddress: ip('192.0.2.1') }),
    address: ip(address),
  },
  group,
  session: overLimit ? 'idle' : 'established',
  enabled: !overLimit,
  overLimit,
  upSince: 0,
  received: 0,
  accepted: 0,
  advertised: 0,
  notifications: { received: 0, sent: 0 },
  endOfRib: false,
});

describe('second chances', () => {
  it('come after five minutes, and each next one twice as late, up to an hour', () => {
    const chances = createSecondChances();
    const enabledAt: number[] = [];
    let over = true;
    for (let now = 0; now <= 220; now++) {
      const due = chances.due([peer('192.0.2.9', over)], now * minute);
      if (due.length > 0) enabledAt.push(now);
      // It behaves for a minute, and exceeds its limit again.
      over = due.length === 0;
    }
    // One minute passes until the next end is seen.
    assert.deepEqual(enabledAt, [
      5,
      5 + 2 + 10,
      17 + 2 + 20,
      39 + 2 + 40,
      81 + 2 + 60,
      143 + 2 + 60,
    ]);
  });

  it('begin anew for a neighbour that has behaved for long', () => {
    const chances = createSecondChances();
    const look = (over: boolean, atMinute: number) =>
      chances.due([peer('192.0.2.9', over)], atMinute * minute).length;
    assert.deepEqual([look(true, 0), look(true, 4), look(true, 5)], [0, 0, 1]);
    assert.deepEqual([look(false, 6), look(false, 15)], [0, 0]);
    assert.deepEqual([look(true, 16), look(true, 20), look(true, 21)], [0, 0, 1]);
  });

  it('are no business of callers from ranges, of others, and of neighbours somebody enabled', () => {
    const chances = createSecondChances();
    const peers = [peer('192.0.2.7', true, 'kvr-192.0.2.0/24'), peer('192.0.2.8', false)];
    for (const now of [0, 5, 10]) assert.deepEqual(chances.due(peers, now * minute), []);
    chances.due([peer('192.0.2.9', true)], 0);
    chances.due([peer('192.0.2.9', false)], 4 * minute);
    assert.deepEqual(chances.due([peer('192.0.2.9', true)], 6 * minute), []);
    assert.deepEqual(chances.due([peer('192.0.2.9', true)], 16 * minute), [ip('192.0.2.9')]);
  });
});
