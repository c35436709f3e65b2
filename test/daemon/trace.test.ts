import assert from 'node:assert/strict';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { realClock } from '../../src/core/clock.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { traceRows } from '../../src/daemon/trace.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { createVppTarget, requiredMessages } from '../../src/vpp/target.ts';
import { createWorld } from '../scenarios/world.ts';

describe('the trace of a packet', () => {
  it('names the Service and the reason where the gate drops', async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const { store, apply } = createWorld();
    await using emulator = createEmulator({ anyHostInterface: true });
    const connect = (until: AbortSignal) =>
      connectVpp({
        stream: emulator.connect(),
        name: 'test',
        signal: until,
        required: requiredMessages,
      });
    await using vpp = createVppTarget({ connect, clock: realClock, signal });
    for (const line of [
      'node n1 192.0.2.1 pods 10.244.1.0/24',
      'pod web 10.244.1.12',
      'service d/web 10.96.0.10 80/tcp nodePort=30080 lb=203.0.113.5 ranges=198.51.100.0/28',
      'endpoint d/web 10.244.1.12:8080 ready node=n1',
    ])
      apply(line);
    let inForce = () => {};
    const done = new Promise<void>((resolve) => {
      inForce = resolve;
    });
    const onRound = (round: { readonly connected: ReadonlySet<string> }) => {
      if (round.connected.has('vpp')) inForce();
    };
    const loop = startLoop({ store, targets: [vpp], clock: realClock, signal, onRound });
    await done;
    const trace = (source: string, destination: string, port: number) =>
      traceRows(store, loop, { source, destination, protocol: 'tcp', port });
    const cases = [
      ['198.51.100.7', '203.0.113.5', 80, /^leaves by /],
      [
        '198.51.100.77',
        '203.0.113.5',
        80,
        /^dropped by the gate: loadBalancerSourceRanges of d.web$/,
      ],
      ['198.51.100.77', '192.0.2.1', 30080, /^leaves by /],
    ] as const;
    for (const [source, destination, port, verdict] of cases) {
      const found = await trace(source, destination, port);
      assert.match(found.verdict, verdict, JSON.stringify(found.steps));
    }
    const { steps } = await trace('198.51.100.77', '203.0.113.5', 80);
    assert.ok(steps.some((step) => /^filter gate-ranges-\d+ rule \d+: deny$/.test(step.what)));
    stop.abort(new Error('the test is over'));
    await loop.finished;
  });
});
