import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { registerNode, startApi } from '../../demo/api.ts';
import { createDisposals, type Disposals } from '../../demo/disposals.ts';
import { createNetwork, type Network } from '../../demo/network.ts';
import { createNode, type DemoNode, partNames } from '../../demo/node.ts';
import { createProcesses, type Processes, type Running, run, until } from '../../demo/processes.ts';
import { bundlePrograms } from '../../demo/programs.ts';
import { findVpp } from '../../demo/vpp-config.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { disableOffloads, offloads } from '../../src/host/offload.ts';

/**
 * BFD between a whole node (data plane, gobgpd, daemon) and a router of somebody else: bird.
 */
/** The embedded plane is JavaScript, which other tests beside it hold up for long. */
const intervals = { vpp: 100, embedded: 500 } as const;
const multiplier = 3;
/** What the daemon and the data plane may take beyond the detection time. */
const reactionMaxMs = 50;
const holdSeconds = 60;
const learned = '203.0.113.0/24';
const rounds = 5;
const signal = new AbortController().signal;

interface Rig {
  readonly network: Network;
  readonly node: DemoNode;
  readonly vpp: VppConnection;
  readonly bird: Running;
  /** Prefixes of the daemon's routes in the data plane. */
  routes(): Promise<readonly string[]>;
}

/** Declares the tests; they say what is missing where they cannot run. */
export function testBfd(kind: 'embedded' | 'vpp'): void {
  describe(`BFD with bird on ${kind === 'vpp' ? 'real VPP' : 'the embedded data plane'}`, function () {
    this.timeout(180_000);
    const disposals = createDisposals();
    let rig: Rig;

    before(async function () {
      const missing = missingPrograms(kind);
      if (missing !== undefined) {
        console.log(`      ${missing}: BFD with a foreign router is not proven here`);
        this.skip();
      }
      rig = await createRig(kind, disposals);
    });
    after(() => disposals.dispose());

    it('comes up, and the route that bird tells is in the FIB', async () => {
      await untilRoute(rig, true, 90_000);
      await untilBfdUp(rig);
      // A daemon that has just begun deletes nothing until BGP has told all: seconds.
      await timeUntilGone(rig, () => rig.bird.child.kill('SIGSTOP'));
      await timeUntilBack(rig, () => rig.bird.child.kill('SIGCONT'));
    });

    it('a frozen neighbour loses its routes within the detection time, and gets them back', async () => {
      const took: number[] = [];
      for (let i = 0; i < rounds; i++) {
        const ms = await timeUntilGone(rig, () => rig.bird.child.kill('SIGSTOP'));
        const backMs = await timeUntilBack(rig, () => rig.bird.child.kill('SIGCONT'));
        console.log(
          `      frozen: gone after ${ms.toFixed(0)} ms, back after ${backMs.toFixed(0)} ms`,
        );
        took.push(ms);
      }
      assertInTime(kind, took);
    });

    it('so does one whose link is cut', async () => {
      const link = (state: string) =>
        run('ip', ['-n', rig.network.fabric, 'link', 'set', 'client', state]);
      const took: number[] = [];
      for (let i = 0; i < rounds; i++) {
        const ms = await timeUntilGone(rig, () => link('down'));
        const backMs = await timeUntilBack(rig, () => link('up'));
        console.log(
          `      cut: gone after ${ms.toFixed(0)} ms, back after ${backMs.toFixed(0)} ms`,
        );
        took.push(ms);
      }
      assertInTime(kind, took);
    });
  });
}

function missingPrograms(kind: 'embedded' | 'vpp'): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  for (const program of ['bird', 'gobgpd'])
    if (spawnSync(program, ['--version']).error !== undefined) return `no ${program}`;
  return kind === 'vpp' && !findVpp().ok ? 'no VPP' : undefined;
}

async function createRig(kind: 'embedded' | 'vpp', disposals: Disposals): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'kvr-bfd-'));
  disposals.defer(() => rm(directory, { recursive: true, force: true }));
  const logs = join(directory, 'logs');
  await mkdir(logs);
  const programs = disposals.use(await bundlePrograms());
  const network = disposals.use(await createNetwork(1));
  disableOffloads('eth0', offloads, `/run/netns/${network.client.netns}`);
  for (const link of network.fabricLinks)
    disableOffloads(link, offloads, `/run/netns/${network.fabric}`);
  const processes = disposals.use(createProcesses(logs));
  const { relay } = programs;
  const api = await startApi(disposals, { port: 0, directory, network, processes, relay });
  const machine = network.nodes[0];
  assert(machine !== undefined);
  // With IPv6 on the uplink there is no BFD: see src/routing/bfd.ts.
  await run('ip', ['-n', machine.netns, '-6', 'addr', 'flush', 'dev', 'eth0']);
  const vpp = findVpp();
  const node = await createNode({
    machine,
    number: 1,
    directory,
    apiServer: api.nodeUrl,
    programs,
    processes,
    vpp: kind === 'vpp' && vpp.ok ? vpp.value : undefined,
  });
  await addPeer(join(directory, machine.name, 'router.yaml'), network.client.ip4, intervals[kind]);
  registerNode(api, node);
  for (const part of partNames) node.start(part);
  const bird = await startBird(processes, network, directory, intervals[kind]);
  const connection = await connectPlane(join(directory, machine.name, 'api.sock'), disposals);
  return { network, node, vpp: connection, bird, routes: () => ownRoutes(connection) };
}

