import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createFakeClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { pathRow } from '../../src/desired/bgp.ts';
import { createDesired } from '../../src/desired/desired.ts';
import type { Plan } from '../../src/desired/plan.ts';
import { createReconciler } from '../../src/reconcile/reconciler.ts';
import { createMemoryTarget } from './memory-target.ts';

const planner = { name: 'test', kind: 'Test', rank: 0 };
const signal = new AbortController().signal;
const everything = { signal, mayDelete: () => true };

function setUp() {
  const clock = createFakeClock();
  const target = createMemoryTarget('vpp', ['interfaces', 'routes', 'linkStates']);
  const gobgp = createMemoryTarget('gobgp', ['bgpPaths']);
  const desired = createDesired();
  const reconciler = createReconciler({ targets: [target, gobgp], desired, clock });
  return { clock, target, gobgp, desired, reconciler };
}

const route = (to: string, via: string): Plan => ({
  rows: { routes: [{ prefix: prefix(to), paths: [{ kind: 'forward', interface: via }] }] },
  problems: [],
});
const pod: Plan = {
  rows: {
    ...route('10.0.0.1/32', 'pod').rows,
    linkStates: [{ interface: 'pod', up: true }],
    bgpPaths: [pathRow(prefix('10.0.0.0/24'), ip('192.0.2.1'))],
  },
  problems: [],
};

