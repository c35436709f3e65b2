import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseRange } from '../../src/core/address-range.ts';
import { type Ip, ip } from '../../src/core/ip.ts';
import { createFreeAddresses, withoutRanges } from '../../src/lb-pools/free-addresses.ts';

function range(text: string) {
  const parsed = parseRange(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

describe('free addresses of a pool', () => {
  it('law: the first that is not taken, whatever was taken and given back', () => {
    const all = ['192.0.2.1', '192.0.2.2', '192.0.2.9', '192.0.2.10', '192.0.2.11'].map(ip);
    const ranges = [range('192.0.2.1-192.0.2.2'), range('192.0.2.9-192.0.2.11')];
    const step = fc.record({ take: fc.boolean(), which: fc.nat({ max: all.length - 1 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const taken = new Set<Ip>();
        const free = createFreeAddresses(ranges, (address) => taken.has(address));
        for (const { take, which } of steps) {
          const first = free.first(4);
          assert.equal(
            first,
            all.find((address) => !taken.has(address)),
          );
          // Mostly as it is used, and sometimes an address that somebody asks for.
          const address = take && which < 3 ? first : all[which];
          if (address === undefined) continue;
          if (take) taken.add(address);
          else if (taken.delete(address)) free.giveBack(address);
        }
      }),
    );
  });

  it('looks at each address once, however full the pool is', () => {
    const taken = new Set<Ip>();
    let looks = 0;
    const free = createFreeAddresses([range('10.50.0.0/16')], (address) => {
      looks++;
      return taken.has(address);
    });
    const given: Ip[] = [];
    for (let i = 0; i < 4_000; i++) {
      const address = free.first(4);
      assert.ok(address !== undefined);
      taken.add(address);
      given.push(address);
    }
    // The first one comes and goes, again and again: nothing of the rest is looked at.
    const [first = ip('0.0.0.0')] = given;
    for (let i = 0; i < 1_000; i++) {
      taken.delete(first);
      free.giveBack(first);
      assert.equal(free.first(4), first);
      taken.add(first);
      free.first(4);
    }
    assert.ok(looks <= 2 * 4_000 + 4 * 1_000, `${looks} looks`);
  });

  it('leaves out holes as ranges', () => {
    const holes = [range('fd00::-fd00::ffff:ffff:ffff:ffff'), range('10.0.0.3-10.0.0.5')];
    const left = withoutRanges([range('10.0.0.1-10.0.0.9'), range('fd00::/64')], holes);
    const free = createFreeAddresses(left, () => false);
    assert.equal(free.first(6), undefined);
    assert.deepEqual(
      left.map((one) => [one.first & 255n, one.last & 255n]),
      [
        [1n, 2n],
        [6n, 9n],
      ],
    );
  });
});
