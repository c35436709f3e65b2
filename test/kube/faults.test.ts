import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApiServer } from '../../src/apiserver/server.ts';
import { createFakeClock } from '../../src/core/clock.ts';
import { createFaultProxy } from './fault-proxy.ts';
import { startRig } from './rig.ts';

/** What a broken server answers, request by request; the last answer repeats. */
type Answer = (response: ServerResponse, path: string) => void;

async function startBroken(answers: readonly Answer[]) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    requests.push(path);
    answer?.(response, path);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function namespaceText(name: string, revision: number): string {
  const metadata = { name, resourceVersion: String(revision) };
  return JSON.stringify({ kind: 'Namespace', apiVersion: 'v1', metadata });
}

const event = (type: string, name: string, revision: number) =>
  `{"type":"${type}","object":${namespaceText(name, revision)}}\n`;

const endOfInitial = (revision: number) => {
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  const metadata = { resourceVersion: String(revision), annotations };
  return `${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`;
};

const lines =
  (...texts: readonly string[]): Answer =>
  (response) => {
    response.writeHead(200);
    for (const text of texts) response.write(text);
  };

const refused =
  (status: number): Answer =>
  (response) => {
    response.writeHead(status).end(JSON.stringify({ kind: 'Status', message: 'no' }));
  };

const page =
  (names: readonly string[], revision: number, token = ''): Answer =>
  (response) => {
    const items = names.map((name) => JSON.parse(namespaceText(name, revision)) as object);
    const metadata = { resourceVersion: String(revision), continue: token };
    response.writeHead(200).end(JSON.stringify({ metadata, items }));
  };

const picture = lines(event('ADDED', 'a', 1), event('ADDED', 'b', 2), endOfInitial(2));

