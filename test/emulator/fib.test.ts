import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ip, prefix } from '../../src/core/ip.ts';
import { type Addr, addrFromIp, addrInPrefix, addrPrefix } from '../../src/emulator/address.ts';
import { createFib } from '../../src/emulator/fib/fib.ts';
import type { FibPath } from '../../src/emulator/fib/paths.ts';
import { createPrefixMap } from '../../src/emulator/fib/table.ts';

const path = (fields: Partial<FibPath>): FibPath => ({
  type: 0,
  interface: undefined,
  nextHop: undefined,
  weight: 1,
  preference: 0,
  flags: 0,
  tableId: 0,
  ...fields,
});
const hop = (text: string): Addr => addrFromIp(ip(text));

/** Interfaces 1 and 2 are Ethernet, 3 is a tunnel, 4 is down. */
const fresh = () =>
  createFib({
    kindOf: (index) => (['ethernet', 'ethernet', 'point-to-point', 'down'] as const)[index - 1],
  });

describe('longest-prefix match', () => {
  for (const family of [4, 6] as const) {
    const bytes = family === 4 ? 4 : 16;
    // Few different bits, so that prefixes nest and collide often.
    const addr = fc
      .array(fc.constantFrom(0, 1, 128, 255), { minLength: bytes, maxLength: bytes })
      .map((list) => Buffer.from(list).toString('latin1') as Addr);
    const entry = fc.record({ addr, length: fc.integer({ min: 0, max: bytes * 8 }) });

    it(`of IPv${family} equals a search through all prefixes, also after deletes`, () => {
      fc.assert(
        fc.property(
          fc.array(entry, { maxLength: 30 }),
          fc.array(fc.nat()),
          addr,
          (all, gone, wanted) => {
            const map = createPrefixMap<number>(family);
            const naive = new Map<string, { addr: Addr; length: number; value: number }>();
            const key = (e: { addr: Addr; length: number }) =>
              [...naive].find(
                ([, n]) => n.length === e.length && addrInPrefix(e.addr, n.addr, n.length),
              )?.[0];
            for (const [value, e] of all.entries()) {
              map.set(e, value);
              naive.set(key(e) ?? `${value}`, { ...e, value });
            }
            for (const i of gone) {
              const e = all[i % Math.max(1, all.length)];
              if (e === undefined) continue;
              const known = key(e);
              assert.equal(map.delete(e), known !== undefined);
              if (known !== undefined) naive.delete(known);
            }
            assert.equal(map.size, naive.size);
            const best = [...naive.values()]
              .filter((n) => addrInPrefix(wanted, n.addr, n.length))
              .toSorted((a, b) => b.length - a.length)[0];
            assert.equal(map.match(wanted), best?.value);
          },
        ),
      );
    });
  }
});

describe('the forwarding table', () => {
  it('prefers the source with the lowest priority, and falls back to the others', () => {
    const fib = fresh();
    const own = fib.addSource('ours', 160);
    const p = addrPrefix(prefix('10.0.0.0/8'));
    fib.put(0, p, own.id, [path({ interface: 1, nextHop: hop('192.0.2.1') })]);
    fib.put(0, p, 8, [path({ type: 2 })]);
    const look = () => {
      const entry = fib.lookup(0, hop('10.1.2.3'));
      return entry === undefined ? [] : fib.buckets(entry).map((b) => b.kind);
    };
    assert.deepEqual(look(), ['drop']);
    fib.put(0, p, 8, []);
    assert.deepEqual(look(), ['adjacency']);
    fib.put(0, p, own.id, []);
    assert.deepEqual(look(), ['drop']);
  });

  it('resolves recursive paths through other prefixes', () => {
    const fib = fresh();
    fib.put(0, addrPrefix(prefix('192.0.2.0/24')), 4, [path({ interface: 1 })]);
    fib.put(0, addrPrefix(prefix('10.0.0.0/8')), 8, [path({ nextHop: hop('192.0.2.7') })]);
    fib.put(0, addrPrefix(prefix('10.9.0.0/16')), 8, [path({ nextHop: hop('10.1.1.1') })]);
    const entry = fib.lookup(0, hop('10.9.9.9'));
    assert(entry !== undefined);
    assert.deepEqual(fib.buckets(entry), [
      { kind: 'adjacency', interface: 1, nextHop: hop('192.0.2.7') },
    ]);
  });

  it('drops what resolves through itself or through an interface that is down', () => {
    const fib = fresh();
    fib.put(0, addrPrefix(prefix('10.0.0.0/8')), 8, [path({ nextHop: hop('10.1.1.1') })]);
    fib.put(0, addrPrefix(prefix('11.0.0.0/8')), 8, [
      path({ interface: 4, nextHop: hop('1.1.1.1') }),
    ]);
    for (const target of ['10.5.5.5', '11.1.1.1']) {
      const entry = fib.lookup(0, hop(target));
      assert(entry !== undefined);
      assert.equal(fib.buckets(entry)[0]?.kind, 'drop');
    }
  });

  it('spreads over the usable paths of the best preference, by weight', () => {
    const fib = fresh();
    const count = (paths: readonly FibPath[]) => {
      const entry = fib.put(0, addrPrefix(prefix('10.0.0.0/8')), 8, paths);
      const seen: Record<string, number> = {};
      for (const b of fib.buckets(entry)) {
        const key = 'interface' in b ? `${b.interface}` : b.kind;
        seen[key] = (seen[key] ?? 0) + 1;
      }
      return seen;
    };
    const via = (index: number, more: Partial<FibPath> = {}) =>
      path({ interface: index, nextHop: hop('1.1.1.1'), ...more });
    assert.deepEqual(count([via(1), via(2)]), { 1: 1, 2: 1 });
    assert.deepEqual(count([via(1), via(2), via(4)]), { 1: 1, 2: 1 });
    assert.deepEqual(count([via(1, { preference: 1 }), via(2)]), { 2: 1 });
    assert.deepEqual(count([via(1, { weight: 3 }), via(2)]), { 1: 3, 2: 1 });
    assert.deepEqual(count([path({ interface: 3 })]), { 3: 1 });
  });
});
