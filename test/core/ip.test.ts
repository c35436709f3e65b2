import assert from 'node:assert/strict';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  hostPrefix,
  ip,
  ipBytes,
  ipFromBigInt,
  ipFromBytes,
  ipToBigInt,
  parseIp,
  parsePrefix,
  prefixContains,
  prefixOf,
} from '../../src/core/ip.ts';

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** With runs of zeros, which is where RFC 5952 is difficult. */
const bytes6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
const anyBytes = fc.oneof(bytes4, bytes6);

describe('ip', () => {
  it('text and bytes are the same address, as ipaddr.js reads it', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const text = ipFromBytes(bytes);
        assert.deepEqual(ipBytes(text), bytes);
        assert.deepEqual(ipaddr.parse(text).toByteArray(), [...bytes]);
        if (bytes.length === 16)
          assert.equal(text, (ipaddr.parse(text) as ipaddr.IPv6).toRFC5952String());
        assert.equal(ipFromBigInt(ipToBigInt(text), bytes.length === 4 ? 4 : 6), text);
      }),
    );
  });

  it('reads every way of writing an IPv6 address as one text', () => {
    fc.assert(
      fc.property(bytes6, (bytes) => {
        const long = ipaddr.fromByteArray([...bytes]).toNormalizedString();
        assert.equal(parseIp(long.toUpperCase()), ipFromBytes(bytes));
      }),
    );
  });

  it('a prefix contains what ipaddr.js says it contains', () => {
    const sized = fc.oneof(
      fc.tuple(bytes4, bytes4, fc.integer({ min: 0, max: 32 })),
      fc.tuple(bytes6, bytes6, fc.integer({ min: 0, max: 128 })),
    );
    fc.assert(
      fc.property(sized, ([a, b, length]) => {
        const inside = prefixContains(prefixOf(ipFromBytes(a), length), ipFromBytes(b));
        const [left, right] = [ipaddr.fromByteArray([...a]), ipaddr.fromByteArray([...b])];
        assert.equal(inside, right.match(left as never, length));
      }),
    );
  });

  const wrong = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4 ',
    '::1%lo',
    ':::',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '::1.2.3',
  ];
  for (const text of wrong)
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseIp(text), undefined));

  const wrongPrefixes = [
    '1.2.3.4',
    '1.2.3.4/',
    '1.2.3.4/33',
    '::/129',
    '1.2.3.4/-1',
    '1.2.3.4/1.0',
  ];
  for (const text of wrongPrefixes)
    it(`refuses the prefix ${JSON.stringify(text)}`, () =>
      assert.equal(parsePrefix(text), undefined));

  it('clears host bits and names single addresses', () => {
    assert.equal(parsePrefix('10.0.0.5/24'), '10.0.0.0/24');
    assert.equal(parsePrefix('2001:DB8::1/33'), '2001:db8::/33');
    assert.equal(hostPrefix(ip('fd00::1')), 'fd00::1/128');
  });
});