describe('a reflector and a server that misbehaves', () => {
  const recoveries = [
    { name: 'a line that is no JSON', fault: 'not json\n', said: /not JSON/ },
    { name: 'a line without an object', fault: '{"type":"ADDED"}\n', said: /no object/ },
    {
      name: 'an event of an unknown type',
      fault: '{"type":"MOVED","object":{}}\n',
      said: /unknown type/,
    },
    {
      name: 'an ERROR event',
      fault: '{"type":"ERROR","object":{"code":500,"message":"etcd is gone"}}\n',
      said: /etcd is gone/,
    },
    { name: 'a revision that goes back', fault: event('ADDED', 'x', 1), said: /went back/ },
    { name: 'a line over 8 MiB', fault: 'x'.repeat(9 * 1024 * 1024), said: /exceeds 8388608/ },
  ];
  for (const { name, fault, said } of recoveries) {
    it(`keeps what came before ${name}, and makes a new picture`, async () => {
      const clock = createFakeClock();
      const first = lines(event('ADDED', 'a', 1), endOfInitial(1), event('ADDED', 'b', 2), fault);
      const second = lines(event('ADDED', 'b', 2), event('ADDED', 'c', 3), endOfInitial(3));
      await using server = await startBroken([first, second]);
      await using rig = await startRig(server.url, ['namespaces'], { clock });
      await rig.source.synced;
      const { namespaces } = rig.store.facts;
      const warning = rig.warnings[0] ?? (await rig.nextWarning());
      assert.match(warning, said);
      assert.deepEqual([...namespaces.keys()], ['a', 'b']);
      assert.match(rig.source.state()[0]?.error ?? '', said);
      await clock.advance(1000);
      await rig.until(() => namespaces.has('c'));
      assert.deepEqual([...namespaces.keys()].toSorted(), ['b', 'c']);
      assert.match(server.requests[1] ?? '', /sendInitialEvents=true/);
    });
  }

  it('never deletes on half a picture: a relist that breaks off changes nothing', async () => {
    const clock = createFakeClock();
    const gone = '{"type":"ERROR","object":{"code":410,"message":"gone"}}\n';
    const first = lines(event('ADDED', 'a', 1), event('ADDED', 'b', 2), endOfInitial(2), gone);
    const broken: Answer = (response) => {
      response.writeHead(200);
      response.write(event('ADDED', 'a', 1), () => response.destroy());
    };
    await using server = await startBroken([first, broken, picture]);
    await using rig = await startRig(server.url, ['namespaces'], { clock });
    await rig.source.synced;
    if (rig.warnings.length < 1) await rig.nextWarning();
    const broke = rig.nextWarning();
    await clock.advance(1000);
    await broke;
    assert.deepEqual([...rig.store.facts.namespaces.keys()], ['a', 'b']);
    const { revision } = rig.store;
    await clock.advance(2000);
    await rig.until(() => rig.store.revision > revision);
    assert.deepEqual([...rig.store.facts.namespaces.keys()], ['a', 'b']);
  });

  for (const status of [400, 404, 405, 422, 501]) {
    it(`lists in pages when a WatchList request is answered with ${status}`, async () => {
      const answers = [refused(status), page(['a'], 5, 'more'), page(['b'], 5), lines()];
      await using server = await startBroken(answers);
      await using rig = await startRig(server.url, ['namespaces']);
      await rig.source.synced;
      assert.deepEqual([...rig.store.facts.namespaces.keys()], ['a', 'b']);
      assert.deepEqual(rig.warnings, []);
    });
  }

  it('lists in pages when a server does not know the question and never ends the picture', async () => {
    const clock = createFakeClock();
    const answers = [lines(event('ADDED', 'a', 1)), page(['a', 'b'], 5), lines()];
    await using server = await startBroken(answers);
    await using rig = await startRig(server.url, ['namespaces'], { clock });
    while (rig.source.state()[0]?.lastEventMs === 0) await clock.advance(0);
    await clock.advance(20_000);
    await rig.source.synced;
    assert.deepEqual([...rig.store.facts.namespaces.keys()], ['a', 'b']);
  });

  it('starts a list again when a page has expired', async () => {
    const expired = refused(410);
    const answers = [page(['a'], 5, 'more'), expired, page(['a'], 6, 'x'), page(['b'], 6), lines()];
    await using server = await startBroken(answers);
    await using rig = await startRig(server.url, ['namespaces'], { watchList: false });
    await rig.source.synced;
    assert.deepEqual([...rig.store.facts.namespaces.keys()], ['a', 'b']);
    assert.deepEqual(rig.warnings, []);
  });

  it('waits longer after each failure, and says why and for how long', async () => {
    const clock = createFakeClock();
    await using server = await startBroken([refused(403)]);
    await using rig = await startRig(server.url, ['namespaces'], { clock });
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      while (rig.warnings.length <= i) await rig.nextWarning();
      const { retryMs } = JSON.parse(rig.warnings[i] ?? '{}') as { retryMs: number };
      waits.push(retryMs);
      await clock.advance(retryMs + 1);
    }
    const ceilings = [800, 1600, 3200, 6400, 12_800, 25_600, 30_000];
    for (const [i, ceiling] of ceilings.entries()) {
      assert.ok((waits[i] ?? 0) >= ceiling / 2 - 1 && (waits[i] ?? 0) <= ceiling + 1, `${waits}`);
    }
    assert.match(rig.warnings[0] ?? '', /403/);
    assert.equal(rig.source.state()[0]?.synced, false);
  });

  it('takes a server that lost its state for a new one', async () => {
    const clock = createFakeClock();
    const answers = [picture, refused(504), lines(event('ADDED', 'z', 1), endOfInitial(1))];
    await using server = await startBroken(answers);
    await using proxy = await createFaultProxy(server);
    await using rig = await startRig(proxy.url, ['namespaces'], { clock });
    await rig.source.synced;
    for (let i = 1; i <= 2; i++) {
      const warned = rig.warnings.length >= i ? undefined : rig.nextWarning();
      if (i === 1) proxy.cut();
      await warned;
      await clock.advance(5000);
    }
    await rig.until(() => rig.store.facts.namespaces.has('z'));
    assert.deepEqual([...rig.store.facts.namespaces.keys()], ['z']);
  });

  it('resumes from a bookmark when nothing else happened', async () => {
    const clock = createFakeClock();
    const serverClock = createFakeClock();
    await using server = await createApiServer({ clock: serverClock, bookmarkMs: 1000 });
    await using proxy = await createFaultProxy(server);
    await using rig = await startRig(proxy.url, ['nodes'], { clock });
    await rig.source.synced;
    server.load('{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}');
    const { revision } = server.api.storage;
    const [before] = rig.source.state();
    await clock.advance(1);
    await serverClock.advance(1000);
    while (rig.source.state()[0]?.lastEventMs === before?.lastEventMs) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const resumed = proxy.nextRequest(/resourceVersion=/);
    const warned = rig.nextWarning();
    proxy.cut();
    await warned;
    await clock.advance(1000);
    assert.match(await resumed, new RegExp(`resourceVersion=${revision}(&|$)`));
  });

  it('notices a stopped server after three missing bookmarks', async () => {
    const clock = createFakeClock();
    await using server = await startBroken([picture]);
    await using rig = await startRig(server.url, ['namespaces'], { clock });
    await rig.source.synced;
    assert.deepEqual(rig.warnings, []);
    const warned = rig.nextWarning();
    await clock.advance(180_001);
    assert.match(await warned, /silent for 180\d{3} ms/);
  });

  it('tries again when the server is not there at all', async () => {
    const clock = createFakeClock();
    await using rig = await startRig('unix:/nonexistent/kvr.sock', ['nodes'], { clock });
    assert.match(await rig.nextWarning(), /ENOENT/);
    assert.match(rig.source.state()[0]?.error ?? '', /ENOENT/);
  });
});
