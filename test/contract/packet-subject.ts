import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { createEmulator } from '../../src/emulator/emulator.ts';
import { createAfPacketOpener } from '../../src/emulator/port/af-packet.ts';
import { serveStats } from '../../src/emulator/stats/serve.ts';
import { inNamespace } from '../../src/host/namespace.ts';
import { configure, hostNames, macs, openInterface, show } from '../emulator/rig.ts';

/** A data plane with three wires, set up as a node: the embedded one, or a real VPP. */
export interface PacketSubject extends AsyncDisposable {
  readonly vpp: VppConnection;
  readonly index: Readonly<Record<string, number>>;
  /** Sends packets into an interface; what comes out of all of them, as sorted text. */
  send(from: string, ...packets: readonly Buffer[]): Promise<string[]>;
  /** The same with a whole frame. */
  sendFrame(from: string, ...frames: readonly Buffer[]): Promise<string[]>;
  /** Path of its stats socket. */
  readonly statsPath: string;
  /** Returns when the counters show what has been sent. */
  counted(): Promise<void>;
  /** The frames of the last send, with the name of the interface. */
  readonly last: readonly { readonly port: string; readonly frame: Buffer }[];
}

interface Wire extends Pick<PacketSubject, 'vpp' | 'statsPath' | 'counted'> {
  inject(port: string, frame: Buffer): void;
  /** Waits until nothing more comes. */
  settle(): Promise<void>;
  readonly received: { port: string; frame: Buffer }[];
  close(): Promise<void>;
}

export async function createSubject(
  kind: 'embedded' | 'vpp',
  vppPath = '',
): Promise<PacketSubject> {
  const wire = kind === 'embedded' ? await createEmbeddedWire() : await createVppWire(vppPath);
  try {
    const index: Record<string, number> = {};
    for (const [name, hostName] of Object.entries(hostNames))
      index[name] = await openInterface(wire.vpp, name, hostName);
    await configure(wire.vpp, index);
    await wire.settle();
    return subjectOf(wire, index);
  } catch (error) {
    await wire.close();
    throw error;
  }
}

function subjectOf(wire: Wire, index: Readonly<Record<string, number>>): PacketSubject {
  let last: { port: string; frame: Buffer }[] = [];
  const sendFrame = async (from: string, ...frames: readonly Buffer[]) => {
    wire.received.length = 0;
    for (const frame of frames) wire.inject(from, frame);
    await wire.settle();
    // VPP announces itself on IPv6 links now and then; that answers no packet of ours.
    last = wire.received.filter(({ frame: seen }) => !/nd 134| proto 0$/.test(show(seen)));
    return last.map(({ port, frame: seen }) => `${port}: ${show(seen)}`).toSorted();
  };
  return {
    vpp: wire.vpp,
    index,
    statsPath: wire.statsPath,
    counted: () => wire.counted(),
    sendFrame,
    send: (from, ...packets) => sendFrame(from, ...packets.map((l3) => frameFor(from, l3))),
    get last() {
      return last;
    },
    [Symbol.asyncDispose]: () => wire.close(),
  };
}

