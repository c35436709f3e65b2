import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Attribute,
  attributeText,
  encodeAttributes,
  encodeMessage,
  formatMac,
  macBytes,
  parseAttributes,
  parseErrorMessage,
  parseMessages,
  text,
  u32,
} from '../../src/host/netlink-wire.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('netlink bytes', () => {
  it('a message and its attributes are laid out as the kernel says', () => {
    const attributes: Attribute[] = [
      [3, text('eth0')],
      [18, [[1, text('veth')]]],
      [4, u32(1500)],
    ];
    const payload = encodeAttributes(attributes);
    const name = '0900' + '0300' + '6574683000' + '000000';
    const info = '1000' + '1280' + ('0900' + '0100' + '7665746800' + '000000');
    const mtu = '0800' + '0400' + 'dc050000';
    assert.equal(hex(payload), name + info + mtu);
    const message = encodeMessage({
      type: 16,
      flags: 0x605,
      sequence: 7,
      payload: payload.subarray(0, 9),
    });
    const header = '19000000' + '1000' + '0506' + '07000000' + '00000000';
    assert.equal(hex(message), `${header + name.slice(0, 18)}000000`);
  });

  it('law: messages and attributes are read back as they were written', () => {
    const value = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
    const attributes = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 200 }), value), {
      selector: ([type]) => type,
      maxLength: 6,
    });
    const messages = fc.array(fc.tuple(fc.integer({ min: 16, max: 99 }), attributes), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(messages, (all) => {
        const datagram = Buffer.concat(
          all.map(([type, list]) =>
            encodeMessage({ type, flags: 2, sequence: 1, payload: encodeAttributes(list) }),
          ),
        );
        const parsed = parseMessages(datagram).map((m) => [
          m.type,
          [...parseAttributes(m.payload)],
        ]);
        assert.deepEqual(parsed, all);
      }),
    );
  });

  it('law: any bytes are parsed without a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const buffer = Buffer.from(bytes);
        for (const message of parseMessages(buffer)) parseErrorMessage(message);
        for (const value of parseAttributes(buffer).values()) attributeText(value);
        parseErrorMessage({ type: 2, flags: 0x300, sequence: 0, payload: buffer });
      }),
    );
  });

  it('an error carries its errno and the words of the kernel, capped or not', () => {
    const words = encodeAttributes([[1, text('Nexthop has invalid gateway')]]);
    const errno = Buffer.alloc(4);
    errno.writeInt32LE(-101);
    const request = encodeMessage({ type: 24, flags: 5, sequence: 9, payload: Buffer.alloc(12) });
    const expected = { errno: 101, detail: 'Nexthop has invalid gateway' };
    const whole = Buffer.concat([errno, request, words]);
    assert.deepEqual(
      parseErrorMessage({ type: 2, flags: 0x200, sequence: 9, payload: whole }),
      expected,
    );
    const capped = Buffer.concat([errno, request.subarray(0, 16), words]);
    assert.deepEqual(
      parseErrorMessage({ type: 2, flags: 0x300, sequence: 9, payload: capped }),
      expected,
    );
    const bare = { type: 2, flags: 0x100, sequence: 9, payload: Buffer.concat([errno, request]) };
    assert.deepEqual(parseErrorMessage(bare), { errno: 101, detail: '' });
  });

  it('a MAC is six bytes, and nothing else is a MAC', () => {
    assert.equal(formatMac(macBytes('02:00:0A:ff:00:01')), '02:00:0a:ff:00:01');
    for (const bad of ['', '02:00:00:00:00', '02-00-00-00-00-01', '02:00:00:00:00:zz']) {
      assert.throws(() => macBytes(bad), /not a MAC/);
    }
  });
});
