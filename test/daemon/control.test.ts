import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlAnswer, parseTraceRequest, serveControl } from '../../src/daemon/control.ts';
import { sampleView } from './view.ts';

const signal = new AbortController().signal;

async function ask(path: string, view = sampleView) {
  const answer = await controlAnswer(new URL(path, 'http://localhost'), view, signal);
  return { status: answer?.status, body: JSON.parse(answer?.body ?? 'null') };
}

describe('controlAnswer', () => {
  const lists = [
    { path: '/tables', expected: sampleView.tables() },
    { path: '/tables/routes', expected: sampleView.rows('routes') },
    { path: '/routes', expected: sampleView.routes() },
    { path: '/advertisements', expected: sampleView.advertisements(false) },
    { path: '/advertisements?neighbours=1', expected: sampleView.advertisements(true) },
    { path: '/services', expected: sampleView.services() },
    { path: '/pods', expected: sampleView.pods() },
    { path: '/errors', expected: sampleView.problems() },
  ];
  for (const { path, expected } of lists) {
    it(`${path} gives what the view shows`, async () => {
      assert.deepEqual(await ask(path), { status: 200, body: { items: expected } });
    });
  }

  it('/status is not ready while one check fails, and says which', async () => {
    const { body } = await ask('/status');
    assert.equal(body.ready, false);
    assert.equal(body.node, 'worker-1');
    assert.deepEqual(body.checks, sampleView.checks());
  });

  it('/peers asks GoBGP', async () => {
    assert.equal((await ask('/peers')).body.items[0].state, 'established');
  });

  it('/policies and /explain/policy hand the question to the view', async () => {
    assert.equal((await ask('/policies')).body.items.length, 2);
    const flow = await ask('/explain/policy?from=a/b&to=svc/c/d&port=80/udp');
    assert.match(flow.body.verdict, /^a\/b to svc\/c\/d 80\/udp: /);
    assert.equal((await ask('/explain/policy?pod=shop/web-1')).body.lists.length, 2);
    const refusals = [
      { path: '/explain/policy?from=a/b', status: 400, error: /say from and to, or pod/ },
      { path: '/explain/policy?from=nobody/x&to=a/b', status: 404, error: /no pod nobody\/x/ },
      { path: '/explain/policy?pod=nobody/x', status: 404, error: /no pod nobody\/x/ },
    ];
    for (const { path, status, error } of refusals) {
      const answer = await ask(path);
      assert.equal(answer.status, status);
      assert.match(answer.body.error, error);
    }
  });

  it('/tables/NAME names the tables there are', async () => {
    const { status, body } = await ask('/tables/zap');
    assert.equal(status, 404);
    assert.match(body.error, /no table "zap"; there are .*translations/);
  });

  it('/trace hands the packet to the view', async () => {
    const { body } = await ask('/trace?source=10.1.1.1&destination=10.96.0.10&port=80');
    assert.equal(body.verdict, 'delivered to 10.244.1.2:80');
  });
});

describe('parseTraceRequest', () => {
  const cases = [
    { query: 'source=10.0.0.1&destination=10.0.0.2&port=80', reason: undefined },
    { query: 'source=fd00::1&destination=fd00::2&protocol=icmp', reason: undefined },
    { query: 'destination=10.0.0.2&port=80', reason: /source/ },
    { query: 'source=10.0.0.1&destination=web&port=80', reason: /destination/ },
    { query: 'source=10.0.0.1&destination=fd00::1&port=80', reason: /one address family/ },
    { query: 'source=10.0.0.1&destination=10.0.0.2', reason: /needs a port/ },
    { query: 'source=10.0.0.1&destination=10.0.0.2&port=65536', reason: /0 to 65535/ },
    { query: 'source=10.0.0.1&destination=10.0.0.2&port=-1', reason: /0 to 65535/ },
    { query: 'source=10.0.0.1&destination=10.0.0.2&port=1&protocol=igmp', reason: /one of tcp/ },
  ];
  for (const { query, reason } of cases) {
    it(`${reason === undefined ? 'takes' : 'refuses'} ${query}`, () => {
      const result = parseTraceRequest(new URLSearchParams(query));
      if (reason === undefined) assert.ok(result.ok);
      else assert.match(result.ok ? '' : result.problem, reason);
    });
  }
});

describe('serveControl', () => {
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kvr-control-'));
  });
  after(() => rm(directory, { recursive: true }));

  function status(
    socketPath: string,
    method: string,
    path: string,
    text?: string,
  ): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const message = request({ socketPath, method, path, agent: false }, (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode));
      });
      message.once('error', reject);
      message.end(text);
    });
  }

  it('listens on a socket that only its owner may use', async () => {
    const socketPath = join(directory, 'new', 'control.sock');
    await using _server = await serveControl({ view: sampleView, socketPath, signal });
    assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
    assert.equal(await status(socketPath, 'GET', '/status'), 200);
  });

  it('changes nothing, and takes only short requests', async () => {
    const socketPath = join(directory, 'bounds.sock');
    await using _server = await serveControl({ view: sampleView, socketPath, signal });
    assert.equal(await status(socketPath, 'PUT', '/status'), 405);
    assert.equal(await status(socketPath, 'POST', '/status'), 404);
    assert.equal(await status(socketPath, 'GET', '/lint'), 404);
    assert.equal(await status(socketPath, 'POST', '/lint', 'x'.repeat(1 << 20)), 200);
    assert.equal(await status(socketPath, 'POST', '/lint', 'x'.repeat((1 << 20) + 1)), 413);
    assert.equal(await status(socketPath, 'GET', `/trace?${'x'.repeat(3000)}`), 414);
    assert.equal(await status(socketPath, 'GET', '/nothing'), 404);
  });

  it('answers 500 with the reason when the view fails', async () => {
    const socketPath = join(directory, 'fails.sock');
    const view = {
      ...sampleView,
      peers: () => Promise.reject(new Error('gobgpd does not answer')),
    };
    await using _server = await serveControl({ view, socketPath, signal });
    assert.equal(await status(socketPath, 'GET', '/peers'), 500);
  });

  it('takes the place of a dead daemon, never of a living one', async () => {
    const socketPath = join(directory, 'twice.sock');
    await using _server = await serveControl({ view: sampleView, socketPath, signal });
    await assert.rejects(
      serveControl({ view: sampleView, socketPath, signal }),
      /is another daemon running/,
    );
    // A killed process leaves its socket file behind.
    const stale = join(directory, 'stale.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    assert.ok((await stat(stale)).isSocket());
    await using _second = await serveControl({ view: sampleView, socketPath: stale, signal });
    assert.equal(await status(stale, 'GET', '/status'), 200);
  });
});
