/**
 * BFD sessions of single hops: the same calls, and the same packets of a neighbour made by hand,
 * on a real VPP and on the embedded data plane.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { VppError } from '../../native/vpp-api/errors.ts';
import { ip } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { buildIp, udpSegment } from '../../src/emulator/packet/build.ts';
import { Protocol } from '../../src/emulator/packet/headers.ts';
import { createSubject, type PacketSubject } from './packet-subject.ts';

const states = { down: 1, init: 2, up: 3 } as const;
const timers = { desired_min_tx: 100_000, required_min_rx: 100_000, detect_mult: 3 };
const noKey = { is_authenticated: false, bfd_key_id: 0, conf_key_id: 0 };
const ours = ip('192.0.2.1');
const theirs = ip('192.0.2.254');

const retvalOf = (asked: Promise<unknown>): Promise<number> =>
  asked.then(
    () => 0,
    (error: unknown) => (error instanceof VppError ? error.retval : -999),
  );

interface Given {
  readonly hopLimit?: number;
  /** Asks for an answer at once. */
  readonly poll?: boolean;
}

/** A control packet of the neighbour, by RFC 5880 section 4.1; it sends twice a second. */
function control(state: number, yours: number, given: Given = {}): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.set([1 << 5, (state << 6) | (given.poll ? 0x20 : 0), 2, 24]);
  bytes.writeUInt32BE(4711, 4);
  bytes.writeUInt32BE(yours, 8);
  bytes.writeUInt32BE(500_000, 12);
  bytes.writeUInt32BE(500_000, 16);
  return buildIp({
    source: addrFromIp(theirs),
    target: addrFromIp(ours),
    protocol: Protocol.udp,
    hopLimit: given.hopLimit ?? 255,
    payload: udpSegment(50_000, 3784, bytes),
  });
}

for (const kind of process.env.VPP_BIN === undefined ? ['embedded'] : ['embedded', 'vpp']) {
  describe(`BFD on the ${kind === 'vpp' ? 'real VPP' : 'embedded data plane'}`, function () {
    this.timeout(60_000);
    let s: PacketSubject;
    before(async () => {
      s = await createSubject(kind as 'embedded' | 'vpp', process.env.VPP_BIN);
    });
    after(() => s?.[Symbol.asyncDispose]());

    const ends = () => ({
      sw_if_index: s.index.uplink ?? 0,
      local_addr: ours,
      peer_addr: theirs,
    });
    const sessions = () => s.vpp.dump('bfd_udp_session_dump', {});

    it('keeps sessions, and says no to what cannot be one', async () => {
      const session = { ...ends(), ...timers };
      const add = (given: object) =>
        retvalOf(s.vpp.request('bfd_udp_add', { ...session, ...noKey, ...given }));
      const upsert = (given: object) =>
        retvalOf(s.vpp.request('bfd_udp_upd', { ...session, ...noKey, ...given }));
      assert.deepEqual(
        {
          unknownInterface: await add({ sw_if_index: 4711 }),
          families: await add({ peer_addr: ip('2001:db8::2') }),
          noMultiplier: await add({ detect_mult: 0 }),
          noInterval: await add({ desired_min_tx: 0 }),
          modUnknown: await retvalOf(s.vpp.request('bfd_udp_mod', session)),
          delUnknown: await retvalOf(s.vpp.request('bfd_udp_del', ends())),
          upsertNew: await upsert({}),
          twice: await add({}),
          upsertAgain: await upsert({ detect_mult: 5 }),
          mod: await retvalOf(s.vpp.request('bfd_udp_mod', { ...session, detect_mult: 4 })),
        },
        {
          unknownInterface: -2,
          families: -73,
          noMultiplier: -73,
          noInterval: -73,
          modUnknown: -102,
          delUnknown: -102,
          upsertNew: 0,
          twice: -101,
          upsertAgain: 0,
          mod: 0,
        },
      );
      const all = await sessions();
      assert.deepEqual(all, [{ ...session, ...noKey, detect_mult: 4, state: states.down }]);
      await s.vpp.request('bfd_udp_del', ends());
      assert.deepEqual(await sessions(), []);
    });

    it('comes up with a neighbour of the wire, and goes down without it, by events', async () => {
      const events: number[] = [];
      const stop = s.vpp.events('bfd_udp_session_event', ({ state, peer_addr }) => {
        assert.equal(peer_addr, theirs);
        events.push(state);
      });
      await s.vpp.request('want_bfd_events', { enable_disable: true, pid: process.pid });
      await s.vpp.request('bfd_udp_add', { ...ends(), ...timers, ...noKey });
      const state = async () => (await sessions())[0]?.state;
      const until = async (wanted: number, maxMs: number) => {
        const end = performance.now() + maxMs;
        while ((await state()) !== wanted && performance.now() < end)
          await new Promise((resolve) => setTimeout(resolve, 10));
        assert.equal(await state(), wanted);
      };
      await s.send('uplink', control(states.down, 0, { hopLimit: 254 }));
      assert.equal(await state(), states.down, 'whoever is further away does not count');
      await s.send('uplink', control(states.down, 0));
      await until(states.init, 1_000);
      // Twice half a second: a neighbour that says nothing more is given up.
      await s.send('uplink', control(states.init, 0));
      assert.notEqual(await state(), states.up, 'it does not know us yet');
      await s.send('uplink', control(states.down, 0, { poll: true }));
      await s.send('uplink', control(states.init, discriminatorIn(s)));
      await until(states.up, 1_000);
      const upMs = performance.now();
      await until(states.down, 3_000);
      assert.ok(performance.now() - upMs < 1_500, 'twice half a second after the last packet');
      assert.deepEqual(events.slice(-2), [states.up, states.down]);
      stop();
      await s.vpp.request('bfd_udp_del', ends());
    });
  });
}

/** The discriminator in the last BFD packet that came out. */
function discriminatorIn(s: PacketSubject): number {
  const frame = s.last.findLast(({ frame: one }) => one.readUInt16BE(14 + 22) === 3784)?.frame;
  assert(frame !== undefined, 'a BFD packet came out');
  return frame.readUInt32BE(14 + 28 + 4);
}
