import assert from 'node:assert/strict';
import { readAttributes } from '../../src/bgp/attribute-decoder.ts';
import { whyNotBest } from '../../src/bgp/best-path.ts';
import { GobgpError } from '../../src/bgp/error.ts';
import { type Candidate, decodeLookup } from '../../src/bgp/lookup.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { findGobgpd, freePort, until } from './gobgpd.ts';
import { nodePeerRow, pathRows, type Speaker, serverRows, startSpeaker } from './speaker.ts';

const candidate = (given: Partial<Candidate> = {}): Candidate => ({
  prefix: prefix('10.1.0.0/16'),
  nextHop: ip('192.0.2.2'),
  neighbor: ip('192.0.2.2'),
  sinceSeconds: 0,
  stale: false,
  filtered: false,
  nextHopInvalid: false,
  asPath: ['65001'],
  origin: 'igp',
  localPreference: undefined,
  med: undefined,
  communities: [],
  originatorId: '',
  ...given,
});

describe('whyNotBest', () => {
  const external = (one: Candidate) => one.neighbor !== ip('192.0.2.9');
  const cases: readonly [Partial<Candidate>, Partial<Candidate>, RegExp | undefined][] = [
    [{}, { neighbor: ip('192.0.2.3') }, undefined],
    [{}, { localPreference: 50 }, /local preference is 50 and not 100/],
    [{ localPreference: 200, asPath: ['1', '2', '3'] }, {}, /local preference is 100 and not 200/],
    [{ neighbor: undefined, asPath: [] }, {}, /this node announces/],
    [{}, { asPath: ['65002', '65003'] }, /AS path has 2 and not 1 ASes/],
    [{}, { origin: 'incomplete' }, /origin is incomplete and not igp/],
    [{ med: 5 }, { med: 9 }, /MED is 9 and not 5/],
    [{ med: 9 }, { med: 5, asPath: ['65002'] }, undefined],
    [{}, { neighbor: ip('192.0.2.9') }, /inside of our AS/],
    [{}, { nextHopInvalid: true }, /next hop 192\.0\.2\.2 cannot be reached/],
    [{}, { communities: ['65535:6'] }, /away for long/],
    [{ localPreference: 50 }, {}, /GoBGP prefers/],
  ];
  for (const [best, other, reason] of cases)
    it(`says ${reason?.source ?? 'nothing, as both are used'} for ${JSON.stringify([best, other])}`, () => {
      const found = whyNotBest(candidate(best), candidate(other), external);
      if (reason === undefined) assert.equal(found, undefined);
      else assert.match(found ?? '', reason);
    });
});

describe('readAttributes', () => {
  const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

  it('reads what the RFCs show', () => {
    const seen = readAttributes([
      bytes('40 01 01 01'),
      bytes('40 02 10 02 02 0000fde9 0000fdea 01 01 0000fc00'),
      bytes('40 03 04 c0000202'),
      bytes('80 04 04 00000007'),
      bytes('40 05 04 000000c8'),
      bytes('c0 08 08 fc000001 ffff0000'),
      bytes('80 09 04 0a000001'),
      bytes('c0 10 10 0002fc00 00000064 4004fc00 47f42400'),
      bytes('c0 20 0c 0000fc00 00000001 00000002'),
      bytes('c0 63 02 0102'),
    ]);
    assert.deepEqual(seen, {
      nextHop: ip('192.0.2.2'),
      asPath: ['65001', '65002', '{64512}'],
      origin: 'egp',
      localPreference: 200,
      med: 7,
      communities: ['64512:1', '64512:1:2', '65535:0', 'lb:64512:125000', 'rt:64512:100'],
      originatorId: '10.0.0.1',
    });
  });

  it('reads a next hop of IPv6, with a link-local one or without', () => {
    const global = '20010db8000000000000000000000001';
    const local = 'fe800000000000000000000000000001';
    for (const hops of [global, global + local]) {
      const length = (hops.length / 2).toString(16).padStart(2, '0');
      const value = `000201${length}${hops}00`;
      const size = (value.length / 2).toString(16).padStart(4, '0');
      assert.equal(readAttributes([bytes(`900e${size}${value}`)]).nextHop, '2001:db8::1');
    }
  });

  it('refuses what is cut off, with an error of its own', () => {
    for (const hex of [
      '40',
      '40 03 04 c000',
      '80 04 02 0001',
      '40 02 04 02 02 0000',
      'c0 08 03 010203',
    ])
      assert.throws(() => readAttributes([bytes(hex)]), GobgpError, hex);
    assert.throws(() => decodeLookup(bytes('0a ff'), 4), GobgpError);
  });
});

