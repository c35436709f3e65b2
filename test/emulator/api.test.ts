import assert from 'node:assert/strict';
import { connectVpp } from '../../native/vpp-api/client.ts';
import { encodeFrame } from '../../native/vpp-api/codec.ts';
import { VppError } from '../../native/vpp-api/errors.ts';
import { frameHeaderBytes, writeFrameHeader } from '../../native/vpp-api/frame.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import type { WouldCrashVpp } from '../../src/emulator/api/world.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { createRig, unset } from './rig.ts';

async function withClient(run: (client: Awaited<ReturnType<typeof connect>>) => Promise<void>) {
  const client = await connect();
  try {
    await run(client);
  } finally {
    await client.vpp[Symbol.asyncDispose]();
    await client.emulator[Symbol.asyncDispose]();
  }
}

async function connect() {
  const crashes: WouldCrashVpp[] = [];
  const log: string[] = [];
  const clock = createFakeClock();
  const emulator = createEmulator({
    clock,
    crashed: (error) => crashes.push(error),
    log: (text) => log.push(text),
  });
  const stream = emulator.connect();
  const vpp = await connectVpp({ stream, name: 'test', clock, requestTimeoutMs: 1000 });
  return { emulator, vpp, stream, clock, crashes, log };
}

describe("the emulator's API", () => {
  it('tells its version, and serves several clients with ids that differ from run to run', () =>
    withClient(async ({ emulator, vpp }) => {
      assert.match(vpp.version, /^26\.06/);
      const before = emulator.table.idOf.get('control_ping');
      const seen = new Set([before]);
      for (let i = 0; i < 20; i++) {
        emulator.renumber();
        seen.add(emulator.table.idOf.get('control_ping'));
      }
      assert.ok(seen.size > 1);
      await using second = await connectVpp({ stream: emulator.connect(), name: 'second' });
      const [a, b] = await Promise.all([
        vpp.request('control_ping', {}),
        second.request('control_ping', {}),
      ]);
      assert.notEqual(a.client_index, b.client_index);
    }));

  it('gives no reply to a message that is cut or unknown, and goes on', () =>
    withClient(async ({ emulator, vpp, stream, clock, log }) => {
      const id = emulator.table.idOf.get('sw_interface_set_flags') ?? 0;
      for (const message of [
        Buffer.from([id >> 8, id & 0xff, 0, 0, 0, 1]),
        Buffer.from([255, 255]),
      ]) {
        const frame = Buffer.alloc(frameHeaderBytes + message.length);
        writeFrameHeader(frame, 0, message.length);
        message.copy(frame, frameHeaderBytes);
        stream.write(frame);
      }
      assert.equal((await vpp.request('control_ping', {})).retval, 0);
      await clock.advance(0);
      assert.equal(log.length, 2, log.join());
    }));

  it('fails on demand: a return value, silence, an end of the connection', () =>
    withClient(async ({ emulator, vpp, clock }) => {
      emulator.faults.add(
        { kind: 'retval', retval: -6 },
        { name: 'cnat_translation_del', skip: 1 },
      );
      const remove = () => vpp.request('cnat_translation_del', { id: 0 }, { allow: [-6] });
      assert.equal((await remove()).retval, -6);
      assert.equal((await remove()).retval, -6);
      emulator.faults.add({ kind: 'silence' }, { name: 'show_version' });
      const silent = assert.rejects(vpp.request('show_version', {}), /1000|time/i);
      await clock.advance(1100);
      await silent;
      assert.equal((await vpp.request('control_ping', {})).retval, 0);
      emulator.faults.add({ kind: 'disconnect' }, { skip: 1 });
      await vpp.request('control_ping', {});
      await assert.rejects(vpp.request('control_ping', {}));
    }));

  // The client refuses these before they reach the socket, so they are written by hand.
  const endpoint = { addr: ip('10.96.0.1'), sw_if_index: unset, if_af: 0, port: 80 };
  const translation = {
    vip: endpoint,
    id: unset,
    ip_proto: 6,
    is_real_ip: 0,
    flags: 9,
    lb_type: 0,
    flow_hash_config: 0,
  };
  const path = { dst_ep: endpoint, src_ep: endpoint, flags: 0 };
  const crashers = [
    {
      name: 'a translation without paths',
      message: 'cnat_translation_update',
      fields: { translation: { ...translation, paths: [] } },
      signal: 'SIGABRT',
    },
    {
      name: 'a translation with 65,536 paths',
      message: 'cnat_translation_update',
      fields: { translation: { ...translation, paths: new Array(65_536).fill(path) } },
      signal: 'SIGSEGV',
    },
    {
      name: 'a SNAT policy before the SNAT addresses',
      message: 'cnat_set_snat_policy',
      fields: { policy: 2 },
      signal: 'SIGSEGV',
    },
    {
      name: 'an excluded prefix before the SNAT addresses',
      message: 'cnat_snat_policy_add_del_exclude_pfx',
      fields: { is_add: 1, prefix: prefix('10.0.0.0/8') },
      signal: 'SIGSEGV',
    },
  ] as const;
  for (const { name, message, fields, signal } of crashers) {
    it(`ends where VPP ends: ${name}`, () =>
      withClient(async ({ emulator, vpp, crashes }) => {
        const raw = emulator.connect();
        const ended = new Promise((resolve) => raw.once('close', resolve));
        const id = emulator.table.idOf.get(message) ?? 0;
        raw.resume();
        raw.write(encodeFrame(message, { id, clientIndex: 0, context: 1 }, fields as never));
        await vpp.closed;
        await ended;
        assert.deepEqual(
          crashes.map((crash) => crash.signal),
          [signal],
        );
      }));
  }

  it('gives translations back without flags, hash and kind of address, as VPP does', async () => {
    await using rig = await createRig();
    await rig.service('10.96.0.1', 80, ['10.1.1.11:8080'], {
      maglev: true,
      affinity: true,
      real: true,
    });
    const [seen] = await rig.vpp.dump('cnat_translation_dump', {});
    assert(seen !== undefined);
    const { flags, is_real_ip, flow_hash_config, lb_type, paths } = seen.translation;
    assert.deepEqual(
      { flags, is_real_ip, flow_hash_config, lb_type },
      { flags: 0, is_real_ip: 0, flow_hash_config: 0, lb_type: 1 },
    );
    assert.deepEqual(
      paths.map((path) => path.flags),
      [4],
    );
  });

  it('keeps the id of a translation through updates, and takes the kind of balance only once', async () => {
    await using rig = await createRig();
    const first = await rig.service('10.96.0.1', 80, ['10.1.1.11:8080']);
    const second = await rig.service('10.96.0.1', 80, ['10.1.1.12:8080'], { maglev: true });
    assert.equal(second, first);
    const [seen] = await rig.vpp.dump('cnat_translation_dump', {});
    assert.equal(seen?.translation.lb_type, 0);
  });

  it('sends interface events to who asked, for up, down and delete', async () => {
    await using rig = await createRig();
    const events: string[] = [];
    rig.vpp.events('sw_interface_event', (event) =>
      events.push(`${event.sw_if_index} ${event.flags} ${event.deleted} ${event.pid}`),
    );
    const { sw_if_index } = await rig.vpp.request('create_loopback', {
      mac_address: '00:00:00:00:00:00',
    });
    await rig.vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    await rig.vpp.request('want_interface_events', { enable_disable: 1, pid: 42 });
    await rig.vpp.request('sw_interface_set_flags', { sw_if_index, flags: 0 });
    await rig.vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    await rig.vpp.request('delete_loopback', { sw_if_index });
    await rig.vpp.request('control_ping', {});
    assert.deepEqual(events, [
      `${sw_if_index} 0 false 42`,
      `${sw_if_index} 3 false 42`,
      `${sw_if_index} 3 true 42`,
    ]);
  });

  it('reuses the index of a deleted interface, and leaves its routes and cnat roles behind', async () => {
    await using rig = await createRig();
    const pod = rig.index.pod1 ?? 0;
    await rig.vpp.request('af_packet_delete', { host_if_name: 'veth1' });
    const routes = await rig.vpp.dump('ip_route_v2_dump', {
      src: 8,
      table: { table_id: 0, is_ip6: false, name: '' },
    });
    assert.ok(routes.some(({ route }) => route.prefix === '10.1.1.11/32'));
    const again = await rig.vpp.request('create_loopback', { mac_address: '00:00:00:00:00:00' });
    assert.equal(again.sw_if_index, pod);
    assert.ok(rig.emulator.plane.cnat.snat.interfaces[2].has(pod));
  });

  it('refuses what VPP refuses, by the same numbers', async () => {
    await using rig = await createRig();
    const refused = async (asked: Promise<unknown>) =>
      asked.then(
        () => 0,
        (error: unknown) => (error instanceof VppError ? error.retval : Number.NaN),
      );
    const { vpp } = rig;
    const tunnel = () =>
      vpp.request('ipip_add_tunnel', {
        tunnel: {
          instance: unset,
          src: ip('192.0.2.1'),
          dst: ip('192.0.2.2'),
          sw_if_index: unset,
          table_id: 0,
          flags: 0,
          mode: 0,
          dscp: 0,
        },
      });
    assert.equal(await refused(tunnel()), 0);
    assert.equal(await refused(tunnel()), -79);
    assert.equal(
      await refused(vpp.request('acl_add_replace', { acl_index: 99, tag: '', r: [] })),
      -6,
    );
  });
});
