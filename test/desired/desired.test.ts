import assert from 'node:assert/strict';
import fc from 'fast-check';
import { prefix } from '../../src/core/ip.ts';
import { createDesired, type Desired } from '../../src/desired/desired.ts';
import type { Plan } from '../../src/desired/plan.ts';
import { equalRows } from '../../src/desired/table.ts';

const routes = (...vias: string[]): Plan => ({
  rows: {
    routes: vias.map((text) => {
      const [to = '', via = 'uplink'] = text.split('@');
      return { prefix: prefix(to), paths: [{ kind: 'forward', interface: via }] };
    }),
  },
  problems: [],
});
const first = { name: 'first', kind: 'First', rank: 0 };
const second = { name: 'second', kind: 'Second', rank: 1 };

function content(desired: Desired): Record<string, unknown> {
  const keys = [...desired.keys('routes')].toSorted();
  return Object.fromEntries(keys.map((key) => [key, desired.row('routes', key)]));
}

describe('desired', () => {
  it('replaces the plan of an owner and tells which keys may have changed', () => {
    const desired = createDesired();
    desired.put(first, 'a', routes('10.0.0.0/8', '10.1.0.0/16'));
    desired.takeChanged();
    desired.put(first, 'a', routes('10.0.0.0/8', '10.2.0.0/16'));
    assert.deepEqual([...desired.keys('routes')].toSorted(), ['10.0.0.0/8', '10.2.0.0/16']);
    assert.deepEqual([...(desired.takeChanged().get('routes') ?? [])].toSorted(), [
      '10.0.0.0/8',
      '10.1.0.0/16',
      '10.2.0.0/16',
    ]);
  });

  it('who has nothing but a problem is an owner until the problem goes', () => {
    const desired = createDesired();
    const problem = { object: 'config', field: 'pods.mtu', reason: 'too large' };
    desired.put(first, 'a', { rows: {}, problems: [problem] });
    assert.deepEqual([...desired.ownersOf('first')], ['a']);
    desired.put(first, 'a', { rows: {}, problems: [] });
    assert.deepEqual([...desired.ownersOf('first')], []);
    assert.deepEqual(desired.problems(), []);
  });

  it('of two that claim one key the earlier planner wins, and the loser is told', () => {
    const desired = createDesired();
    desired.put(second, 'b', routes('10.0.0.0/8@loser'));
    desired.put(first, 'a', routes('10.0.0.0/8@winner'));
    assert.deepEqual(desired.row('routes', '10.0.0.0/8'), {
      prefix: '10.0.0.0/8',
      paths: [{ kind: 'forward', interface: 'winner' }],
    });
    assert.deepEqual(
      desired.problems().map((problem) => problem.object),
      ['Second/b'],
    );
  });

  it('the loser takes the place of a winner that goes', () => {
    const desired = createDesired();
    desired.put(first, 'a', routes('10.0.0.0/8@winner'));
    desired.put(second, 'b', routes('10.0.0.0/8@loser'));
    desired.takeChanged();
    desired.put(first, 'a', routes());
    assert.equal(desired.problems().length, 0);
    assert.deepEqual(content(desired), {
      '10.0.0.0/8': { prefix: '10.0.0.0/8', paths: [{ kind: 'forward', interface: 'loser' }] },
    });
    assert.equal(desired.takeChanged().get('routes')?.has('10.0.0.0/8'), true);
  });

  it('any order of the same last plans gives the same rows and the same problems', () => {
    const keys = ['10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16'];
    const putting = fc.record({
      planner: fc.constantFrom(first, second),
      owner: fc.constantFrom('a', 'b', 'c'),
      keys: fc.subarray(keys),
    });
    fc.assert(
      fc.property(
        fc.array(putting, { maxLength: 20 }),
        fc.infiniteStream(fc.nat()),
        (puts, random) => {
          const inOrder = createDesired();
          const last = new Map<string, (typeof puts)[number]>();
          for (const put of puts) {
            const plan = routes(
              ...put.keys.map((key) => `${key}@${put.planner.name}-${put.owner}`),
            );
            inOrder.put(put.planner, put.owner, plan);
            last.set(`${put.planner.name} ${put.owner}`, put);
          }
          const shuffled = [...last.values()]
            .map((put) => ({ put, at: random.next().value as number }))
            .toSorted((a, b) => a.at - b.at);
          const fromScratch = createDesired();
          for (const { put } of shuffled) {
            const plan = routes(
              ...put.keys.map((key) => `${key}@${put.planner.name}-${put.owner}`),
            );
            fromScratch.put(put.planner, put.owner, plan);
          }
          assert.deepEqual(content(inOrder), content(fromScratch));
          const problems = (desired: Desired) =>
            desired
              .problems()
              .map((p) => `${p.object} ${p.reason}`)
              .toSorted();
          assert.deepEqual(problems(inOrder), problems(fromScratch));
        },
      ),
    );
  });
});

describe('equalRows', () => {
  it('is deep equality', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.integer({ max: 3, min: 0 }),
        fc.constantFrom('a', undefined),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('x', 'y'), tie('any'), { noNullPrototype: true }),
      ),
    })).any;
    fc.assert(
      fc.property(value, value, (a, b) => {
        let same = true;
        try {
          assert.deepStrictEqual(a, b);
        } catch {
          same = false; // assert's answer to unequal values is an exception
        }
        assert.equal(equalRows(a, b), same);
        assert.equal(equalRows(a, structuredClone(a)), true);
      }),
    );
  });
});