function frameFor(port: string, l3: Buffer): Buffer {
  const mac = macs[port as keyof typeof macs];
  const frame = Buffer.alloc(14 + l3.length);
  Buffer.from(mac.replaceAll(':', ''), 'hex').copy(frame);
  Buffer.from('0200000000ee', 'hex').copy(frame, 6);
  frame.writeUInt16BE((l3[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800, 12);
  l3.copy(frame, 14);
  return frame;
}

async function createEmbeddedWire(): Promise<Wire> {
  const emulator = createEmulator();
  const received: { port: string; frame: Buffer }[] = [];
  const ports = new Map(
    Object.entries(hostNames).map(([name, hostName]) => [
      name,
      emulator.addPort(hostName, {
        received: (frame) => void received.push({ port: name, frame }),
      }),
    ]),
  );
  const vpp = await connectVpp({ stream: emulator.connect(), name: 'contract' });
  const directory = mkdtempSync(join(tmpdir(), 'kvr-packets-'));
  const statsPath = join(directory, 'stats.sock');
  const clock = createFakeClock();
  const serving = serveStats(emulator.plane, statsPath, clock);
  return {
    vpp,
    received,
    statsPath,
    counted: () => clock.advance(1000),
    inject: (port, frame) => ports.get(port)?.send(frame),
    settle: async () => undefined,
    async close() {
      await vpp[Symbol.asyncDispose]();
      serving[Symbol.dispose]();
      rmSync(directory, { recursive: true });
      await emulator[Symbol.asyncDispose]();
    },
  };
}

/** Silence after which a real VPP has nothing more to say; longer before its first word. */
const quietMs = { before: 1000, after: 40 };

async function createVppWire(vppPath: string): Promise<Wire> {
  const namespace = `kvr-packets-${randomUUID().slice(0, 8)}`;
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('netns', 'add', namespace);
  const inNs = (...args: string[]) => ip('netns', 'exec', namespace, ...args);
  inNs('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  for (const hostName of Object.values(hostNames)) {
    ip('-n', namespace, 'link', 'add', hostName, 'type', 'veth', 'peer', 'name', `${hostName}p`);
    for (const end of [hostName, `${hostName}p`]) ip('-n', namespace, 'link', 'set', end, 'up');
  }
  const running = await startVpp(vppPath, namespace);
  const received: { port: string; frame: Buffer }[] = [];
  let lastAt = Date.now();
  const open = inNamespace(`/run/netns/${namespace}`, () => {
    const opener = createAfPacketOpener();
    return Object.entries(hostNames).map(([port, hostName]) => {
      const link = opener(`${hostName}p`, '' as never, {
        received(frame) {
          lastAt = Date.now();
          received.push({ port, frame: Buffer.from(frame) });
        },
        vanished: () => undefined,
      });
      return [port, link] as const;
    });
  });
  const links = new Map(open);
  const vpp = await connectVpp({ path: running.socket, name: 'contract' });
  return {
    vpp,
    received,
    statsPath: running.statsSocket,
    counted: async () => undefined,
    inject: (port, frame) => links.get(port)?.transmit(frame),
    async settle() {
      const started = Date.now();
      lastAt = started;
      const limit = () => (lastAt === started ? quietMs.before : quietMs.after);
      while (Date.now() - lastAt < limit()) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    async close() {
      await vpp[Symbol.asyncDispose]();
      for (const link of links.values()) link?.close();
      await running.stop();
      ip('netns', 'del', namespace);
    },
  };
}

async function startVpp(vppPath: string, namespace: string) {
  const directory = mkdtempSync(join(tmpdir(), 'kvr-packets-'));
  const socket = join(directory, 'api.sock');
  const config = join(directory, 'startup.conf');
  writeFileSync(config, startupConf(directory));
  const libraries = join(dirname(dirname(vppPath)), 'lib/x86_64-linux-gnu');
  const child = spawn('ip', ['netns', 'exec', namespace, vppPath, '-c', config], {
    stdio: 'ignore',
    env: { ...process.env, ...(existsSync(libraries) && { LD_LIBRARY_PATH: libraries }) },
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  for (let waited = 0; !statSync(socket, { throwIfNoEntry: false })?.isSocket(); waited += 50) {
    if (child.exitCode !== null || waited > 30_000) {
      const said = existsSync(join(directory, 'vpp.log'))
        ? readFileSync(join(directory, 'vpp.log'), 'utf8').slice(-2000)
        : '';
      await stop();
      throw new Error(`VPP did not start: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { socket, statsSocket: join(directory, 'stats.sock'), stop };
}

function startupConf(directory: string): string {
  return `unix { nodaemon nosyslog log ${directory}/vpp.log runtime-dir ${directory} cli-listen ${directory}/cli.sock poll-sleep-usec 100 }
api-segment { prefix ${basename(directory)} }
socksvr { socket-name ${directory}/api.sock }
statseg { socket-name ${directory}/stats.sock page-size 4K size 32M }
buffers { page-size 4K buffers-per-numa 8192 }
memory { main-heap-size 512M main-heap-page-size 4K }
plugins { plugin default { enable } plugin dpdk_plugin.so { disable } }
cnat { session-max 262144 session-cleanup-timeout 0.1 }
acl-plugin { use tuple merge 0 }
`;
}
