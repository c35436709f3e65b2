import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { connectVpp, type VppConnection, type VppOptions } from '../../native/vpp-api/client.ts';
import {
  VppClosedError,
  VppError,
  VppTimeoutError,
  VppUnsupportedError,
} from '../../native/vpp-api/errors.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { clientIndex, createServer, pong, ponging, type Received, type Server } from './server.ts';

function connect(server: Server, options: Partial<VppOptions> = {}): Promise<VppConnection> {
  return connectVpp({ stream: server.stream, name: 'test', ...options });
}

/** Lets everything that is under way arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

const table = { table_id: 0, is_ip6: false, name: '' };

describe('connectVpp', () => {
  it('introduces itself and uses the ids and the client index that it was given', async () => {
    const server = createServer(ponging());
    await using vpp = await connect(server);
    await vpp.request('control_ping', {});
    assert.equal(vpp.version, '26.06');
    assert.deepEqual(
      server.received.map(({ name, clientIndex: index }) => [name, index]),
      [['control_ping', clientIndex]],
    );
  });

  it('names every message that VPP lacks, with its CRC, and the version of VPP', async () => {
    const missing = ['cnat_translation_update', 'acl_del'] as const;
    const server = createServer(undefined, missing);
    await assert.rejects(connect(server, { required: ['control_ping', ...missing] }), (error) => {
      assert.ok(error instanceof VppUnsupportedError);
      assert.deepEqual(error.missing, ['cnat_translation_update_f8d40bc5', 'acl_del_ef34fea4']);
      assert.match(error.message, /26\.06/);
      return true;
    });
    assert.ok(server.stream.destroyed);
  });

  it('refuses a message that VPP lacks without sending it', async () => {
    const server = createServer(ponging(), ['cli_inband']);
    await using vpp = await connect(server);
    await assert.rejects(vpp.request('cli_inband', { cmd: 'x' }), VppUnsupportedError);
    assert.equal(vpp.supports('cli_inband'), false);
    assert.deepEqual(server.received, []);
  });

  it('gives up a handshake that gets no answer', async () => {
    const clock = createFakeClock();
    const server = createServer();
    server.far.removeAllListeners('data');
    const connecting = assert.rejects(
      connect(server, { clock, requestTimeoutMs: 100 }),
      VppTimeoutError,
    );
    await clock.advance(100);
    await connecting;
    assert.ok(server.stream.destroyed);
  });

  it('stops a handshake when it is aborted', async () => {
    const server = createServer();
    server.far.removeAllListeners('data');
    const abort = new AbortController();
    const connecting = assert.rejects(connect(server, { signal: abort.signal }), /enough/);
    await settle();
    abort.abort(new Error('enough'));
    await connecting;
  });

  it('says which socket it cannot open', async () => {
    await assert.rejects(
      connectVpp({ path: '/nonexistent/api.sock', name: 'test' }),
      (error) => error instanceof VppError && error.message.includes('/nonexistent/api.sock'),
    );
  });

  it('refuses a handshake answered by something else', async () => {
    const server = createServer();
    server.far.removeAllListeners('data');
    const connecting = assert.rejects(connect(server), VppError);
    server.far.write(Buffer.alloc(64, 0xff));
    await connecting;
  });
});

describe('a request', () => {
  it('finds its reply where a client index stands before the context', async () => {
    // VPP's feature_is_enabled_reply has one; read as the context it belongs to no request.
    const server = createServer(({ context }, { reply }) => {
      reply('feature_is_enabled_reply', context, { retval: 0, is_enabled: true });
    });
    await using vpp = await connect(server);
    const fields = { arc_name: 'ip4-unicast', feature_name: 'cnat-input-ip4', sw_if_index: 1 };
    const { is_enabled } = await vpp.request('feature_is_enabled', fields);
    assert.equal(is_enabled, true);
  });

  it('finds its reply by context, whatever the order', async () => {
    const held: Received[] = [];
    const server = createServer((request, { reply }) => {
      if (held.push(request) < 3) return;
      for (const { context, fields } of held.toReversed()) {
        reply('cli_inband_reply', context, { retval: 0, reply: `did ${String(fields.cmd)}` });
      }
    });
    await using vpp = await connect(server);
    const replies = await Promise.all(
      ['a', 'b', 'c'].map((cmd) => vpp.request('cli_inband', { cmd })),
    );
    assert.deepEqual(
      replies.map(({ reply }) => reply),
      ['did a', 'did b', 'did c'],
    );
  });

  it('waits for room in the window, in order', async () => {
    const server = createServer();
    await using vpp = await connect(server, { windowRequests: 4 });
    const all = Array.from({ length: 10 }, (_, i) => vpp.request('cli_inband', { cmd: `${i}` }));
    await settle();
    const commands = () => server.received.map(({ fields }) => fields.cmd);
    assert.deepEqual(commands(), ['0', '1', '2', '3']);
    for (let i = 0; i < 10; i++) {
      server.reply('cli_inband_reply', server.received[i]?.context ?? 0, { retval: 0, reply: '' });
      await settle();
      assert.equal(commands().length, Math.min(10, i + 5));
    }
    assert.deepEqual(commands(), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    await Promise.all(all);
  });

  it('waits for room in bytes, but never for ever', async () => {
    const server = createServer();
    await using vpp = await connect(server, { windowBytes: 1000 });
    const all = ['a', 'b', 'c'].map((letter) =>
      vpp.request('cli_inband', { cmd: letter.repeat(2000) }),
    );
    await settle();
    assert.equal(server.received.length, 1);
    for (let i = 0; i < 3; i++) {
      server.reply('cli_inband_reply', server.received[i]?.context ?? 0, { retval: 0, reply: '' });
      await settle();
    }
    assert.equal((await Promise.all(all)).length, 3);
  });

  it('fails with the name of the retval, unless the caller allows it', async () => {
    const server = createServer(({ context }, { reply }) => {
      reply('cnat_translation_del_reply', context, { retval: -6 });
    });
    await using vpp = await connect(server);
    await assert.rejects(vpp.request('cnat_translation_del', { id: 1 }), {
      name: 'VppError',
      retval: -6,
      message: 'cnat_translation_del: NO_SUCH_ENTRY (-6)',
    });
    assert.deepEqual(await vpp.request('cnat_translation_del', { id: 1 }, { allow: [-6] }), {
      retval: -6,
    });
  });

  it('that VPP swallows times out, and later ones still find their replies', async () => {
    const clock = createFakeClock();
    const server = createServer((request, { reply }) => {
      if (request.fields.cmd !== 'lost')
        reply('cli_inband_reply', request.context, {
          retval: 0,
          reply: String(request.fields.cmd),
        });
    });
    await using vpp = await connect(server, { clock, requestTimeoutMs: 1000 });
    const lost = assert.rejects(vpp.request('cli_inband', { cmd: 'lost' }), VppTimeoutError);
    assert.equal((await vpp.request('cli_inband', { cmd: 'kept' })).reply, 'kept');
    await clock.advance(2000);
    await lost;
    assert.equal((await vpp.request('cli_inband', { cmd: 'after' })).reply, 'after');
  });

  it('does not time out while VPP works through those before it', async () => {
    const clock = createFakeClock();
    const server = createServer();
    await using vpp = await connect(server, { clock, requestTimeoutMs: 1000 });
    const all = ['a', 'b', 'c', 'd'].map((cmd) => vpp.request('cli_inband', { cmd }));
    await settle();
    for (const { context } of [...server.received]) {
      await clock.advance(900);
      server.reply('cli_inband_reply', context, { retval: 0, reply: '' });
      await settle();
    }
    assert.equal((await Promise.all(all)).length, 4);
  });

  it('is told apart from a late reply of an earlier one', async () => {
    const clock = createFakeClock();
    const ignored: string[] = [];
    const server = createServer();
    await using vpp = await connect(server, {
      clock,
      requestTimeoutMs: 1000,
      log: (event) => ignored.push(event),
    });
    const lost = assert.rejects(vpp.request('cli_inband', { cmd: 'slow' }), VppTimeoutError);
    await settle();
    await clock.advance(1000);
    await lost;
    const next = vpp.request('cli_inband', { cmd: 'next' });
    await settle();
    const [slow, fast] = server.received;
    server.reply('cli_inband_reply', slow?.context ?? 0, { retval: 0, reply: 'late' });
    server.reply('cli_inband_reply', fast?.context ?? 0, { retval: 0, reply: 'right' });
    assert.equal((await next).reply, 'right');
    assert.deepEqual(ignored, ['late reply']);
  });

  it('fails when a value does not fit, and nothing of it is sent', async () => {
    const server = createServer(ponging());
    await using vpp = await connect(server);
    await assert.rejects(vpp.request('cnat_translation_del', { id: -1 }), /id: -1/);
    await vpp.request('control_ping', {});
    assert.deepEqual(
      server.received.map(({ name }) => name),
      ['control_ping'],
    );
  });

  it('stops waiting when it is aborted, in the window and before it', async () => {
    const server = createServer();
    await using vpp = await connect(server, { windowRequests: 1 });
    const abort = new AbortController();
    const { signal } = abort;
    const both = ['sent', 'queued'].map((cmd) =>
      assert.rejects(vpp.request('cli_inband', { cmd }, { signal }), /enough/),
    );
    const after = vpp.request('cli_inband', { cmd: 'after' });
    await settle();
    abort.abort(new Error('enough'));
    await Promise.all(both);
    server.reply('cli_inband_reply', server.received[0]?.context ?? 0, { retval: 0, reply: '' });
    await settle();
    assert.deepEqual(
      server.received.map(({ fields }) => fields.cmd),
      ['sent', 'after'],
    );
    server.reply('cli_inband_reply', server.received[1]?.context ?? 0, { retval: 0, reply: 'ok' });
    assert.equal((await after).reply, 'ok');
  });

  it('whose reply cannot be read fails alone', async () => {
    const server = createServer(
      ponging(({ name, context }, { far, reply }) => {
        if (name !== 'ip_route_lookup_v2') return false;
        // A prefix of 33 bits.
        const route = {
          table_id: 0,
          stats_index: 0,
          prefix: '10.0.0.0/32' as never,
          src: 0,
          paths: [],
        };
        const write = far.write.bind(far);
        far.write = (bytes: Buffer) => {
          bytes[bytes.indexOf(Buffer.from('0a00000000', 'hex')) + 16] = 33;
          far.write = write;
          return write(bytes);
        };
        reply('ip_route_lookup_v2_reply', context, { retval: 0, route });
        return true;
      }),
    );
    await using vpp = await connect(server);
    await assert.rejects(
      vpp.request('ip_route_lookup_v2', { table_id: 0, exact: 0, prefix: '10.0.0.0/8' as never }),
      /cannot read/,
    );
    assert.equal((await vpp.request('control_ping', {})).vpe_pid, pong.vpe_pid);
  });
});

describe('a dump', () => {
  const details = (name: string) => ({ src: { priority: 1, id: 2, name } });

  it('collects its details until the ping behind it is answered', async () => {
    const server = createServer(
      ponging(({ name, context }, { reply }) => {
        if (name !== 'fib_source_dump') return false;
        for (const source of ['a', 'b', 'c']) reply('fib_source_details', context, details(source));
        return true;
      }),
    );
    await using vpp = await connect(server);
    const [first, second] = await Promise.all([
      vpp.dump('fib_source_dump', {}),
      vpp.dump('fib_source_dump', {}),
    ]);
    assert.deepEqual(
      first.map(({ src }) => src.name),
      ['a', 'b', 'c'],
    );
    assert.deepEqual(second, first);
  });

  it('is empty when there is nothing', async () => {
    const server = createServer(ponging());
    await using vpp = await connect(server);
    assert.deepEqual(await vpp.dump('ip_route_v2_dump', { src: 0, table }), []);
  });

  it('of a cursor stream goes on from the cursor until the last part', async () => {
    const server = createServer(({ name, context, fields }, { reply }) => {
      if (name !== 'nat44_ed_output_interface_get') return;
      const cursor = Number(fields.cursor);
      for (let i = cursor; i < cursor + 2; i++)
        reply('nat44_ed_output_interface_details', context, { sw_if_index: i });
      reply('nat44_ed_output_interface_get_reply', context, {
        retval: cursor < 4 ? -165 : 0,
        cursor: cursor + 2,
      });
    });
    await using vpp = await connect(server);
    const all = await vpp.dump('nat44_ed_output_interface_get', { cursor: 0 });
    assert.deepEqual(
      all.map(({ sw_if_index }) => sw_if_index),
      [0, 1, 2, 3, 4, 5],
    );
    assert.deepEqual(
      server.received.map(({ fields }) => fields.cursor),
      [0, 2, 4],
    );
  });

  it('of a cursor stream fails with the retval of its end', async () => {
    const server = createServer(({ context }, { reply }) => {
      reply('nat44_ed_output_interface_get_reply', context, { retval: -126, cursor: 0 });
    });
    await using vpp = await connect(server);
    await assert.rejects(
      vpp.dump('nat44_ed_output_interface_get', { cursor: 0 }),
      /UNSUPPORTED \(-126\)/,
    );
  });
});

describe('an event', () => {
  it('reaches those who listen, until they stop', async () => {
    const server = createServer(ponging());
    await using vpp = await connect(server);
    const seen: number[] = [];
    const stop = vpp.events('sw_interface_event', ({ sw_if_index }) => seen.push(sw_if_index));
    const send = (sw_if_index: number) =>
      server.reply('sw_interface_event', 0, { pid: 1, sw_if_index, flags: 1, deleted: false });
    send(1);
    send(2);
    await vpp.request('control_ping', {});
    stop();
    send(3);
    await vpp.request('control_ping', {});
    assert.deepEqual(seen, [1, 2]);
  });
});

describe('the end of a connection', () => {
  const endings: { name: string; end: (server: Server, vpp: VppConnection) => unknown }[] = [
    { name: 'VPP ends the stream', end: ({ far }) => far.end() },
    { name: 'the socket breaks', end: ({ stream }) => stream.destroy(new Error('ECONNRESET')) },
    { name: 'VPP sends what is no frame', end: ({ far }) => far.write(Buffer.alloc(32, 0xff)) },
    { name: 'we close it', end: (_server, vpp) => vpp[Symbol.asyncDispose]() },
  ];
  for (const { name, end } of endings) {
    it(`fails everything that waits when ${name}`, async () => {
      const server = createServer();
      const vpp = await connect(server, { windowRequests: 1 });
      const waiting = ['sent', 'queued'].map((cmd) =>
        assert.rejects(vpp.request('cli_inband', { cmd }), VppClosedError),
      );
      await settle();
      await end(server, vpp);
      await Promise.all(waiting);
      assert.ok((await vpp.closed) instanceof VppError);
      await assert.rejects(vpp.request('control_ping', {}), VppClosedError);
      await vpp[Symbol.asyncDispose]();
    });
  }

  it('lets what was asked before it leave', async () => {
    const server = createServer();
    const vpp = await connect(server);
    const asked = assert.rejects(vpp.request('cli_inband', { cmd: 'last' }), VppClosedError);
    await vpp[Symbol.asyncDispose]();
    await asked;
    await settle();
    assert.deepEqual(
      server.received.map(({ fields }) => fields.cmd),
      ['last'],
    );
  });
});
