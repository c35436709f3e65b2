import assert from 'node:assert/strict';
import { addressWithLength } from '../../native/vpp-api/address.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { createFakeClock, type FakeClock } from '../../src/core/clock.ts';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { decodeControl, encodeControl } from '../../src/emulator/bfd/control.ts';
import { following } from '../../src/emulator/bfd/session.ts';
import { createEmulator, type Emulator, type Port } from '../../src/emulator/emulator.ts';
import { buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { Protocol } from '../../src/emulator/packet/headers.ts';
import { neighbour } from './rig.ts';

interface Side extends AsyncDisposable {
  readonly emulator: Emulator;
  readonly vpp: VppConnection;
  readonly index: number;
  /** States that events told. */
  readonly events: number[];
}

const states = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
const addresses = { a: ['192.0.2.1', '2001:db8::1'], b: ['192.0.2.2', '2001:db8::2'] } as const;
const macs = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b' } as const;
const other = { a: 'b', b: 'a' } as const;

/** Two data planes with a wire between them that can be cut. */
async function createPair() {
  const clock = createFakeClock();
  const wire = { cut: false, frames: 0 };
  const ports: Partial<Record<'a' | 'b', Port>> = {};
  const make = async (name: 'a' | 'b'): Promise<Side> => {
    const emulator = createEmulator({ clock, random: () => 0.5 });
    ports[name] = emulator.addPort('eth0', {
      received(frame) {
        wire.frames++;
        if (!wire.cut) ports[other[name]]?.send(frame);
      },
    });
    const vpp = await connectVpp({ stream: emulator.connect(), name: 'test' });
    const { sw_if_index: index } = await vpp.request('af_packet_create_v3', {
      mode: 1,
      hw_addr: macs[name],
      use_random_hw_addr: false,
      host_if_name: 'eth0',
      rx_frame_size: 10240,
      tx_frame_size: 10240,
      rx_frames_per_block: 32,
      tx_frames_per_block: 32,
      flags: 1,
      num_rx_queues: 1,
      num_tx_queues: 1,
    });
    await vpp.request('sw_interface_set_flags', { sw_if_index: index, flags: 1 });
    for (const [i, length] of [24, 64].entries()) {
      await vpp.request('sw_interface_add_del_address', {
        sw_if_index: index,
        is_add: true,
        del_all: false,
        prefix: addressWithLength(ip(addresses[name][i] ?? ''), length),
      });
      await neighbour(vpp, index, addresses[other[name]][i] ?? '', macs[other[name]]);
    }
    const events: number[] = [];
    vpp.events('bfd_udp_session_event', ({ state }) => events.push(state));
    await vpp.request('want_bfd_events', { enable_disable: true, pid: 1 });
    return {
      emulator,
      vpp,
      index,
      events,
      async [Symbol.asyncDispose]() {
        await vpp[Symbol.asyncDispose]();
        await emulator[Symbol.asyncDispose]();
      },
    };
  };
  return { clock, wire, a: await make('a'), b: await make('b') };
}

const timers = { desired_min_tx: 100_000, required_min_rx: 100_000, detect_mult: 3 };

function ends(side: Side, name: 'a' | 'b', family: 4 | 6 = 4) {
  const at = family === 4 ? 0 : 1;
  return {
    sw_if_index: side.index,
    local_addr: ip(addresses[name][at]),
    peer_addr: ip(addresses[other[name]][at]),
  };
}

const noKey = { is_authenticated: false, bfd_key_id: 0, conf_key_id: 0 };

async function add(side: Side, name: 'a' | 'b', family: 4 | 6 = 4) {
  await side.vpp.request('bfd_udp_add', { ...ends(side, name, family), ...timers, ...noKey });
}

const stateOf = async (side: Side) =>
  (await side.vpp.dump('bfd_udp_session_dump', {})).map(({ state }) => state);

/** Waits, and lets what was sent arrive. */
async function pass(clock: FakeClock, ms: number) {
  for (let i = 0; i < ms; i += 5) await clock.advance(5);
}

describe('BFD of the embedded data plane', () => {
  for (const family of [4, 6] as const)
    it(`comes up, goes down with the wire, and comes back: IPv${family}`, async () => {
      const { clock, wire, a, b } = await createPair();
      await using _a = a;
      await using _b = b;
      await add(a, 'a', family);
      await pass(clock, 3_000);
      assert.deepEqual(a.events, [], 'nobody answers');
      await add(b, 'b', family);
      await pass(clock, 3_000);
      assert.deepEqual([await stateOf(a), await stateOf(b)], [[states.up], [states.up]]);
      wire.cut = true;
      // The last packet may be up to one interval old.
      await pass(clock, 195);
      assert.deepEqual(await stateOf(a), [states.up], 'not before three intervals');
      await pass(clock, 110);
      assert.deepEqual([await stateOf(a), await stateOf(b)], [[states.down], [states.down]]);
      wire.cut = false;
      await pass(clock, 3_000);
      assert.deepEqual([await stateOf(a), await stateOf(b)], [[states.up], [states.up]]);
      // One of them hears "down", the other "init" first.
      for (const { events } of [a, b])
        assert.deepEqual(
          events.filter((state) => state !== states.init),
          [states.up, states.down, states.up],
        );
    });

  it('changes its intervals by a poll, without going down', async () => {
    const { clock, wire, a, b } = await createPair();
    await using _a = a;
    await using _b = b;
    await add(a, 'a');
    await add(b, 'b');
    await pass(clock, 3_000);
    const slow = { desired_min_tx: 500_000, required_min_rx: 500_000, detect_mult: 3 };
    await a.vpp.request('bfd_udp_mod', { ...ends(a, 'a'), ...slow });
    await pass(clock, 2_000);
    assert.deepEqual([a.events.at(-1), b.events.at(-1)], [states.up, states.up]);
    wire.frames = 0;
    await pass(clock, 4_000);
    assert.ok(wire.frames < 24, `${wire.frames} frames in 4 s, each side twice or so a second`);
    wire.cut = true;
    await pass(clock, 1_000);
    assert.deepEqual(await stateOf(b), [states.up], 'three times half a second');
    await pass(clock, 1_000);
    assert.deepEqual(await stateOf(b), [states.down]);
  });

  it('says that it was told to end, and counts its neighbour down', async () => {
    const { clock, a, b } = await createPair();
    await using _a = a;
    await using _b = b;
    await add(a, 'a');
    await add(b, 'b');
    await pass(clock, 3_000);
    const flags = (admin: number) =>
      a.vpp.request('bfd_udp_session_set_flags', { ...ends(a, 'a'), flags: admin });
    await flags(0);
    await pass(clock, 1_100);
    assert.deepEqual([await stateOf(a), await stateOf(b)], [[states.adminDown], [states.down]]);
    const { reply } = await b.vpp.request('cli_inband', { cmd: 'show bfd sessions' });
    assert.match(reply, /Session state +Down +AdminDown\n/);
    await flags(1);
    await pass(clock, 3_000);
    assert.deepEqual([await stateOf(a), await stateOf(b)], [[states.up], [states.up]]);
  });

  it('ends with its interface, and gives the port back to the host', async () => {
    const { a, b } = await createPair();
    await using _b = b;
    await using _a = a;
    const control = udpSegment(49_152, 3784, new Uint8Array(24));
    const from = (peer: string) =>
      buildIp({
        source: addrFromIp(ip(peer)),
        target: addrFromIp(ip('192.0.2.1')),
        protocol: Protocol.udp,
        hopLimit: 255,
        payload: control,
      });
    const last = () => a.emulator.inject('eth0', from('192.0.2.2')).steps.at(-1)?.node;
    const before = last();
    await add(a, 'a');
    assert.equal(last(), 'bfd-udp4-input');
    await a.vpp.request('af_packet_delete', { host_if_name: 'eth0' });
    assert.deepEqual(await stateOf(a), []);
    assert.deepEqual(a.events, [states.adminDown]);
    assert.notEqual(before, 'bfd-udp4-input');
  });

  it('follows the state machine of RFC 5880 section 6.8.6', () => {
    const { adminDown, down, init, up } = states;
    const table = [
      [adminDown, [undefined, undefined, undefined, undefined]],
      [down, [undefined, init, up, undefined]],
      [init, [down, undefined, up, up]],
      [up, [down, down, undefined, undefined]],
    ] as const;
    for (const [own, nexts] of table)
      for (const [theirs, next] of nexts.entries())
        assert.equal(
          following(own, theirs as 0 | 1 | 2 | 3)?.state,
          next,
          `${own} hears ${theirs}`,
        );
  });

  it('discards what is no control packet', () => {
    const good = encodeControl({
      state: states.up,
      diagnostic: 0,
      poll: true,
      final: false,
      demand: false,
      multiplier: 3,
      mine: 7,
      yours: 8,
      minTxUs: 100_000,
      minRxUs: 200_000,
    });
    assert.equal(decodeControl(good)?.poll, true);
    const broken: readonly (readonly [what: string, at: number, value: number])[] = [
      ['another version', 0, 0x40],
      ['with authentication', 1, 0xe4],
      ['multipoint', 1, 0xe1],
      ['no multiplier', 2, 0],
      ['too short by its own word', 3, 23],
      ['longer than it is', 3, 25],
      ['without a discriminator', 7, 0],
      ['up without knowing us', 11, 0],
    ];
    for (const [what, at, value] of broken) {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      assert.equal(decodeControl(bytes), undefined, what);
    }
    assert.equal(decodeControl(good.subarray(0, 23)), undefined);
  });
});
