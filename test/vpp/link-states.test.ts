import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import type { FilterListRow, FilterRow, InterfaceRow, SourceRow } from '../../src/desired/rows.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { filterListParts, filterParts } from '../../src/vpp/drivers/filters.ts';
import { interfaceParts, linkStateParts } from '../../src/vpp/drivers/interfaces.ts';
import { sourceParts } from '../../src/vpp/drivers/sources.ts';
import { openSession } from '../../src/vpp/session.ts';

const pod: InterfaceRow = {
  name: 'pod-veth1',
  kind: 'afPacket',
  role: 'pod',
  hostInterface: 'veth1',
  mac: '02:00:00:00:01:01',
  mtu: 1500,
};
const uplink: InterfaceRow = { ...pod, name: 'uplink', role: 'uplink', hostInterface: 'eth0' };
const host: InterfaceRow = { ...pod, name: 'host', role: 'host', hostInterface: 'eth1' };
const sources: SourceRow = { interface: pod.name, ips: [ip('10.244.1.5')] };
const any = prefix('0.0.0.0/0');
const open: FilterRow = {
  name: 'open',
  rules: [{ action: 'reflect', source: any, destination: any, protocol: 'any' }],
};
const list: FilterListRow = { interface: pod.name, input: ['open'], output: ['open'] };
const up = { interface: pod.name, up: true };
const waiting = { name: 'WaitingForFilters', message: 'waiting for the filters of pod-veth1' };

/** A session with a data plane that has the links of a pod and of the uplink, both down. */
async function createSession() {
  const emulator = createEmulator({ anyHostInterface: true });
  const connection = await connectVpp({ stream: emulator.connect(), name: 'test' });
  let adoptions = 0;
  const session = await openSession(connection, () => adoptions++);
  for (const row of [pod, uplink, host]) await interfaceParts.put(session, row, undefined);
  return {
    session,
    adoptions: () => adoptions,
    isUp: (name: string) =>
      emulator.plane.interfaces.get(session.handles.need(name))?.adminUp === true,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await emulator[Symbol.asyncDispose]();
    },
  };
}

describe('the link of a pod', () => {
  it('NP-19 does not come up before its filters are bound', async () => {
    await using rig = await createSession();
    const { session, isUp } = rig;
    await assert.rejects(linkStateParts.put(session, up, undefined), waiting);
    await assert.rejects(filterListParts.put(session, list, undefined), /waiting for filter open/);
    await assert.rejects(linkStateParts.put(session, up, undefined), waiting);
    assert.equal(isUp(pod.name), false);
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, list, undefined);
    await sourceParts.put(session, sources, undefined);
    await linkStateParts.put(session, up, undefined);
    assert.equal(isUp(pod.name), true);
  });

  it('NP-19 goes down without filters; the uplink waits for them, others come up without', async () => {
    await using rig = await createSession();
    const { session, isUp } = rig;
    await linkStateParts.put(session, { interface: pod.name, up: false }, undefined);
    const linked = { interface: 'uplink', up: true };
    await assert.rejects(linkStateParts.put(session, linked, undefined), /filters of uplink/);
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, { ...list, interface: 'uplink' }, undefined);
    await linkStateParts.put(session, linked, undefined);
    await linkStateParts.put(session, { interface: 'host', up: true }, undefined);
    assert.deepEqual([isUp(pod.name), isUp('uplink'), isUp('host')], [false, true, true]);
  });

  it('NP-19 does not come up before it is known from which addresses the pod may send', async () => {
    await using rig = await createSession();
    const { session, isUp } = rig;
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, list, undefined);
    await assert.rejects(linkStateParts.put(session, up, undefined), waiting);
    await sourceParts.put(session, sources, undefined);
    await linkStateParts.put(session, up, undefined);
    assert.equal(isUp(pod.name), true);
  });

  it('NP-27 has its filters written again when it goes before they do', async () => {
    await using rig = await createSession();
    const { session, adoptions } = rig;
    await interfaceParts.remove(session, pod.name, pod);
    assert.equal(adoptions(), 0);
    await interfaceParts.put(session, pod, undefined);
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, list, undefined);
    await interfaceParts.remove(session, pod.name, pod);
    assert.equal(adoptions(), 1);
  });

  it('NP-19 waits again when its filters or its interface were removed', async () => {
    await using rig = await createSession();
    const { session } = rig;
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, list, undefined);
    await filterListParts.remove(session, pod.name, list);
    await assert.rejects(linkStateParts.put(session, up, undefined), waiting);
    await filterListParts.put(session, list, undefined);
    await interfaceParts.remove(session, pod.name, pod);
    await interfaceParts.put(session, pod, undefined);
    await assert.rejects(linkStateParts.put(session, up, undefined), waiting);
  });

  it('NP-27 knows from a dump which filters VPP has', async () => {
    await using rig = await createSession();
    const { session } = rig;
    await filterParts.put(session, open, undefined);
    await filterListParts.put(session, list, undefined);
    await sourceParts.put(session, sources, undefined);
    const next = await openSession(session.connection, () => undefined);
    await interfaceParts.dump(next);
    await assert.rejects(linkStateParts.put(next, up, undefined), waiting);
    await filterParts.dump(next);
    await filterListParts.dump(next);
    await sourceParts.dump(next);
    await linkStateParts.put(next, up, undefined);
    // VPP lost them: the next dump says so.
    await filterListParts.remove(next, pod.name, list);
    next.handles.filtered.add(pod.name);
    await filterListParts.dump(next);
    await assert.rejects(linkStateParts.put(next, up, undefined), waiting);
  });
});
