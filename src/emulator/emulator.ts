import { Duplex } from 'node:stream';
import { type Clock, realClock } from '../core/clock.ts';
import { abfAnswers } from './api/abf.ts';
import { aclAnswers } from './api/acl.ts';
import { addressAnswers } from './api/address.ts';
import { afPacketAnswers } from './api/af-packet.ts';
import { bfdAnswers, describeSession } from './api/bfd.ts';
import { captureAnswers } from './api/capture.ts';
import { cnatAnswers } from './api/cnat.ts';
import { type Connection, serveConnection } from './api/connection.ts';
import { createFaults, type Faults } from './api/faults.ts';
import { interfaceAnswers } from './api/interface.ts';
import { ipAnswers } from './api/ip.ts';
import { macipAnswers } from './api/macip.ts';
import { describeNeighbour, neighbourAnswers } from './api/neighbour.ts';
import { puntAnswers } from './api/punt.ts';
import { systemAnswers } from './api/system.ts';
import { createMessageTable, type MessageTable } from './api/table.ts';
import { tunnelAnswers } from './api/tunnel.ts';
import { vxlanAnswers } from './api/vxlan.ts';
import type { Answers, World, WouldCrashVpp } from './api/world.ts';
import { createBfd } from './bfd/bfd.ts';
import { type CnatLimits, defaultCnatLimits } from './cnat/sessions.ts';
import { createPlane } from './plane/create.ts';
import { ethernetInput } from './plane/input.ts';
import type { Output, Step } from './plane/packet.ts';
import type { Plane } from './plane/plane.ts';
import type { LinkEvents, LinkOpener } from './port/link.ts';

/**
 * The embedded data plane: VPP's API and packet pipeline in one process.
 *
 * Clients speak VPP's socket protocol over a socket or any duplex stream; packets come from
 * kernel interfaces, from in-process ports, or one at a time from `inject`, which explains them.
 * It knows nothing of the code that drives VPP: it is the other end of the wire.
 */
export interface EmulatorOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<CnatLimits>;
  /** Opens kernel interfaces; without it only ports made by `addPort` can be opened. */
  readonly openLink?: LinkOpener;
  /** Accepts any host interface name; frames sent to unknown ones are lost. For replays. */
  readonly anyHostInterface?: boolean;
  /** Where captures are written; VPP's is `/tmp`. */
  readonly tmpDirectory?: string;
  /** Order of message ids. */
  readonly random?: () => number;
  readonly log?: (text: string) => void;
  /** A request came that VPP does not survive. All connections are closed already. */
  readonly crashed?: (error: WouldCrashVpp) => void;
}

/** A host interface of tests: what `af_packet_create_v3` can open by its name. */
export interface Port {
  readonly name: string;
  /** Sends a frame into the data plane; lost while VPP has not opened the port. */
  send(frame: Buffer): void;
  /** Frames that came out and were not taken yet. */
  take(): Buffer[];
}

export interface PortOptions {
  /** Called for each frame instead of keeping it for `take`. */
  readonly received?: (frame: Buffer) => void;
}

/** What became of an injected packet. */
export interface Walk {
  readonly outputs: readonly Output[];
  readonly steps: readonly Step[];
}

export interface Emulator extends AsyncDisposable {
  readonly plane: Plane;
  readonly faults: Faults;
  readonly table: MessageTable;
  /** A client's end of a new connection. */
  connect(): Duplex;
  /** Serves a client on a stream that somebody else accepted. */
  serve(stream: Duplex): void;
  /**
   * Sends a frame into an interface (VPP's name, tag, or host name) and tells what happened. A
   * packet without Ethernet header may be given to any interface: it gets the right one.
   */
  inject(interfaceName: string, bytes: Uint8Array): Walk;
  addPort(name: string, options?: PortOptions): Port;
  /** New message ids for the clients that connect from now on, as after a restart. */
  renumber(): void;
}

