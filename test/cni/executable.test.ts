import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { callCni, cniExecutable, createFolder, serve } from './runtime.ts';

/** Runs the executable with any environment and any standard input. */
function run(env: Record<string, string>, stdin: string | Buffer) {
  const { status, stdout } = spawnSync(cniExecutable(), { env, input: stdin, encoding: 'utf8' });
  return { status, output: stdout === '' ? {} : JSON.parse(stdout) };
}

/** A daemon that answers with the given bytes. */
async function answering(path: string, reply: (socket: Socket) => void): Promise<AsyncDisposable> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined); // The executable may leave early.
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1').endsWith('end\n')) reply(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

describe('the CNI executable', function () {
  this.timeout(20_000);

  const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
  const alone = [
    {
      name: 'answers VERSION in the version of the call',
      env: { CNI_COMMAND: 'VERSION' },
      stdin: '{"cniVersion":"0.4.0"}',
      out: { status: 0, output: { cniVersion: '0.4.0', supportedVersions } },
    },
    {
      name: 'answers VERSION without a usable version in its own',
      env: { CNI_COMMAND: 'VERSION' },
      stdin: '{"cniVersion":"\\"}","a":{"cniVersion":"0.4.0"}}',
      out: { status: 0, output: { cniVersion: '1.1.0', supportedVersions } },
    },
  ];
  for (const { name, env, stdin, out } of alone) {
    it(name, () => assert.deepEqual(run(env, stdin), out));
  }

  const failures = [
    { name: 'no command', env: {}, stdin: '', code: 4, says: /CNI_COMMAND is not set/ },
    {
      name: 'a socket that nobody serves',
      env: { CNI_COMMAND: 'ADD' },
      stdin: '{"x":["socket"],"y":"socket","socket":"\\/nowhere\\/x.sock"}',
      code: 11,
      says: /the daemon is not there: \/nowhere\/x.sock: /,
    },
    {
      name: 'no socket in the configuration: the environment names it',
      env: { CNI_COMMAND: 'DEL', KVR_CNI_SOCKET: '/nowhere/env.sock' },
      stdin: '{"x":{"socket":"/nested"}}',
      code: 11,
      says: /\/nowhere\/env.sock/,
    },
    {
      name: 'no socket named at all: the default',
      env: { CNI_COMMAND: 'DEL', KVR_CNI_SOCKET: '' },
      stdin: '{"socket":7,"y":"socket"}',
      code: 11,
      says: /\/run\/kube-vpp-router\/cni.sock/,
    },
    {
      name: 'a socket path that is too long',
      env: { CNI_COMMAND: 'ADD' },
      stdin: JSON.stringify({ socket: `/${'x'.repeat(200)}` }),
      code: 7,
      says: /"socket" is not a path/,
    },
    {
      name: 'a configuration that is too large',
      env: { CNI_COMMAND: 'ADD' },
      stdin: Buffer.alloc(1024 * 1024 + 1, 32),
      code: 6,
      says: /standard input is larger than 1048576 bytes/,
    },
  ];
  for (const { name, env, stdin, code, says } of failures) {
    it(`fails with code ${code}: ${name}`, () => {
      const { status, output } = run(env, stdin);
      assert.equal(status, 1);
      assert.equal(output.code, code);
      assert.match(output.msg, says);
    });
  }

  const replies = [
    { name: 'nothing', bytes: '', says: /without an answer/ },
    { name: 'another protocol', bytes: 'HTTP/1.1 200 OK\r\n\r\n', says: /cut short/ },
    { name: 'fewer bytes than it says', bytes: 'kvr-cni 1 0 10\n{}', says: /cut short/ },
  ];
  for (const { name, bytes, says } of replies) {
    it(`tells the runtime to try again when the daemon answers ${name}`, async () => {
      using folder = createFolder();
      const path = join(folder.path, 's');
      await using _server = await answering(path, (socket) => socket.end(bytes));
      const answer = await callCni(path, { command: 'ADD', containerId: 'c' });
      assert.equal(answer.exitCode, 1);
      assert.equal(answer.output.code, 11);
      assert.match(String(answer.output.msg), says);
    });
  }

  it('passes any text through to the daemon, which answers garbage with an error', async () => {
    using folder = createFolder();
    await using server = await serve(folder.path, '/proc/self/ns/net');
    const socket = connect(server.socketPath);
    socket.end('GET / HTTP/1.1\r\n\r\nend\n');
    let reply = '';
    for await (const chunk of socket) reply += String(chunk);
    assert.match(reply, /^kvr-cni 1 1 \d+\n.*unknown protocol/);
    const config = { name: 'pöds "x"' };
    const answer = await callCni(server.socketPath, { command: 'ADD', containerId: 'c', config });
    assert.equal(answer.output.code, 7);
  });
});