const programs = findGobgpd();
for (const version of [3, 4] as const) {
  const program = programs[version];
  const absent =
    program === undefined ? ` (absent: see ${version === 3 ? 'GOBGPD_BIN' : 'GOBGPD4_BIN'})` : '';

  describe(`lookup in a real gobgpd ${version}${absent}`, function () {
    this.timeout(60_000);
    const signal = new AbortController().signal;
    let here: Speaker;
    let there: Speaker;

    before(async function () {
      if (program === undefined) return this.skip();
      const port = await freePort();
      here = await startSpeaker(program, 1);
      there = await startSpeaker(program, 2);
      here.want({
        ...serverRows(here, port),
        bgpPeers: [nodePeerRow(here, there, port)],
        bgpPaths: pathRows([['10.9.0.0/16', '192.0.2.1']]),
      });
      there.want({
        ...serverRows(there, port),
        bgpPeers: [nodePeerRow(there, here, port)],
        bgpPaths: pathRows([
          ['10.9.0.0/16', '192.0.2.2'],
          ['10.9.8.0/24', '192.0.2.3'],
          ['0.0.0.0/0', '192.0.2.4'],
          ['10.10.0.0/16', '192.0.2.5'],
          ['2001:db8:9::/48', '2001:db8::2'],
        ]),
      });
      await until('three', () => here.learned().length >= 4);
    });
    after(async () => {
      for (const speaker of [here, there]) await speaker?.[Symbol.asyncDispose]();
    });

    const texts = (found: readonly Candidate[]) =>
      found.map((one) => `${one.prefix} via ${one.nextHop} from ${one.neighbor ?? 'here'}`);

    it('finds all that contain an address, the best path of each first', async () => {
      const { client } = here.gobgpd;
      const from = there.gobgpd.address;
      const found = await client.lookup(prefix('10.9.8.7/32'), { kind: 'best' }, signal);
      assert.deepEqual(texts(found).toSorted(), [
        `0.0.0.0/0 via 192.0.2.4 from ${from}`,
        '10.9.0.0/16 via 192.0.2.1 from here',
        `10.9.0.0/16 via 192.0.2.2 from ${from}`,
        `10.9.8.0/24 via 192.0.2.3 from ${from}`,
      ]);
      const both = found.filter((one) => one.prefix === prefix('10.9.0.0/16'));
      const [best, other] = both;
      assert.ok(best !== undefined && other !== undefined);
      assert.equal(best.neighbor, undefined);
      assert.equal(
        whyNotBest(best, other, () => false),
        'this node announces the prefix itself',
      );
      assert.ok(Math.abs(other.sinceSeconds - Date.now() / 1000) < 60, `${other.sinceSeconds}`);
      assert.equal(other.localPreference, 100);
    });

    it('finds the prefix itself and what is around it, and IPv6', async () => {
      const { client } = here.gobgpd;
      const exact = await client.lookup(prefix('10.9.8.0/24'), { kind: 'best' }, signal);
      assert.ok(texts(exact).some((text) => text.startsWith('10.9.8.0/24 via 192.0.2.3')));
      const six = await client.lookup(prefix('2001:db8:9::1/128'), { kind: 'best' }, signal);
      assert.deepEqual(
        six.map((one) => [one.prefix, one.nextHop]),
        [['2001:db8:9::/48', '2001:db8::2']],
      );
    });

    it('finds nothing for what nobody announces', async () => {
      const six = await here.gobgpd.client.lookup(prefix('fd00::1/128'), { kind: 'best' }, signal);
      assert.deepEqual(six, []);
    });

    it('finds what one neighbour says', async () => {
      const peer = ip(there.gobgpd.address);
      const table = { kind: 'from', peer } as const;
      const found = await here.gobgpd.client.lookup(prefix('10.10.1.0/24'), table, signal);
      assert.deepEqual(texts(found).toSorted(), [
        `0.0.0.0/0 via 192.0.2.4 from ${peer}`,
        `10.10.0.0/16 via 192.0.2.5 from ${peer}`,
      ]);
      assert.equal(
        found.some((one) => one.filtered),
        false,
      );
    });
  });
}