describe('reconciler', () => {
  it('puts first to last and deletes last to first: announced last, withdrawn first', async () => {
    const { target, gobgp, desired, reconciler } = setUp();
    const order: string[] = [];
    for (const one of [target, gobgp]) one.calls.push = (...lines) => order.push(...lines);
    desired.put(planner, 'pod', pod);
    await reconciler.round(everything);
    desired.put(planner, 'pod', { rows: {}, problems: [] });
    await reconciler.round(everything);
    assert.deepEqual(order, [
      'put routes 10.0.0.1/32',
      'put linkStates pod',
      'put bgpPaths 10.0.0.0/24',
      'del bgpPaths 10.0.0.0/24',
      'del linkStates pod',
      'del routes 10.0.0.1/32',
    ]);
  });

  it('sends nothing for a plan that is equal to the one before', async () => {
    const { target, desired, reconciler } = setUp();
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    await reconciler.round(everything);
    target.takeCalls();
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), []);
  });

  it('never deletes on half a picture, and deletes when it is whole', async () => {
    const { target, desired, reconciler } = setUp();
    target.content.get('routes')?.set('10.9.0.0/16', { prefix: '10.9.0.0/16', paths: [] });
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    await reconciler.round({ signal, mayDelete: () => false });
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.0/8']);
    assert.equal(reconciler.waiting('routes'), 1);
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['del routes 10.9.0.0/16']);
  });

  it('KP-49 puts nothing on half a picture: what is held stays, and the target is not complete', async () => {
    const { target, desired, reconciler } = setUp();
    const held = { prefix: '10.0.0.0/8', paths: [{ kind: 'drop' }] };
    target.content.get('routes')?.set('10.0.0.0/8', held);
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    desired.put(planner, 'b', route('11.0.0.0/8', 'x'));
    const half = (...may: boolean[]) =>
      reconciler.round({ ...everything, mayPut: (_stage, isHeld) => may[Number(isHeld)] ?? true });
    const first = await half(false, false);
    assert.deepEqual([target.takeCalls(), [...first.withheld]], [[], ['vpp']]);
    assert.equal(reconciler.nextRetryMs(), undefined, 'it waits for a source, not for a time');
    const second = await half(true, false);
    assert.deepEqual(target.takeCalls(), ['put routes 11.0.0.0/8']);
    assert.deepEqual([...second.withheld], ['vpp']);
    const third = await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.0/8']);
    assert.deepEqual([...third.withheld], []);
  });

  it('a failed row keeps its error, hurts no neighbour, and heals at its retry', async () => {
    const { clock, target, desired, reconciler } = setUp();
    target.refused.add('10.0.0.0/8');
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    desired.put(planner, 'b', route('11.0.0.0/8', 'x'));
    const result = await reconciler.round(everything);
    assert.equal(result.failed, 1);
    assert.equal(reconciler.applied('routes', '11.0.0.0/8') !== undefined, true);
    assert.deepEqual(
      [...reconciler.failures()].map((f) => [f.key, String(f.error), f.attempts]),
      [['10.0.0.0/8', 'Error: refused', 1]],
    );
    target.takeCalls();
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), [], 'not before its time');
    target.refused.clear();
    await clock.advance((reconciler.nextRetryMs() ?? 0) - clock.monotonic());
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.0/8']);
    assert.deepEqual([...reconciler.failures()], []);
  });

  it('a delete that failed is tried again with what it deletes', async () => {
    const { clock, target, desired, reconciler } = setUp();
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    await reconciler.round(everything);
    target.refused.add('10.0.0.0/8');
    desired.put(planner, 'a', { rows: {}, problems: [] });
    await reconciler.round(everything);
    assert.ok(reconciler.applied('routes', '10.0.0.0/8') !== undefined);
    target.refused.clear();
    await clock.advance((reconciler.nextRetryMs() ?? 0) - clock.monotonic());
    await reconciler.round(everything);
    assert.equal(target.content.get('routes')?.size, 0);
  });

  it('a target that is not connected fails no round and is repaired when it comes back', async () => {
    const { target, gobgp, desired, reconciler } = setUp();
    target.setSession(undefined);
    desired.put(planner, 'pod', pod);
    const result = await reconciler.round(everything);
    assert.deepEqual([...result.connected], ['gobgp']);
    assert.deepEqual(gobgp.takeCalls(), ['put bgpPaths 10.0.0.0/24']);
    target.setSession({});
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.1/32', 'put linkStates pod']);
  });

  it('a new session is dumped: what is right stays untouched, the rest is repaired', async () => {
    const { target, desired, reconciler } = setUp();
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    desired.put(planner, 'b', route('11.0.0.0/8', 'x'));
    await reconciler.round(everything);
    target.takeCalls();
    target.content.get('routes')?.delete('10.0.0.0/8');
    target.content.get('routes')?.set('12.0.0.0/8', { prefix: '12.0.0.0/8', paths: [] });
    target.setSession({});
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.0/8', 'del routes 12.0.0.0/8']);
  });

  it('what cannot be read back is written again, and only then', async () => {
    const { target, desired, reconciler } = setUp();
    const dump = target.drivers[1]?.dump;
    assert.ok(dump !== undefined);
    desired.put(planner, 'a', route('10.0.0.0/8', 'x'));
    await reconciler.round(everything);
    target.takeCalls();
    const [routes] = target.drivers.filter((driver) => driver.table.name === 'routes');
    Object.assign(routes as object, { dump: async () => [{ key: '10.0.0.0/8', row: undefined }] });
    await reconciler.audit(signal);
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), ['put routes 10.0.0.0/8']);
    await reconciler.round(everything);
    assert.deepEqual(target.takeCalls(), []);
  });

  it('after any history of plans, refusals and restarts the target holds what is desired', async () => {
    const keys = ['10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16'];
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('plan' as const),
        owner: fc.constantFrom('a', 'b'),
        key: fc.constantFrom(...keys),
        via: fc.constantFrom('x', 'y', undefined),
      }),
      fc.record({ kind: fc.constant('refuse' as const), key: fc.constantFrom(...keys) }),
      fc.record({ kind: fc.constantFrom('restart' as const, 'lose' as const, 'drift' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
        const { clock, target, desired, reconciler } = setUp();
        for (const one of events) {
          if (one.kind === 'plan')
            desired.put(
              planner,
              one.owner,
              one.via === undefined ? { rows: {}, problems: [] } : route(one.key, one.via),
            );
          else if (one.kind === 'refuse') target.refused.add(one.key);
          else if (one.kind === 'lose') target.setSession(undefined);
          else {
            if (one.kind === 'drift') target.content.get('routes')?.clear();
            target.setSession({});
          }
          await reconciler.round(everything);
        }
        target.refused.clear();
        target.setSession({});
        await clock.advance(60_000);
        await reconciler.round(everything);
        const held = [...(target.content.get('routes') ?? [])].toSorted();
        const wanted = [...desired.keys('routes')].map((k) => [k, desired.row('routes', k)]);
        assert.deepEqual(held, wanted.toSorted());
        assert.deepEqual([...reconciler.failures()], []);
      }),
      { numRuns: 200 },
    );
  });
});
