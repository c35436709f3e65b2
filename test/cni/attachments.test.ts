import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { loadAttachmentState } from '../../src/cni/attachment-file.ts';
import {
  type AttachmentOptions,
  addDeadlineMs,
  createAttachments,
  type PodWiring,
  removeDeadlineMs,
} from '../../src/cni/attachments.ts';
import type { Call } from '../../src/cni/call.ts';
import { createFakeClock, realClock } from '../../src/core/clock.ts';
import { createFolder, createReadyStore, silentLog } from './runtime.ts';

/** Interfaces in memory instead of the kernel: thousands of calls, and failures on demand. */
function createInterfaces() {
  const held = new Set<string>();
  const state = { held, failing: false };
  const wiring: PodWiring = {
    create({ hostInterface }) {
      if (state.failing) throw new Error('no memory');
      assert.ok(!held.has(hostInterface), 'made twice');
      held.add(hostInterface);
    },
    configure: () => undefined,
    remove: async ({ hostInterface }) => void held.delete(hostInterface),
    exists: ({ hostInterface }) => held.has(hostInterface),
    check: ({ hostInterface }) => (held.has(hostInterface) ? undefined : 'gone'),
  };
  const fail = (failing: boolean) => {
    state.failing = failing;
  };
  return { held, wiring, fail };
}

function addCall(pod: number): Call {
  return {
    command: 'ADD',
    version: '1.1.0',
    containerId: `c${pod}`,
    netns: `/run/netns/${pod}`,
    ifName: 'eth0',
    pod: { key: `shop/web-${pod}`, uid: '' },
    dns: undefined,
    validAttachments: new Set(),
  };
}

function optionsIn(folder: string, more: Partial<AttachmentOptions>): AttachmentOptions {
  return {
    store: createReadyStore(),
    wiring: createInterfaces().wiring,
    stateFile: join(folder, 'attachments.json'),
    clock: realClock,
    log: silentLog,
    signal: new AbortController().signal,
    awaitApplied: async () => undefined,
    hasVhostNet: false,
    ...more,
  };
}

const never = (_key: string, _revision: number, signal: AbortSignal) =>
  new Promise<void>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('attachments', function () {
  this.timeout(60_000);

  it('law: whatever happens, disk, store and interfaces agree and no address is given twice', async () => {
    const step = fc.record({
      kind: fc.constantFrom('add', 'add', 'add', 'remove', 'vanish', 'restart', 'fail', 'collect'),
      pod: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        using folder = createFolder();
        const interfaces = createInterfaces();
        let options = optionsIn(folder.path, { wiring: interfaces.wiring });
        let attachments = await createAttachments(options);
        for (const { kind, pod } of steps) {
          const key = `c${pod}/eth0`;
          if (kind === 'add') {
            const before = options.store.facts.attachments.get(key)?.ips;
            const added = await attachments.add(addCall(pod));
            assert.ok(added.ok);
            if (before !== undefined) assert.deepEqual(added.value.ips, before);
          }
          if (kind === 'remove') assert.ok((await attachments.remove(key)).ok);
          if (kind === 'collect') assert.ok((await attachments.collect(new Set([key]))).ok);
          if (kind === 'fail') {
            interfaces.fail(true);
            const known = interfaces.held.has(
              options.store.facts.attachments.get(key)?.hostInterface ?? '',
            );
            assert.equal((await attachments.add(addCall(pod))).ok, known);
            interfaces.fail(false);
          }
          const link = options.store.facts.attachments.get(key)?.hostInterface;
          if (kind === 'vanish' && link !== undefined) interfaces.held.delete(link);
          if (kind === 'restart') {
            options = optionsIn(folder.path, { wiring: interfaces.wiring });
            attachments = await createAttachments(options);
            for (const a of options.store.facts.attachments.values())
              assert.ok(interfaces.held.has(a.hostInterface));
          }
          const { attachments: onDisk } = await loadAttachmentState(options.stateFile);
          assert.deepEqual(options.store.facts.attachments, onDisk);
          const ips = [...onDisk.values()].flatMap((a) => a.ips);
          assert.equal(new Set(ips).size, ips.length);
          for (const link of interfaces.held) {
            assert.ok(
              [...onDisk.values()].some((a) => a.hostInterface === link),
              `${link} is left`,
            );
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('an ADD that VPP does not take in time is undone and may be tried again', async () => {
    using folder = createFolder();
    const clock = createFakeClock();
    const options = optionsIn(folder.path, { clock, awaitApplied: never });
    const attachments = await createAttachments(options);
    const adding = attachments.add(addCall(1));
    while (options.store.facts.attachments.size === 0) await clock.advance(0);
    await clock.advance(addDeadlineMs);
    const added = await adding;
    assert.deepEqual(added, {
      ok: false,
      code: 11,
      problem: 'c1/eth0: not in force in the data plane: not within 60 s',
    });
    assert.equal((await loadAttachmentState(options.stateFile)).attachments.size, 0);
  });

  it('a repeated ADD of a running pod leaves it alone while VPP is away', async () => {
    using folder = createFolder();
    const clock = createFakeClock();
    let away = false;
    const options = optionsIn(folder.path, {
      clock,
      awaitApplied: (key, revision, signal) =>
        away ? never(key, revision, signal) : Promise.resolve(),
    });
    const attachments = await createAttachments(options);
    assert.ok((await attachments.add(addCall(1))).ok);
    away = true;
    const repeated = attachments.add(addCall(1));
    await clock.advance(addDeadlineMs);
    assert.equal((await repeated).ok, false);
    assert.equal(attachments.check('c1/eth0').ok, true);
    // A DEL goes through without VPP, a little later.
    const removing = attachments.remove('c1/eth0');
    await clock.advance(removeDeadlineMs);
    assert.ok((await removing).ok);
    assert.equal(attachments.check('c1/eth0').ok, false);
  });

  it('stops waiting when the daemon stops', async () => {
    using folder = createFolder();
    const stop = new AbortController();
    const options = optionsIn(folder.path, { signal: stop.signal, awaitApplied: never });
    const attachments = await createAttachments(options);
    const adding = attachments.add(addCall(1));
    stop.abort(new Error('the daemon stops'));
    const added = await adding;
    assert.ok(!added.ok);
    assert.match(added.problem, /the daemon stops/);
  });

  it('makes a tap where vhost-net is, and configures it when VPP has made it', async () => {
    using folder = createFolder();
    const store = createReadyStore();
    const config = store.facts.config.get('config');
    assert.ok(config);
    store.commit('config', [
      ['config', { ...config, pods: { ...config.pods, interfaceKind: 'auto' } }],
    ]);
    const order: string[] = [];
    const wiring = { ...createInterfaces().wiring, configure: () => void order.push('configured') };
    const attachments = await createAttachments(
      optionsIn(folder.path, {
        store,
        wiring,
        hasVhostNet: true,
        awaitApplied: async () => void order.push('applied'),
      }),
    );
    const added = await attachments.add(addCall(1));
    assert.ok(added.ok);
    assert.equal(added.value.kind, 'tap');
    assert.deepEqual(order, ['applied', 'configured']);
  });
});