const eventNames = ['sw_interface_event', 'ip_neighbor_event_v2', 'bfd_udp_session_event'] as const;

/** `IP_NEIGHBOR_API_EVENT_FLAG_ADDED`. */
const neighbourAdded = 1;

/** Frames that a port keeps for `take`. */
const portFramesMax = 10_000;

export function createEmulator(options: EmulatorOptions = {}): Emulator {
  const clock = options.clock ?? realClock;
  const limits = { ...defaultCnatLimits, ...options.limits };
  const started = clock.monotonic();
  const plane = createPlane(() => (clock.monotonic() - started) / 1000, limits);
  const faults = createFaults();
  const ports = createPorts(options);
  const connections = new Set<Connection>();
  const random = options.random ?? Math.random;
  const bfd = createBfd(plane, clock, random);
  const world: World = {
    plane,
    bfd,
    openLink: ports.open,
    processId: process.pid,
    tmpDirectory: options.tmpDirectory ?? '/tmp',
    interfaceChanged(one, deleted) {
      const flags = (one.adminUp ? 1 : 0) | (one.linkUp ? 2 : 0);
      for (const connection of connections)
        connection.send('sw_interface_event', { sw_if_index: one.index, flags, deleted });
    },
  };
  plane.neighbours.onLearned = (neighbour) => {
    const event = { flags: neighbourAdded, neighbor: describeNeighbour(neighbour) };
    for (const connection of connections) connection.send('ip_neighbor_event_v2', event);
  };
  bfd.onChanged = (entry) => {
    for (const connection of connections)
      connection.send('bfd_udp_session_event', describeSession(entry));
  };
  const answers = allAnswers(world);
  let table = createMessageTable(answers, eventNames, random);
  let nextClient = 1;

  const serve = (stream: Duplex) => {
    const connection = serveConnection(stream, {
      answers,
      table,
      clientIndex: (0x8000_0000 | nextClient++) >>> 0,
      faultFor: (name) => faults.next(name),
      crashed(error) {
        for (const one of connections) one.stream.destroy();
        options.crashed?.(error);
      },
      log: options.log ?? (() => undefined),
    });
    connections.add(connection);
    stream.on('close', () => connections.delete(connection));
  };
  const stopScan = scanSessions(plane, clock, limits.scanSeconds);

  return {
    plane,
    faults,
    get table() {
      return table;
    },
    serve,
    connect() {
      const [ours, theirs] = createDuplexPair();
      serve(ours);
      return theirs;
    },
    inject: (interfaceName, bytes) => inject(plane, interfaceName, bytes),
    addPort: (name, portOptions) => ports.add(name, portOptions ?? {}),
    renumber() {
      table = createMessageTable(answers, eventNames, random);
    },
    async [Symbol.asyncDispose]() {
      stopScan();
      bfd.close();
      for (const one of connections) one.stream.destroy();
      for (const one of plane.interfaces.all.values()) one.transmit = undefined;
      ports.closeAll();
    },
  };
}

function allAnswers(world: World): Answers {
  return {
    ...systemAnswers(world),
    ...interfaceAnswers(world),
    ...addressAnswers(world),
    ...afPacketAnswers(world),
    ...ipAnswers(world),
    ...neighbourAnswers(world),
    ...puntAnswers(world),
    ...cnatAnswers(world),
    ...aclAnswers(world),
    ...macipAnswers(world),
    ...abfAnswers(world),
    ...tunnelAnswers(world),
    ...vxlanAnswers(world),
    ...bfdAnswers(world),
    ...captureAnswers(world),
  };
}

/** cnat's scanner process. */
function scanSessions(plane: Plane, clock: Clock, seconds: number): () => void {
  const tick = () => {
    if (plane.cnat.sessions.scanning) plane.cnat.sessions.scan(plane.now());
    timer = clock.after(seconds * 1000, tick);
  };
  let timer = clock.after(seconds * 1000, tick);
  return () => timer.cancel();
}

