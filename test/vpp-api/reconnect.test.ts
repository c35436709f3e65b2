import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer as listen, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { maxReconnectMs, vppConnections } from '../../native/vpp-api/reconnect.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { createServer, ponging } from './server.ts';

/** A socket at `path` with a scripted VPP behind every connection. */
async function serve(path: string): Promise<{ server: NetServer; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = listen((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined); // the client ends connections as it likes
    socket.pipe(createServer(ponging()).stream).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { server, sockets };
}

describe('vppConnections', () => {
  it('connects again, with growing delays, when VPP has come back', async () => {
    const path = join(tmpdir(), `kvr-reconnect-${process.pid}.sock`);
    rmSync(path, { force: true });
    const clock = createFakeClock();
    const abort = new AbortController();
    const failures: unknown[] = [];
    const connections = vppConnections({
      path,
      name: 'test',
      clock,
      signal: abort.signal,
      random: () => 1,
      // The fake clock runs ahead of the real socket: only the delays are to be seen.
      requestTimeoutMs: 10 ** 12,
      failed: (error) => failures.push(error),
    });
    let waiting = connections.next();
    for (let i = 0; i < 1000 && failures.length < 3; i++) await clock.advance(maxReconnectMs);
    assert.ok(failures.length >= 3);
    const first = await serve(path);
    const turn = async () => {
      let done = false;
      void waiting.then(() => {
        done = true;
      });
      for (let i = 0; i < 5000 && !done; i++) await clock.advance(maxReconnectMs);
      assert.ok(done, 'no connection came');
      return (await waiting).value;
    };
    const vpp = await turn();
    assert.equal((await vpp?.request('control_ping', {}))?.retval, 0);

    waiting = connections.next();
    for (const socket of first.sockets) socket.destroy();
    const again = await turn();
    assert.notEqual(again, vpp);
    assert.equal((await again?.request('control_ping', {}))?.retval, 0);

    waiting = connections.next();
    abort.abort();
    assert.equal((await waiting).done, true);
    assert.ok(await again?.closed);
    first.server.close();
    rmSync(path, { force: true });
  });
});
