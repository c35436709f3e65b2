import { execFileSync } from 'node:child_process';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { startVpp } from '../../scripts/vpp.mjs';
import { createFakeClock } from '../../src/core/clock.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { createAfPacketOpener } from '../../src/emulator/port/af-packet.ts';
import { inNamespace } from '../../src/host/namespace.ts';
import { requiredMessages } from '../../src/vpp/target.ts';

/** A data plane with wires to it: the embedded one in this process, or a real VPP. */
export interface Wire extends AsyncDisposable {
  readonly kind: 'embedded' | 'vpp';
  /** A new connection to its API. */
  connect(signal: AbortSignal): Promise<VppConnection>;
  /** Sends a frame into a host interface. */
  inject(hostInterface: string, frame: Buffer): void;
  /** Calls back for each frame that comes out of a host interface. */
  received: (hostInterface: string, frame: Buffer) => void;
  /** Resolves when nothing more is on its way. */
  settle(): Promise<void>;
  /** Lets seconds pass: of the clock of the embedded one, of the world's for VPP. */
  wait(seconds: number): Promise<void>;
  /** Kills the data plane and starts an empty one. */
  restart(): Promise<void>;
}

/** The embedded data plane: everything happens before `inject` returns. */
export async function createEmbeddedWire(hostInterfaces: readonly string[]): Promise<Wire> {
  const clock = createFakeClock();
  const start = () => {
    const emulator = createEmulator({ clock });
    const ports = hostInterfaces.map((name) => {
      const received = (frame: Buffer) => wire.received(name, Buffer.from(frame));
      return [name, emulator.addPort(name, { received })] as const;
    });
    return { emulator, ports: new Map(ports) };
  };
  const wire: Wire = {
    kind: 'embedded',
    connect: (signal) =>
      connectVpp({
        stream: running.emulator.connect(),
        name: 'scenario',
        signal,
        required: requiredMessages,
      }),
    inject: (name, frame) => running.ports.get(name)?.send(frame),
    received: () => undefined,
    settle: () => Promise.resolve(),
    wait: (seconds) => clock.advance(seconds * 1000),
    async restart() {
      await running.emulator[Symbol.asyncDispose]();
      running = start();
    },
    [Symbol.asyncDispose]: () => running.emulator[Symbol.asyncDispose](),
  };
  let running = start();
  return wire;
}

/** Silence after which VPP has nothing more to say; longer before its first word. */
const quietMs = { before: 400, after: 30 };

/** A real VPP in a namespace of its own, with a veth pair for each wire. */
export async function createVppWire(
  vppPath: string,
  hostInterfaces: readonly string[],
): Promise<Wire> {
  const namespace = `kvr-scenario-${process.pid}`;
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  const inside = (...args: string[]) => ip('netns', 'exec', namespace, ...args);
  ip('netns', 'add', namespace);
  inside('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
  inside('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  for (const name of hostInterfaces) {
    ip('-n', namespace, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-far`);
    for (const end of [name, `${name}-far`]) ip('-n', namespace, 'link', 'set', end, 'up');
  }
  let lastMs = 0;
  const open = () => {
    const opener = createAfPacketOpener();
    return hostInterfaces.map((name) => {
      const received = (frame: Buffer) => {
        lastMs = performance.now();
        wire.received(name, Buffer.from(frame));
      };
      const link = opener(`${name}-far`, '' as never, { received, vanished: () => undefined });
      return [name, link] as const;
    });
  };
  let running = await startVpp(vppPath, undefined, namespace);
  const wire: Wire = {
    kind: 'vpp',
    connect: (signal) =>
      connectVpp({
        path: running.apiSocket,
        name: 'scenario',
        signal,
        required: requiredMessages,
      }),
    inject: (name, frame) => links.get(name)?.transmit(frame),
    received: () => undefined,
    async settle() {
      const startMs = performance.now();
      lastMs = startMs;
      const limitMs = () => (lastMs === startMs ? quietMs.before : quietMs.after);
      while (performance.now() - lastMs < limitMs())
        await new Promise((resolve) => setTimeout(resolve, 5));
    },
    wait: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
    async restart() {
      await running.stop();
      running = await startVpp(vppPath, undefined, namespace);
    },
    async [Symbol.asyncDispose]() {
      for (const link of links.values()) link?.close();
      await running.stop();
      ip('netns', 'del', namespace);
    },
  };
  const links = new Map(inNamespace(`/run/netns/${namespace}`, open));
  return wire;
}
