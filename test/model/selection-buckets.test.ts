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

/** In blocks of `width` addresses. */
function memberOf(family: Family, number: number, width: number): Member {
  const [block, host] = [Math.floor(number / width), (number % width) + 1];
  const address = family === 4 ? `10.244.${block}.${host}` : `fd00::${block}:${host.toString(16)}`;
  return { ip: ip(address), pod: pod(`d/p${number}`) };
}

const members = { 4: membersOf(4, 32), 6: membersOf(6, 32) };
/** Few blocks, so that some stay alone when the number of buckets changes. */
const crowded = { 4: membersOf(4, 70), 6: membersOf(6, 70) };

function membersOf(family: Family, width: number): readonly Member[] {
  return Array.from({ length: 400 }, (_, number) => memberOf(family, number, width));
}

function bucketsOf({ buckets }: Partition): Bucket[] {
  return buckets.filter((bucket) => bucket !== undefined);
}

const pick = fc.oneof(
  fc.uniqueArray(fc.nat(399), { maxLength: 4 }),
  fc.uniqueArray(fc.nat(399), { maxLength: 200, size: 'max' }),
  // A run of neighbours: whole blocks come and go.
  fc
    .tuple(fc.nat(399), fc.integer({ min: 1, max: 150 }))
    .map(([from, count]) => Array.from({ length: count }, (_, i) => (from + i) % 400)),
);

describe('the buckets of a selection', () => {
  for (const family of [4, 6] as const) {
    it(`follow from the members alone, and stay while theirs stay, IPv${family}`, () => {
      fc.assert(
        fc.property(fc.array(pick, { maxLength: 12, size: 'max' }), fc.boolean(), (steps, few) => {
          let partition = emptyPartition(family);
          let held: ReadonlySet<Member> = new Set();
          for (const step of steps) {
            const all = few ? crowded : members;
            const picked = step.flatMap((number) => all[family][number] ?? []);
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

  it('that are full stay when one more address needs a second bucket, and when it goes', () => {
    // One block, which is never divided.
    const full = crowded[4].slice(0, 64);
    const one = changePartition(emptyPartition(4), [], full);
    const apart = crowded[4].slice(70).filter((other) => {
      const two = changePartition(one, [], [other]);
      const back = changePartition(two, [other], []);
      if (bucketsOf(two).length === 1) return false;
      assert.ok(two.buckets.includes(one.buckets[0]));
      assert.ok(back.buckets.length === 1 && back.buckets[0] === one.buckets[0]);
      return true;
    });
    assert.ok(apart.length > 0);
  });

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
