import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Family, ip } from '../../src/core/ip.ts';
import {
  changePartition,
  emptyPartition,
  type Partition,
} from '../../src/model/selection-buckets.ts';
import type { Bucket, Member } from '../../src/model/selections.ts';
import { pod } from '../facts.ts';

/** In blocks of 32 addresses. */
function memberOf(family: Family, number: number): Member {
  const [block, host] = [number >> 5, (number & 31) + 1];
  const address = family === 4 ? `10.244.${block}.${host}` : `fd00::${block}:${host}`;
  return { ip: ip(address), pod: pod(`d/p${number}`) };
}

const members = { 4: membersOf(4), 6: membersOf(6) };

function membersOf(family: Family): readonly Member[] {
  return Array.from({ length: 400 }, (_, number) => memberOf(family, number));
}

function bucketsOf({ buckets }: Partition): Bucket[] {
  return buckets.filter((bucket) => bucket !== undefined);
}

const pick = fc.oneof(
  fc.uniqueArray(fc.nat(399), { maxLength: 4 }),
  fc.uniqueArray(fc.nat(399), { maxLength: 200, size: 'max' }),
);

describe('the buckets of a selection', () => {
  for (const family of [4, 6] as const) {
    it(`follow from the members alone, and stay while theirs stay, IPv${family}`, () => {
      fc.assert(
        fc.property(fc.array(pick, { maxLength: 8 }), (steps) => {
          let partition = emptyPartition(family);
          let held: ReadonlySet<Member> = new Set();
          for (const step of steps) {
            const picked = step.flatMap((number) => members[family][number] ?? []);
            const removed = picked.filter((member) => held.has(member));
            const added = picked.filter((member) => !held.has(member));
            const before = bucketsOf(partition);
            partition = changePartition(partition, removed, added);
            held = new Set([...[...held].filter((one) => !removed.includes(one)), ...added]);
            assert.deepEqual(partition, changePartition(emptyPartition(family), [], [...held]));
            for (const bucket of bucketsOf(partition)) {
              const same = before.find((old) => sameMembers(old, bucket));
              if (same !== undefined) assert.equal(bucket, same);
            }
          }
        }),
      );
    });

    it(`are one up to 64 members, then as many as 64 each need, IPv${family}`, () => {
      const sizes = [0, 1, 64, 65, 128, 129, 256, 257, 400].map((count) => [
        count,
        changePartition(emptyPartition(family), [], members[family].slice(0, count)).buckets.length,
      ]);
      assert.deepEqual(sizes, [
        [0, 1],
        [1, 1],
        [64, 1],
        [65, 2],
        [128, 2],
        [129, 4],
        [256, 4],
        [257, 8],
        [400, 8],
      ]);
    });

    it(`keep together what is of one block, IPv${family}`, () => {
      const partition = changePartition(emptyPartition(family), [], members[family]);
      for (let block = 0; block < 12; block++) {
        const ips = members[family].slice(block * 32, block * 32 + 32).map((one) => one.ip);
        const homes = bucketsOf(partition).filter((bucket) =>
          bucket.members.some((one) => ips.includes(one.ip)),
        );
        assert.equal(homes.length, 1);
      }
      assert.ok(bucketsOf(partition).length > 3, 'blocks are spread');
    });
  }

  it('of a /120 do not depend on how an address is written', () => {
    // The text is 2001:0:0:1:1::, but 2001::1:1:0:0:5: one block all the same.
    const texts = ['2001:0:0:1:1::', '2001::1:1:0:0:5'];
    const pair = texts.map((text) => ({ ip: ip(text), pod: pod('d/a') }));
    const others = members[6].slice(0, 299);
    const { buckets } = changePartition(emptyPartition(6), [], [...others, ...pair]);
    const homes = buckets.filter((one) => one?.members.some((member) => pair.includes(member)));
    assert.equal(homes.length, 1);
  });

  it('replace one bucket for one member', () => {
    const before = changePartition(emptyPartition(4), [], members[4].slice(0, 300));
    const [member] = members[4].slice(300);
    const after = changePartition(before, [], member === undefined ? [] : [member]);
    const replaced = after.buckets.filter((bucket, place) => bucket !== before.buckets[place]);
    assert.equal(replaced.length, 1);
    assert.equal(after.buckets.length, before.buckets.length);
  });
});

function sameMembers(one: Bucket, other: Bucket): boolean {
  return (
    one.members.length === other.members.length &&
    one.members.every((member, i) => member === other.members[i])
  );
}
