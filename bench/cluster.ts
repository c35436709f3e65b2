import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, end, runChild, startChild } from './children.ts';
import { duration, type Figure, figure, median, percentile } from './figures.ts';
import { openReplay, translations } from './messages.ts';
import type { Mix } from './objects.ts';
import { type Plane, startPlane, startPlaneWithLinks } from './plane.ts';

/**
 * A cluster of 10,000 Services with 10 endpoints each: how long from the API server to the last
 * reply of VPP, how much memory, and how fast one change is in force at three sizes.
 *
 * API server and daemon are processes of their own, as in a cluster; the daemon's has the
 * reflectors, the loop and the VPP target, and nothing else that would use memory or time.
 *
 * One change is timed a last time where every second Service is of a kind that costs more.
 */
const clusters: readonly (readonly [services: number, Mix])[] = [
  [100, 'plain'],
  [1_000, 'plain'],
  [10_000, 'plain'],
  [10_000, 'mixed'],
];
const coldRounds = 3;
const changes = 1_000;

export async function benchCluster(kind: Plane['kind']): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [services, mix] of clusters) {
    const directory = mkdtempSync(join(tmpdir(), 'kvr-bench-'));
    const socket = join(directory, 'api-server.sock');
    const api = startChild('api', [socket, String(services), mix]);
    try {
      await answer(api, 'ready');
      if (services === 10_000 && mix === 'plain')
        figures.push(...(await coldStart(kind, socket, services)));
      figures.push(await oneChange(kind, { api, socket, services, mix }));
    } finally {
      await end(api);
      rmSync(directory, { recursive: true, force: true });
    }
  }
  return figures;
}

async function coldStart(kind: Plane['kind'], socket: string, services: number) {
  const [list, replayed, daemon, rss]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < coldRounds; round++) {
    list.push((await runChild('list', [socket])).ms);
    replayed.push(await replayAlone(kind, services));
    const plane = await startPlane(kind);
    const child = startChild('daemon', [socket, plane.apiSocket, String(services)]);
    const done = await answer(child, 'applied');
    daemon.push(done.ms);
    rss.push(done.rssMb);
    await end(child);
    await plane.stop();
  }
  const limitMs = median(list) + median(replayed);
  const parts = `${duration(median(list))} list + ${duration(median(replayed))} replay`;
  return [
    figure(
      'cold start, 10,000 services, 100,000 endpoints',
      {
        measured: duration(median(daemon)),
        limit: parts,
        heldBackBy: 'a fresh process: code that is not compiled yet, and garbage of the JSON',
      },
      median(daemon) / limitMs,
      { atMost: 1.5 },
    ),
    figure(
      'resident memory after it',
      { measured: `${median(rss).toFixed(0)} MB`, limit: '200 MB' },
      median(rss) / 200,
      { atMost: 1 },
    ),
  ];
}

async function replayAlone(kind: Plane['kind'], services: number): Promise<number> {
  const plane = await startPlane(kind);
  try {
    await using replay = await openReplay(plane.apiSocket);
    return await replay.run(translations, services);
  } finally {
    await plane.stop();
  }
}

async function oneChange(
  kind: Plane['kind'],
  given: {
    readonly api: ChildProcess;
    readonly socket: string;
    readonly services: number;
    readonly mix: Mix;
  },
): Promise<Figure> {
  const { socket, services, mix } = given;
  const plane = await (mix === 'plain' ? startPlane(kind) : startPlaneWithLinks(kind));
  const child = startChild('daemon', [socket, plane.apiSocket, String(services), mix]);
  try {
    await answer(child, 'applied');
    const finished = answer(child, 'latencies');
    child.send({ kind: 'measure', changes });
    given.api.send({ kind: 'change', changes });
    const { latenciesMs } = await finished;
    const [p50, p99] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
    return figure(
      `one endpoint change among ${services.toLocaleString('en')} ${mix === 'plain' ? '' : 'mixed '}services`,
      { measured: `p99 ${duration(p99)}, median ${duration(p50)}`, limit: 'p99 10 ms' },
      p99 / 10,
      { atMost: 1 },
    );
  } finally {
    await end(child);
    await plane.stop();
  }
}
