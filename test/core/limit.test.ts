import assert from 'node:assert/strict';
import { createLimit } from '../../src/core/limit.ts';

/** Work that ends when it is told to. */
function gates(count: number) {
  return Array.from({ length: count }, () => {
    let open = (_error?: Error) => {};
    const opened = new Promise<void>((resolve, reject) => {
      open = (error) => (error === undefined ? resolve() : reject(error));
    });
    return { open, opened };
  });
}

describe('a limit', () => {
  it('lets no more go on at once than they may, in the order in which they came', async () => {
    const limited = createLimit(2);
    const started: number[] = [];
    const all = gates(5);
    const done = all.map(({ opened }, index) =>
      limited(() => {
        started.push(index);
        return opened;
      }),
    );
    assert.deepEqual(started, [0, 1]);
    all[1]?.open();
    await done[1];
    assert.deepEqual(started, [0, 1, 2]);
    for (const { open } of all) open();
    await Promise.all(done);
    assert.deepEqual(started, [0, 1, 2, 3, 4]);
  });

  it('goes on after work that failed, whose error is its own', async () => {
    const limited = createLimit(1);
    const [first] = gates(1);
    const failing = limited(() => first?.opened ?? Promise.resolve());
    const next = limited(() => Promise.resolve('done'));
    first?.open(new Error('no'));
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'done');
    assert.equal(await limited(() => Promise.resolve(1)), 1);
  });

  it('gives a place back when work throws at once', async () => {
    const limited = createLimit(1);
    const thrown = limited(() => {
      throw new Error('at once');
    });
    await assert.rejects(thrown, /at once/);
    assert.equal(await limited(() => Promise.resolve('free')), 'free');
  });
});
