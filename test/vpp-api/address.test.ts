import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  addressWithLength,
  readAddress,
  readIp6,
  readMac,
  splitAddressWithPrefix,
  writeIp4,
  writeIp6,
  writeMac,
} from '../../native/vpp-api/address.ts';
import { WireError } from '../../native/vpp-api/wire-error.ts';
import { ip, ipBytes, ipFromBytes } from '../../src/core/ip.ts';

describe('addresses on the wire', () => {
  it('are those of the core, for every IPv6 address', () => {
    const groups = fc.array(fc.constantFrom(0, 0, 1, 0xab, 0xff), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(groups, (bytes) => {
        const text = ipFromBytes(new Uint8Array(bytes));
        const out = new Uint8Array(18).fill(0xee);
        writeIp6(out, 1, text, text.length);
        assert.deepEqual(out.subarray(1, 17), ipBytes(text), text);
        assert.deepEqual([out[0], out[17]], [0xee, 0xee]);
        assert.equal(readIp6(out, 1), text);
      }),
      { numRuns: 500 },
    );
  });

  for (const text of [
    '',
    ':',
    ':::',
    '1:',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '12345::',
    '1:2:3:4:5:6:7:8::',
    '10.0.0.1',
    '::1%eth0',
  ]) {
    it(`${JSON.stringify(text)} is no IPv6 address`, () => {
      assert.throws(() => writeIp6(new Uint8Array(16), 0, text, text.length), WireError);
    });
  }

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1..2.3',
    '1.2.3.4 ',
    'a.b.c.d',
    '::',
    '1.2.3.0004',
  ]) {
    it(`${JSON.stringify(text)} is no IPv4 address`, () => {
      assert.throws(() => writeIp4(new Uint8Array(16), 0, text, text.length), WireError);
    });
  }

  it('of a family that does not exist are refused', () => {
    assert.throws(() => readAddress(new Uint8Array(17).fill(2), 0), WireError);
  });

  it('keep their host bits together with a length', () => {
    const value = addressWithLength(ip('10.0.0.5'), 24);
    assert.equal(value, '10.0.0.5/24');
    assert.deepEqual(splitAddressWithPrefix(value), { address: '10.0.0.5', length: 24 });
    assert.throws(() => addressWithLength(ip('10.0.0.5'), 33), WireError);
  });

  it('of Ethernet are written in lower case, and read in any', () => {
    const out = new Uint8Array(6);
    writeMac(out, 0, '02:AB:cd:00:00:0f');
    assert.equal(readMac(out, 0), '02:ab:cd:00:00:0f');
    for (const wrong of ['', '02:ab:cd:00:00', '02-ab-cd-00-00-0f', '02:ab:cd:00:00:0g']) {
      assert.throws(() => writeMac(out, 0, wrong), WireError, wrong);
    }
  });
});
