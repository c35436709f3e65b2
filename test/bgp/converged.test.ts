import assert from 'node:assert/strict';
import { isConverged } from '../../src/bgp/converged.ts';
import type { PeerState } from '../../src/bgp/peer-codec.ts';
import { peerUpdate } from '../../src/bgp/peer-driver.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { passwordDigest } from '../../src/core/password-digest.ts';
import { peerRow } from '../../src/desired/bgp.ts';
import type { BgpPeerRow } from '../../src/desired/rows.ts';

const row: BgpPeerRow = peerRow({
  address: ip('192.0.2.2'),
  asn: 64512,
  port: 179,
  localAddress: ip('192.0.2.1'),
  families: [4, 6],
  holdTimeSeconds: 90,
  passive: false,
  password: { key: 'a', digest: passwordDigest('x') },
  description: 'node/b',
});

const key = (name: string, password: string) => ({
  key: name,
  digest: passwordDigest(password),
});

const peer = (address: string, state: 'complete' | 'old' | 'young' | 'down'): PeerState => ({
  row: { ...row, address: ip(address) },
  session: state === 'down' ? 'active' : 'established',
  group: '',
  enabled: true,
  overLimit: false,
  upSince: state === 'old' ? 900 : 999,
  received: 0,
  accepted: 0,
  advertised: 0,
  notifications: { received: 0, sent: 0 },
  endOfRib: state === 'complete',
});

describe('isConverged', () => {
  const up = (...addresses: string[]) => new Set(addresses);
  const cases: {
    readonly name: string;
    readonly peers: readonly PeerState[];
    readonly expected: ReadonlySet<string> | undefined;
    readonly replayed?: boolean;
    readonly is: boolean;
  }[] = [
    { name: 'no peers prove nothing', peers: [], expected: undefined, is: false },
    { name: 'no peers prove nothing even when none was up', peers: [], expected: up(), is: false },
    { name: 'all complete', peers: [peer('10.0.0.1', 'complete')], expected: undefined, is: true },
    { name: 'up for long', peers: [peer('10.0.0.1', 'old')], expected: undefined, is: true },
    { name: 'just up', peers: [peer('10.0.0.1', 'young')], expected: undefined, is: false },
    {
      name: 'at the start every peer counts',
      peers: [peer('10.0.0.1', 'complete'), peer('10.0.0.2', 'down')],
      expected: undefined,
      is: false,
    },
    {
      name: 'later one that was down before does not',
      peers: [peer('10.0.0.1', 'complete'), peer('10.0.0.2', 'down')],
      expected: up('10.0.0.1'),
      is: true,
    },
    {
      name: 'one that was up before and is not there yet',
      peers: [peer('10.0.0.1', 'complete')],
      expected: up('10.0.0.1', '10.0.0.2'),
      is: false,
    },
    {
      name: 'one that was up before and is no longer wanted',
      peers: [peer('10.0.0.1', 'complete')],
      expected: up('10.0.0.1', '10.0.0.2'),
      replayed: true,
      is: true,
    },
    { name: 'no peer is wanted', peers: [], expected: up('10.0.0.1'), replayed: true, is: true },
    {
      name: 'one that is wanted but not up, however late',
      peers: [peer('10.0.0.1', 'down')],
      expected: up('10.0.0.1'),
      replayed: true,
      is: false,
    },
  ];
  for (const c of cases) {
    it(c.name, () => {
      const time = { nowSeconds: 1000, settleSeconds: 10, replayed: c.replayed ?? false };
      assert.equal(isConverged(c.peers, c.expected, time), c.is);
    });
  }
});

describe('peerUpdate', () => {
  const cases: { name: string; to: Partial<BgpPeerRow>; is: string }[] = [
    { name: 'equal rows need no call', to: {}, is: 'nothing' },
    { name: 'a description is not worth a session', to: { description: 'x' }, is: 'nothing' },
    { name: 'a hold time changes in place', to: { holdTimeSeconds: 30 }, is: 'hitless' },
    { name: 'so does a keepalive', to: { keepaliveSeconds: 7 }, is: 'hitless' },
    { name: 'and a limit of prefixes', to: { maxPrefixes: 7 }, is: 'hitless' },
    { name: 'the same password under another key', to: { password: key('b', 'x') }, is: 'nothing' },
    { name: 'another password', to: { password: key('a', 'y') }, is: 'session' },
    { name: 'no password', to: { password: undefined }, is: 'session' },
    { name: 'another AS is another session', to: { asn: 1 }, is: 'session' },
    { name: 'so are other families', to: { families: [4] }, is: 'session' },
    { name: 'and the other direction', to: { passive: true }, is: 'session' },
    { name: 'and another local address', to: { localAddress: ip('192.0.2.9') }, is: 'session' },
    { name: 'and another port', to: { port: 1790 }, is: 'session' },
  ];
  for (const c of cases) it(c.name, () => assert.equal(peerUpdate(row, { ...row, ...c.to }), c.is));

  it('a range waits always, and has no change in place', () => {
    const range = { ...row, address: prefix('10.0.0.0/24') };
    assert.equal(peerUpdate({ ...range, passive: true }, range), 'nothing');
    assert.equal(peerUpdate(range, { ...range, holdTimeSeconds: 30 }), 'session');
  });
});
