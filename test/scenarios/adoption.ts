import assert from 'node:assert/strict';
import { startDaemon } from './daemon.ts';
import type { Wire } from './wire.ts';
import { createWorld } from './world.ts';

export const adoptionTitle =
  'KP-49 a daemon that starts again changes nothing that it can read back';

/** Every table: a gate on every sort of interface, filters, addresses of both families. */
const objects = [
  'node n1 192.0.2.1 pods 10.244.1.0/24',
  // Tunnels of every kind.
  'config accept=ipip,gre encapsulation=vxlan',
  'node n3 198.51.100.3 pods 10.244.3.0/24',
  'route 10.244.3.0/24 via 198.51.100.3',
  'pod client 10.244.1.11',
  'pod web 10.244.1.12 fd00:10:244:1::12',
  'service d/web 10.96.0.10 fd00:10:96::10 80/tcp nodePort=30080 lb=203.0.113.5,2001:db8:f::5 ranges=198.51.100.0/28,2001:db8::/64',
  'service d/local 10.96.0.11 80/tcp nodePort=30081 external=Local',
  'endpoint d/web 10.244.1.12:8080 ready node=n1',
  'endpoint d/local 10.244.2.12:8080 ready node=n2',
];

/** VPP does not say enough of these, so they are written again, which changes nothing. */
const rewritten = ['nat', 'natExclusions', 'punts', 'translations'];

/** Two daemons, one after the other, on one data plane that holds nothing yet. */
export async function checkAdoption(wire: Wire): Promise<void> {
  const first = await writes(wire);
  assert.ok(first.includes('put natInterfaces 8') && first.includes('put filterLists 8'));
  const second = await writes(wire);
  // The scan of sessions cannot be read back either: it is switched on, whatever it was.
  // Of the host's link VPP does not say whether its flows keep their source.
  const expected = (line: string) =>
    line === 'put natInterfaces 1' || rewritten.some((table) => line.startsWith(`put ${table} `));
  assert.deepEqual(
    second.filter((line) => !expected(line)),
    ['delete sessionPauses 1'],
  );
}

async function writes(wire: Wire): Promise<string[]> {
  const world = createWorld();
  for (const line of objects) world.apply(line);
  const lines: string[] = [];
  await using daemon = startDaemon(wire, world.store, {
    onStage: (event) => lines.push(`${event.operation} ${event.stage} ${event.changes}`),
  });
  const { loop } = daemon;
  const whole = () => [...loop.reconciler.failures()].length === 0;
  await loop.whenApplied(world.store.revision, AbortSignal.timeout(10_000), whole);
  return lines;
}