async function addPeer(file: string, address: string, intervalMs: number): Promise<void> {
  const config = parse(await readFile(file, 'utf8')) as { bgp: object };
  const bfd = { enabled: true, minTxMs: intervalMs, minRxMs: intervalMs, multiplier };
  // VPP is a hop between GoBGP and the wire: a TTL of 1 would end in it.
  const session = { asn: 65_001, multihopTtl: 2, holdTimeSeconds: holdSeconds };
  const peer = { name: 'bird', address, ...session, bfd };
  await writeFile(file, stringify({ ...config, bgp: { ...config.bgp, peers: [peer] } }));
}

/** A router of another AS that has one route to tell, and asks for BFD. */
async function startBird(
  processes: Processes,
  { client, nodes }: Network,
  directory: string,
  intervalMs: number,
): Promise<Running> {
  const file = join(directory, 'bird.conf');
  const bgp = `local ${client.ip4} as 65001; neighbor ${nodes[0]?.ip4} as 64512; bfd on;
  hold time ${holdSeconds}; connect retry time 1; connect delay time 1; error wait time 1, 1;
  error forget time 1; ipv4 { import all; export all; next hop self; };`;
  await writeFile(
    file,
    `router id ${client.ip4};
log stderr all;
protocol device {}
protocol bfd { interface "eth0" { interval ${intervalMs} ms; multiplier ${multiplier}; }; }
protocol static { ipv4; route ${learned} blackhole; }
protocol bgp { ${bgp} }
`,
  );
  const command = ['bird', '-f', '-c', file, '-s', join(directory, 'bird.ctl')];
  return processes.start('bird', command, { netns: client.netns });
}

async function connectPlane(path: string, disposals: Disposals): Promise<VppConnection> {
  const connection = await until('the data plane serves its API', 30_000, signal, () =>
    connectVpp({ path, name: 'bfd-test' }),
  );
  return disposals.use(connection);
}

async function ownRoutes(vpp: VppConnection): Promise<readonly string[]> {
  const sources = await vpp.dump('fib_source_dump', {});
  const own = sources.find(({ src }) => src.name === 'kube-vpp-router');
  if (own === undefined) return [];
  const table = { table_id: 0, is_ip6: false, name: '' };
  const routes = await vpp.dump('ip_route_v2_dump', { src: own.src.id, table });
  return routes.map(({ route }) => route.prefix);
}

const untilRoute = (rig: Rig, isThere: boolean, maxMs: number) =>
  untilFast(`${learned} is ${isThere ? 'there' : 'gone'}`, maxMs, async () =>
    (await rig.routes()).some((one) => one === learned) === isThere ? true : undefined,
  );

/** As `until`, looking every two milliseconds: what is measured is shorter than its pause. */
async function untilFast(what: string, maxMs: number, probe: () => Promise<true | undefined>) {
  const end = performance.now() + maxMs;
  while ((await probe()) === undefined) {
    assert.ok(performance.now() < end, `not within ${maxMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** From when it is done: starting `ip` takes longer than what is measured. */
async function timeUntilGone(rig: Rig, act: () => unknown): Promise<number> {
  await act();
  const startMs = performance.now();
  await untilRoute(rig, false, 20_000);
  return performance.now() - startMs;
}

/** Until the route is there again, and BFD ready for the next failure. */
async function timeUntilBack(rig: Rig, act: () => unknown): Promise<number> {
  const startMs = performance.now();
  await act();
  await untilRoute(rig, true, 90_000);
  const tookMs = performance.now() - startMs;
  await untilBfdUp(rig);
  return tookMs;
}

const untilBfdUp = (rig: Rig) =>
  untilFast('BFD is up', 30_000, async () => (/up/.test(await bfdState(rig)) ? true : undefined));

/** Half of them, so that one pause of a busy machine is no failure. */
function assertInTime(kind: 'embedded' | 'vpp', took: readonly number[]): void {
  const median = took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0;
  const maxMs = multiplier * intervals[kind] + reactionMaxMs;
  assert.ok(median <= maxMs, `${took.map((ms) => ms.toFixed(0)).join(', ')} ms, not ${maxMs}`);
  assert.ok(median < holdSeconds * 1000, 'long before the hold time');
}

async function bfdState({ vpp }: Rig): Promise<string> {
  const names = ['adminDown', 'down', 'init', 'up'];
  const sessions = await vpp.dump('bfd_udp_session_dump', {});
  return sessions.map(({ state }) => names[state] ?? '').join(' ');
}