function inject(plane: Plane, interfaceName: string, bytes: Uint8Array): Walk {
  const rx = [...plane.interfaces.all.values()].find(
    (one) =>
      one.name === interfaceName || one.tag === interfaceName || one.hostName === interfaceName,
  );
  if (rx === undefined) throw new RangeError(`no interface ${interfaceName}`);
  const steps: Step[] = [];
  const outputs: { interface: string; bytes: Buffer }[] = [];
  const version = (bytes[0] ?? 0) >> 4;
  const isL3 = (version === 4 || version === 6) && !looksLikeFrame(bytes);
  const frame = isL3 ? wrap(bytes, rx.mac ?? '') : Buffer.from(bytes);
  plane.outputs = outputs;
  try {
    ethernetInput(plane, rx, frame, { steps });
  } finally {
    plane.outputs = undefined;
  }
  return { outputs, steps };
}

/** An Ethernet frame may begin like an IP header; its ethertype tells. */
function looksLikeFrame(bytes: Uint8Array): boolean {
  const etherType = ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);
  return (
    (bytes[0] ?? 0) !== 0x45 &&
    (etherType === 0x0800 || etherType === 0x86dd || etherType === 0x0806)
  );
}

function wrap(l3: Uint8Array, mac: string): Buffer {
  const frame = Buffer.alloc(14 + l3.length);
  frame.write(mac, 0, 'latin1');
  frame.writeUInt16BE((l3[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800, 12);
  frame.set(l3, 14);
  return frame;
}

function createPorts(options: EmulatorOptions) {
  interface Slot {
    readonly deliver: (frame: Buffer) => void;
    events: LinkEvents | undefined;
  }
  const slots = new Map<string, Slot>();
  const closers = new Set<() => void>();
  const open: LinkOpener = (hostName, mac, events) => {
    const slot = slots.get(hostName);
    if (slot === undefined) {
      const link = options.openLink?.(hostName, mac, events);
      if (link !== undefined) {
        const close = () => link.close();
        closers.add(close);
        return {
          ...link,
          close() {
            closers.delete(close);
            link.close();
          },
        };
      }
      if (options.anyHostInterface !== true) return undefined;
      return { mtu: 1500, transmit: () => undefined, close: () => undefined };
    }
    slot.events = events;
    return {
      mtu: 1500,
      transmit: (frame) => slot.deliver(Buffer.from(frame)),
      close() {
        slot.events = undefined;
      },
    };
  };
  return {
    open,
    closeAll() {
      for (const close of closers) close();
      closers.clear();
    },
    add(name: string, portOptions: PortOptions): Port {
      let kept: Buffer[] = [];
      const slot: Slot = {
        events: undefined,
        deliver:
          portOptions.received ??
          ((frame) => {
            if (kept.length < portFramesMax) kept.push(frame);
          }),
      };
      slots.set(name, slot);
      return {
        name,
        send: (frame) => slot.events?.received(Buffer.from(frame)),
        take() {
          const frames = kept;
          kept = [];
          return frames;
        },
      };
    },
  };
}

/** Two streams, each of which reads what the other writes. */
function createDuplexPair(): [Duplex, Duplex] {
  const make = (peer: () => Duplex): Duplex =>
    new Duplex({
      // As sockets: when one side ends, so does the other.
      allowHalfOpen: false,
      read() {},
      write(chunk: Buffer, _encoding, done) {
        const other = peer();
        if (!other.destroyed) other.push(chunk);
        setImmediate(done);
      },
      final(done) {
        const other = peer();
        if (!other.destroyed) other.push(null);
        done();
      },
      destroy(error, done) {
        const other = peer();
        // End-of-file, as a closed socket gives it.
        if (!other.destroyed && !other.readableEnded) other.push(null);
        done(error);
      },
    });
  const a: Duplex = make(() => b);
  const b: Duplex = make(() => a);
  return [a, b];
}
