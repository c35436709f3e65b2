import assert from 'node:assert/strict';
import fc from 'fast-check';
import { communityKind, matchesCommunity, parseCommunity } from '../../src/core/community.ts';

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);

describe('communities', () => {
  it('canonical texts of every kind stay as they are', () => {
    const standard = fc.tuple(u16, u16).map((parts) => parts.join(':'));
    const large = fc.tuple(fc.nat(0xfffffffe), u32, u32).map((parts) => parts.join(':'));
    const extended = fc
      .tuple(fc.constantFrom('rt', 'soo', 'lb'), u16, u32)
      .map((parts) => parts.join(':'));
    for (const [kind, texts] of [
      ['standard', standard],
      ['large', large],
      ['extended', extended],
    ] as const)
      fc.assert(
        fc.property(texts, (text) => {
          assert.deepEqual(parseCommunity(text), { ok: true, value: text });
          assert.equal(communityKind(text), kind);
        }),
      );
  });

  it('never throws, whatever is written', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseCommunity(text)));
  });

  for (const [text, value] of [
    ['no-export', '65535:65281'],
    ['Graceful-Shutdown', '65535:0'],
    ['4294967041', '65535:65281'],
    ['007:1', '7:1'],
    ['rt:4200000000:5', 'rt:4200000000:5'],
  ] as const)
    it(`${text} is ${value}`, () => {
      assert.deepEqual(parseCommunity(text), { ok: true, value });
    });

  for (const text of [
    '',
    '1',
    '65536:1',
    '1:65536',
    '1:2:3:4',
    'rt:1',
    'xx:1:2',
    'lb:65536:1',
    '1:2:4294967296',
    '4294967295:1:1',
    'rt:4200000000:65536',
  ])
    it(`${JSON.stringify(text)} is ${text === '1' ? 'a number' : 'none'}`, () => {
      assert.equal(parseCommunity(text).ok, text === '1');
    });

  it('meets a pattern of its own form, whatever the numbers at its stars', () => {
    const patterns = ['1:*:*', '1:2', '1:2:*'];
    const met = (text: string) => patterns.filter((one) => matchesCommunity(one, text));
    assert.deepEqual(
      ['1:2:3', '1:3:2', '11:2:3', '1:2', '12:2'].map((text) => met(text)),
      [['1:*:*', '1:2:*'], ['1:*:*'], [], ['1:2'], []],
    );
  });
});
