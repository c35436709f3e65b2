import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PathNews } from '../../src/bgp/path-codec.ts';
import { createRouteTable, type NewsMode } from '../../src/bgp/route-table.ts';
import { type Ip, ip, prefix } from '../../src/core/ip.ts';
import { createStore, type Store } from '../../src/model/store.ts';

const [n1, n2] = [ip('192.0.2.101'), ip('192.0.2.102')];
const p = prefix('10.0.0.0/24');

/** A path through `via` that `neighbor` announced, or no longer does. */
const news = (
  via: string,
  neighbor: Ip | undefined = n1,
  withdrawn = false,
  identifier = 0,
): PathNews => ({
  prefix: p,
  nextHop: ip(via),
  neighbor,
  identifier,
  withdrawn,
});
const gone = (neighbor = n1): PathNews => ({
  prefix: p,
  nextHop: undefined,
  neighbor,
  identifier: 0,
  withdrawn: true,
});

const routes = (store: Store) =>
  [...store.facts.learnedRoutes.values()].map((r) => `${r.prefix} ${r.nextHops.join(',')}`);

describe('the table of learned routes', () => {
  const cases: {
    readonly name: string;
    readonly mode: NewsMode;
    readonly messages: readonly (readonly PathNews[])[];
    readonly routes: readonly string[];
  }[] = [
    {
      name: 'two paths of one neighbour, one of which goes',
      mode: 'deltas',
      messages: [
        [news('10.9.9.1', n1, false, 1), news('10.9.9.2', n1, false, 2)],
        [news('10.9.9.3', n1, false, 3), news('10.9.9.1', n1, true, 1)],
      ],
      routes: ['10.0.0.0/24 10.9.9.2,10.9.9.3'],
    },
    {
      name: 'a best path',
      mode: 'best',
      messages: [[news('10.9.9.1')]],
      routes: ['10.0.0.0/24 10.9.9.1'],
    },
    {
      name: 'a better one takes its place, also within a message',
      mode: 'best',
      messages: [[news('10.9.9.1'), news('10.9.9.2', n2)]],
      routes: ['10.0.0.0/24 10.9.9.2'],
    },
    { name: 'a withdrawal', mode: 'best', messages: [[news('10.9.9.1')], [gone()]], routes: [] },
    {
      name: 'a path of our own replaces what was learned',
      mode: 'best',
      messages: [[news('10.9.9.1')], [{ ...news('10.9.9.9'), neighbor: undefined }]],
      routes: [],
    },
    {
      name: 'a set in one message is ECMP, sorted',
      mode: 'sets',
      messages: [[news('10.9.9.2', n2), news('10.9.9.1')]],
      routes: ['10.0.0.0/24 10.9.9.1,10.9.9.2'],
    },
    {
      name: 'the next set replaces the set before',
      mode: 'sets',
      messages: [[news('10.9.9.2', n2), news('10.9.9.1')], [news('10.9.9.2', n2)]],
      routes: ['10.0.0.0/24 10.9.9.2'],
    },
    {
      name: 'the end of a set',
      mode: 'sets',
      messages: [[news('10.9.9.2', n2), news('10.9.9.1')], [gone()]],
      routes: [],
    },
    {
      name: 'deltas add up over messages',
      mode: 'deltas',
      messages: [[news('10.9.9.2', n2)], [news('10.9.9.1')]],
      routes: ['10.0.0.0/24 10.9.9.1,10.9.9.2'],
    },
    {
      name: 'a delta takes one neighbour away',
      mode: 'deltas',
      messages: [[news('10.9.9.2', n2), news('10.9.9.1')], [gone(n2)]],
      routes: ['10.0.0.0/24 10.9.9.1'],
    },
    {
      name: 'a neighbour changes its next hop',
      mode: 'deltas',
      messages: [[news('10.9.9.1')], [gone(), news('10.9.9.7')]],
      routes: ['10.0.0.0/24 10.9.9.7'],
    },
  ];
  for (const c of cases) {
    it(`${c.mode}: ${c.name}`, () => {
      for (const flushEach of [true, false]) {
        const store = createStore();
        const table = createRouteTable(store);
        table.begin(c.mode);
        for (const message of c.messages) {
          table.apply(message);
          if (flushEach) table.flush();
        }
        table.flush();
        assert.deepEqual(routes(store), c.routes, flushEach ? 'one by one' : 'together');
      }
    });
  }

  it('does not touch a fact that is told again', () => {
    const store = createStore();
    const table = createRouteTable(store);
    table.apply([news('10.9.9.1')]);
    assert.equal(table.flush(), true);
    const fact = store.facts.learnedRoutes.get(p);
    table.markStale();
    table.apply([news('10.9.9.1')]);
    assert.equal(table.flush(), false);
    assert.equal(store.facts.learnedRoutes.get(p), fact);
    assert.equal(table.staleCount, 0);
  });

  it('keeps unconfirmed routes until they are dropped', () => {
    const store = createStore();
    const table = createRouteTable(store);
    const other = prefix('fd00::/64');
    table.apply([news('10.9.9.1'), { ...news('2001:db8::1'), prefix: other }]);
    table.flush();
    table.markStale();
    table.apply([{ ...news('2001:db8::2'), prefix: other }]);
    table.flush();
    assert.deepEqual(routes(store), ['10.0.0.0/24 10.9.9.1', 'fd00::/64 2001:db8::2']);
    assert.equal(table.dropStale(), 1);
    assert.deepEqual(routes(store), ['fd00::/64 2001:db8::2']);
    assert.equal(table.dropStale(), 0);
  });

  it('takes at most as many prefixes as its limit, and still updates those', () => {
    const store = createStore();
    const table = createRouteTable(store, 1);
    table.apply([news('10.9.9.1'), { ...news('10.9.9.1'), prefix: prefix('10.0.1.0/24') }]);
    table.flush();
    table.apply([news('10.9.9.2')]);
    table.flush();
    assert.deepEqual(routes(store), ['10.0.0.0/24 10.9.9.2']);
    assert.equal(table.refused, 1);
  });

  for (const mode of ['best', 'sets', 'deltas'] as const)
    it(`${mode}: says when there is room again, and begins a new stream with nothing refused`, () => {
      const store = createStore();
      const table = createRouteTable(store, 10);
      const told = (from: number, to: number, withdrawn = false) =>
        Array.from({ length: to - from }, (_, i) => ({
          ...news('10.9.9.1', n1, withdrawn),
          prefix: prefix(`10.0.${from + i}.0/24`),
        }));
      table.begin(mode);
      table.apply(told(0, 6));
      table.flush();
      // Updates of what is there take no place; of the next eight, four are new and fit.
      table.apply([...told(0, 6), ...told(6, 14)]);
      assert.deepEqual([table.refused, table.hasRoomAgain], [4, false]);
      table.flush();
      assert.equal(store.facts.learnedRoutes.size, 10);
      // The end of what was refused is no news, also of what has come twice.
      table.apply([...told(10, 12), ...told(10, 14, true)]);
      table.flush();
      assert.deepEqual([store.facts.learnedRoutes.size, table.hasRoomAgain], [10, false]);
      table.apply(told(0, 1, true));
      table.flush();
      assert.equal(table.hasRoomAgain, false);
      table.apply(told(1, 2, true));
      table.flush();
      assert.equal(table.hasRoomAgain, true);
      table.begin(mode);
      assert.deepEqual([table.refused, table.hasRoomAgain], [0, false]);
      table.apply(told(10, 12));
      table.flush();
      assert.equal(store.facts.learnedRoutes.size, 10);
      assert.equal(table.refused, 0);
    });

  it('deltas: remembers nothing of what it refused', () => {
    const store = createStore();
    const table = createRouteTable(store, 1);
    const other = prefix('10.0.1.0/24');
    table.begin('deltas');
    table.apply([news('10.9.9.1'), { ...news('10.9.9.7'), prefix: other }]);
    table.flush();
    table.apply([gone()]);
    table.flush();
    table.apply([{ ...news('10.9.9.8', n2), prefix: other }]);
    table.flush();
    assert.deepEqual(routes(store), ['10.0.1.0/24 10.9.9.8']);
  });

  it('deltas, however they are grouped and flushed, give what the neighbours say at last', () => {
    const item = fc.record({
      prefix: fc.constantFrom(p, prefix('10.0.1.0/24')),
      nextHop: fc.constantFrom(ip('10.9.9.1'), ip('10.9.9.2'), ip('10.9.9.3')),
      neighbor: fc.constantFrom(n1, n2),
      identifier: fc.constantFrom(0, 1, 2),
      withdrawn: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(item), fc.boolean())), (messages) => {
        const store = createStore();
        const table = createRouteTable(store);
        table.begin('deltas');
        const said = new Map<string, Ip>();
        for (const [message, flush] of messages) {
          table.apply(message);
          if (flush) table.flush();
          for (const { prefix: to, nextHop, neighbor, identifier, withdrawn } of message) {
            const key = `${to} ${neighbor} ${identifier}`;
            if (withdrawn) said.delete(key);
            else said.set(key, nextHop);
          }
        }
        table.flush();
        const expected = new Map<string, Set<Ip>>();
        for (const [key, nextHop] of said) {
          const to = key.split(' ')[0] ?? '';
          expected.set(to, (expected.get(to) ?? new Set()).add(nextHop));
        }
        assert.deepEqual(
          routes(store).toSorted(),
          [...expected].map(([to, hops]) => `${to} ${[...hops].toSorted().join(',')}`).toSorted(),
        );
      }),
    );
  });
});
