import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { realClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { startLoop } from '../../src/daemon/loop.ts';
import { createVppTarget } from '../../src/vpp/target.ts';
import { uplink } from '../facts.ts';
import { answerNeighbour, type Flow, frameIp, packetOf, readFrame } from './packets.ts';
import { unwrap, wrapFor } from './tunnels.ts';
import type { Wire } from './wire.ts';
import { createWorld } from './world.ts';

export const encapsulationChangeTitle =
  'overlay: a change of encapsulation that both nodes accept loses nothing but what is on its way';

const objects = [
  'config accept=ipip,gre,vxlan',
  'node n1 192.0.2.1 pods 10.244.1.0/24',
  'node n3 198.51.100.3 pods 10.244.3.0/24',
  'route 10.244.3.0/24 via 198.51.100.3',
  'pod client 10.244.1.11',
];

/** Between two packets of each direction. */
const paceMs = 2;
/** What may be on its way at each of the three changes, of each direction. */
const lostMax = 3;

/** Sends both ways without a pause while the encapsulation changes three times. */
export async function checkEncapsulationChange(wire: Wire): Promise<void> {
  const world = createWorld();
  for (const line of objects) world.apply(line);
  const stop = new AbortController();
  const { signal } = stop;
  const vpp = createVppTarget({ connect: (s) => wire.connect(s), clock: realClock, signal });
  const loop = startLoop({ store: world.store, targets: [vpp], clock: realClock, signal });
  const inForce = () =>
    loop.whenApplied(
      world.store.revision,
      AbortSignal.timeout(10_000),
      () => [...loop.reconciler.failures()].length === 0,
    );
  try {
    await inForce();
    const traffic = startTraffic(wire);
    await traffic.flows();
    for (const encapsulation of ['gre', 'vxlan', 'ipip'] as const) {
      await sleep(50);
      world.apply(`config accept=ipip,gre,vxlan encapsulation=${encapsulation}`);
      await inForce();
      traffic.arriveBy(encapsulation);
    }
    await sleep(50);
    const { sent, out, back, kinds } = await traffic.stop();
    assert.deepEqual([...kinds].toSorted(), ['gre', 'ipip', 'vxlan']);
    assert.ok(sent - out <= lostMax, `${sent - out} of ${sent} packets to the other node are lost`);
    assert.ok(sent - back <= lostMax, `${sent - back} of ${sent} packets to the pod are lost`);
  } finally {
    stop.abort(new Error('the check is over'));
    await loop.finished;
    await vpp[Symbol.asyncDispose]();
  }
}

const outside = '02:00:00:00:00:ee';
const podGateway = '02:00:00:00:01:02';

function flow(source: string, target: string): Flow {
  return {
    protocol: 'udp',
    source: { ip: ip(source), port: 700 },
    target: { ip: ip(target), port: 7 },
  };
}

function startTraffic(wire: Wire) {
  const seen = { out: 0, back: 0, kinds: new Set<string>() };
  wire.received = (hostInterface, frame) => {
    const answer = hostInterface === 'eth0' ? answerNeighbour(frame, outside) : undefined;
    if (answer !== undefined) return wire.inject(hostInterface, answer);
    const inside = hostInterface === 'eth0' ? unwrap(frame) : undefined;
    if (readFrame(inside?.frame ?? frame).kind !== 'flow') return;
    if (hostInterface === 'veth-a') seen.back++;
    if (inside === undefined) return;
    seen.out++;
    seen.kinds.add(inside.wire);
  };
  let by = 'ipip';
  let sent = 0;
  const send = () => {
    const there = packetOf(flow('10.244.1.11', '10.244.3.11'), 'first');
    const here = packetOf(flow('10.244.3.11', '10.244.1.11'), 'first');
    wire.inject('veth-a', frameIp(there, podGateway, outside));
    wire.inject('eth0', frameIp(wrapFor(by, here) ?? here, uplink.mac, outside));
    sent++;
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    /** The first packets find no neighbours: they are not counted. */
    async flows(): Promise<void> {
      for (let attempt = 0; attempt < 50 && (seen.out === 0 || seen.back === 0); attempt++) {
        send();
        await wire.settle();
      }
      sent = 0;
      seen.out = 0;
      seen.back = 0;
      timer = setInterval(send, paceMs);
    },
    /** From now on the other node sends by this. */
    arriveBy(kind: string): void {
      by = kind;
    },
    async stop() {
      clearInterval(timer);
      await wire.settle();
      return { sent, ...seen };
    },
  };
}
