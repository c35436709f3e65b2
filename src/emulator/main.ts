import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { parseArgs } from 'node:util';
import { realClock } from '../core/clock.ts';
import { createEmulator } from './emulator.ts';
import { createAfPacketOpener } from './port/af-packet.ts';
import { serveStats } from './stats/serve.ts';

/**
 * The embedded data plane as a process: VPP's API on a unix socket, packets on real interfaces of
 * the network namespace it is started in.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'api-socket': { type: 'string' },
      'stats-socket': { type: 'string' },
      'session-max': { type: 'string' },
    },
  });
  const apiSocket = values['api-socket'];
  if (apiSocket === undefined) {
    console.error('usage: emulator --api-socket PATH [--stats-socket PATH] [--session-max N]');
    process.exitCode = 2;
    return;
  }
  const sessionMax = Number(values['session-max'] ?? 1 << 20);
  if (!Number.isInteger(sessionMax) || sessionMax < 1) {
    console.error('--session-max: a whole number above 0 is needed');
    process.exitCode = 2;
    return;
  }
  console.error('embedded data plane: for development and tests, not for production');
  const emulator = createEmulator({
    limits: { sessionMax },
    openLink: createAfPacketOpener(),
    log: (text) => console.error(text),
    crashed(error) {
      // VPP would be gone: so are we, at once and without cleaning up.
      console.error(error.message);
      process.kill(process.pid, error.signal);
    },
  });
  const server = createServer((socket) => emulator.serve(socket));
  const statsSocket = values['stats-socket'];
  const stats =
    statsSocket === undefined ? undefined : serveStats(emulator.plane, statsSocket, realClock);
  await listen(server, apiSocket);
  const stop = () => {
    server.close();
    rmSync(apiSocket, { force: true });
    stats?.[Symbol.dispose]();
    void emulator[Symbol.asyncDispose]().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  console.error(`serving VPP's API on ${apiSocket}`);
}

/** Listens with a socket that only its owner may use; a stale one is replaced. */
function listen(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const umask = process.umask(0o177);
    server.listen(path, () => {
      process.umask(umask);
      chmodSync(path, 0o600);
      resolve();
    });
  });
}

await main();
