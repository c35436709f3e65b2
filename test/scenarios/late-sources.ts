import assert from 'node:assert/strict';
import { createStore, type FactKind } from '../../src/model/store.ts';
import { checkPacket } from './check.ts';
import { copyFacts, startDaemon } from './daemon.ts';
import type { Wire } from './wire.ts';
import { createWorld } from './world.ts';

export const lateSourcesTitle =
  'KP-49 a daemon that starts again leaves connections and gates alone while sources are incomplete';

const objects = [
  'node n1 192.0.2.1 pods 10.244.1.0/24',
  'node n2 192.0.2.2 pods 10.244.2.0/24',
  'pod client 10.244.1.11',
  'pod web 10.244.1.12',
  'route 10.244.2.0/24 via 192.0.2.2',
  'service d/web 10.96.0.10 80/tcp nodePort=30080 lb=203.0.113.5 ranges=198.51.100.0/28',
  'endpoint d/web 10.244.1.12:8080 ready node=n1',
  'service d/local 10.96.0.11 80/tcp lb=203.0.113.6 external=Local',
  'endpoint d/local 10.244.2.9:8080 ready node=n2',
];

/** One connection to each sort of frontend, and one to each gate. */
const packets = [
  'veth-a tcp 10.244.1.11:4000 > 10.96.0.10:80 => veth-b 10.244.1.11:4000 > 10.244.1.12:8080',
  'uplink tcp 198.51.100.7:4001 > 192.0.2.1:30080 => veth-b 198.51.100.7:4001 > 10.244.1.12:8080',
  'uplink tcp 198.51.100.7:4002 > 203.0.113.5:80 => veth-b 198.51.100.7:4002 > 10.244.1.12:8080',
  'uplink tcp 198.51.100.77:4003 > 203.0.113.5:80 => dropped',
  'veth-a tcp 10.244.1.11:4004 > 203.0.113.5:80 => dropped',
  'uplink tcp 198.51.100.7:4005 > 203.0.113.6:80 => dropped',
];

/** In this order sources become complete; slices and attachments are the ones that matter most. */
const order: readonly (readonly FactKind[])[] = [
  ['config', 'uplink', 'attachments'],
  ['nodes', 'learnedRoutes', 'pods', 'namespaces', 'policies', 'clusterPolicies'],
  ['services'],
  ['slices'],
];

/** Enough for a scan of all sessions, which ends those whose endpoint is not in its translation. */
const scanSeconds = 3;

/** Two daemons, one after the other; the sources of the second become complete one by one. */
export async function checkLateSources(wire: Wire): Promise<void> {
  const world = createWorld();
  for (const line of objects) world.apply(line);
  {
    await using first = startDaemon(wire, world.store);
    await first.loop.whenApplied(world.store.revision, AbortSignal.timeout(10_000));
    for (const line of packets) await checkPacket(wire, line);
  }
  const store = createStore();
  await using second = startDaemon(wire, store);
  for (const kinds of order) {
    for (const kind of kinds) copyFacts(kind, world.store, store);
    // As far as the sources allow; this is also what a pod waits for.
    await second.loop.whenApplied(store.revision, AbortSignal.timeout(10_000), () => true);
    await wire.wait(scanSeconds);
    const known = `with ${kinds.join(', ')}`;
    for (const line of packets) await checkPacket(wire, line).catch((error) => fail(known, error));
    const isLast = kinds === order.at(-1);
    assert.equal(second.loop.appliedRevision === store.revision, isLast, known);
  }
  assert.deepEqual([...second.loop.reconciler.failures()], []);
}

function fail(known: string, error: unknown): never {
  throw new Error(`${known}: ${String(error)}`, { cause: error });
}
