import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addressWithLength } from '../../native/vpp-api/address.ts';
import { connectVpp, type VppConnection } from '../../native/vpp-api/client.ts';
import { hostPrefix, ip } from '../../src/core/ip.ts';
import { neighbour, putService, route, unset } from './rig.ts';

const run = promisify(execFile);
const id = process.pid;
const names = { plane: `kvr-emu-${id}`, pods: [`kvr-emu-a-${id}`, `kvr-emu-b-${id}`] } as const;
const ipTool = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

/** What one pod sends and the other receives, as small programs for `node -e`. */
const tcpServer = `
  require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
    let total = 0;
    socket.on('data', (chunk) => { total += chunk.length; });
    socket.on('end', () => socket.end(total + ' bytes from ' + socket.remoteAddress));
  }).listen(8080, '10.1.1.12', () => console.log('ready'));
`;
const tcpClient = `
  const socket = require('node:net').connect({ host: '10.96.0.1', port: 80, allowHalfOpen: true });
  socket.on('data', (data) => { console.log(String(data)); process.exit(0); });
  socket.end(Buffer.alloc(3_000_000));
`;

describe('the emulator on real interfaces', function () {
  this.timeout(60_000);
  const isRoot = process.getuid?.() === 0;

  before(function () {
    if (isRoot) return;
    console.log('      not root: no network namespaces, so real packets are not tested');
    this.skip();
  });

  it('carries TCP through a service between two namespaces, and survives a vanished link', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kvr-emu-'));
    const socket = join(directory, 'api.sock');
    const cleanUps: (() => void | Promise<void>)[] = [() => rmSync(directory, { recursive: true })];
    try {
      makeNamespaces(cleanUps);
      await startEmulator(socket, cleanUps);
      assert.equal(statSync(socket).mode & 0o777, 0o600);
      await using vpp = await connectVpp({ path: socket, name: 'veth test' });
      await configure(vpp);
      const server = spawn('ip', ['netns', 'exec', names.pods[1], 'node', '-e', tcpServer]);
      cleanUps.push(() => void server.kill('SIGKILL'));
      await new Promise((resolve) => server.stdout.once('data', resolve));
      const client = ['netns', 'exec', names.pods[0], 'node', '-e', tcpClient];
      const { stdout } = await run('ip', client, { timeout: 20_000 });
      assert.equal(stdout.trim(), '3000000 bytes from 10.1.1.11');
      ipTool('-n', names.plane, 'link', 'del', 'veth1');
      const interfaces = await vpp.dump('sw_interface_dump', {
        sw_if_index: unset,
        name_filter_valid: false,
        name_filter: '',
      });
      // VPP keeps showing it, until somebody deletes it.
      assert.ok(interfaces.some((one) => one.interface_name === 'host-veth1'));
      const { retval } = await vpp.request('af_packet_delete', { host_if_name: 'veth1' });
      assert.equal(retval, 0);
    } finally {
      for (const cleanUp of cleanUps.toReversed()) await cleanUp();
    }
  });
});

function makeNamespaces(cleanUps: (() => void)[]): void {
  for (const name of [names.plane, ...names.pods]) {
    ipTool('netns', 'add', name);
    cleanUps.push(() => void ipTool('netns', 'del', name));
  }
  for (const [i, pod] of names.pods.entries()) {
    const n = i + 1;
    const inPod = (...args: string[]) => ipTool('-n', pod, ...args);
    ipTool(
      '-n',
      names.plane,
      'link',
      'add',
      `veth${n}`,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      pod,
    );
    inPod('link', 'set', 'eth0', 'address', `02:00:00:00:0${n}:02`, 'up');
    inPod('addr', 'add', `10.1.1.1${n}/32`, 'dev', 'eth0');
    inPod('route', 'add', '169.254.1.1', 'dev', 'eth0');
    inPod('neigh', 'add', '169.254.1.1', 'lladdr', `02:00:00:00:0${n}:01`, 'dev', 'eth0');
    inPod('route', 'add', 'default', 'via', '169.254.1.1');
    const offloads = ['tx', 'off', 'tso', 'off', 'gso', 'off'];
    execFileSync('ip', ['netns', 'exec', pod, 'ethtool', '-K', 'eth0', ...offloads], {
      stdio: 'pipe',
    });
  }
}

async function startEmulator(socket: string, cleanUps: (() => void | Promise<void>)[]) {
  const program = ['node', '--import', 'tsx', 'src/emulator/main.ts', '--api-socket', socket];
  const child = spawn('ip', ['netns', 'exec', names.plane, ...program], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let said = '';
  const serving = new Promise<void>((resolve) =>
    child.stderr.on('data', (chunk) => {
      said += String(chunk);
      if (said.includes('serving')) resolve();
    }),
  );
  cleanUps.push(async () => {
    child.kill('SIGTERM');
    assert.equal(await ended, 0, said);
  });
  await Promise.race([serving, ended]);
  assert.match(said, /not for production/);
}

async function configure(vpp: VppConnection): Promise<void> {
  const { sw_if_index: loop } = await vpp.request('create_loopback', {
    mac_address: '00:00:00:00:00:00',
  });
  await vpp.request('sw_interface_add_del_address', {
    sw_if_index: loop,
    is_add: true,
    del_all: false,
    prefix: addressWithLength(ip('192.0.2.1'), 32),
  });
  for (const n of [1, 2]) {
    const { sw_if_index } = await vpp.request('af_packet_create_v3', {
      mode: 1,
      hw_addr: `02:00:00:00:0${n}:01`,
      use_random_hw_addr: false,
      host_if_name: `veth${n}`,
      rx_frame_size: 10240,
      tx_frame_size: 10240,
      rx_frames_per_block: 32,
      tx_frames_per_block: 32,
      flags: 1,
      num_rx_queues: 1,
      num_tx_queues: 1,
    });
    await vpp.request('sw_interface_set_mtu', { sw_if_index, mtu: [1500, 0, 0, 0] });
    await vpp.request('sw_interface_set_unnumbered', {
      sw_if_index: loop,
      unnumbered_sw_if_index: sw_if_index,
      is_add: true,
    });
    await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    await vpp.request('feature_cnat_enable_disable', { sw_if_index, enable_disable: true });
    await neighbour(vpp, sw_if_index, `10.1.1.1${n}`, `02:00:00:00:0${n}:02`);
    await route(vpp, hostPrefix(ip(`10.1.1.1${n}`)), [{ via: `10.1.1.1${n}`, dev: sw_if_index }]);
  }
  await putService(vpp, '10.96.0.1', 80, ['10.1.1.12:8080']);
}
