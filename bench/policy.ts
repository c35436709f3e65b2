import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answer, end, startChild } from './children.ts';
import { duration, type Figure, figure, median, percentile } from './figures.ts';
import { type Plane, startPlaneWithLinks } from './plane.ts';
import type { InForce, PolicyOrder } from './policy-child.ts';
import {
  attachmentsHere,
  type KubeObject,
  namespaceCount,
  namespaceObject,
  peerApps,
  podCount,
  podObject,
  podsHere,
  policyCount,
  policyObject,
  runningPod,
} from './policy-objects.ts';
import { largestCalls, longestGap, mainHeapMb } from './policy-plane.ts';

/**
 * NetworkPolicies on a node with 200 pods: 1,000 policies over 10,000 pods of the cluster.
 *
 * API server, daemon and VPP are processes of their own; each pod is one end of a veth pair, opened
 * by VPP, with both of its lists bound. A change is one write to the API server, and in force when
 * VPP has answered for the last row of it; the time starts with the event on the daemon's watch.
 */
const rounds = { full: 300, quick: 30 } as const;
const compileRounds = 3;
const churnPerSecond = 10;
const churnSeconds = { full: 30, quick: 5 } as const;
/** Nothing forwards a packet while VPP's main thread is in one call. */
const callMaxMs = 20;

interface Bench {
  readonly api: ChildProcess;
  readonly daemon: ChildProcess;
  readonly plane: Plane;
  readonly rounds: number;
  readonly churnSeconds: number;
}

export async function benchPolicy(kind: Plane['kind'], quick: boolean): Promise<Figure[]> {
  const compiled = await benchCompile();
  const directory = mkdtempSync(join(tmpdir(), 'kvr-bench-'));
  const socket = join(directory, 'api-server.sock');
  const links = [...attachmentsHere().values()].map((one) => one.hostInterface);
  const plane = await startPlaneWithLinks(kind, links);
  const api = startChild('policy-api', [socket]);
  let daemon: ChildProcess | undefined;
  try {
    await answer(api, 'ready');
    daemon = startChild('policy-daemon', [socket, plane.apiSocket]);
    const applied = await answer(daemon, 'applied');
    console.log(
      `  first lists and all policies in VPP: ${duration(applied.ms)}, ${applied.rssMb.toFixed(0)} MB`,
    );
    const mode = quick ? 'quick' : 'full';
    const bench = { api, daemon, plane, rounds: rounds[mode], churnSeconds: churnSeconds[mode] };
    return [...compiled, ...(await benchChanges(bench))];
  } finally {
    if (daemon !== undefined) await end(daemon);
    await end(api);
    await plane.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Compiled {
  readonly ms: number;
  readonly indexedMs: number;
  readonly rssMb: number;
  readonly filters: number;
  readonly rules: number;
  readonly rulesOfList: number;
  readonly filtersOfList: number;
}

/** In a fresh process each time, as after a start of the daemon. */
async function benchCompile(): Promise<Figure[]> {
  const all: Compiled[] = [];
  for (let round = 0; round < compileRounds; round++) {
    const child = startChild('policy-compile', []);
    all.push((await answer(child, 'done')) as unknown as Compiled);
    await end(child);
  }
  const [ms, indexedMs] = [median(all.map((one) => one.ms)), median(all.map((o) => o.indexedMs))];
  const rssMb = median(all.map((one) => one.rssMb));
  const [one] = all;
  if (one === undefined) throw new Error('nothing was compiled');
  console.log(
    `  ${one.filters} filters of ${one.rules} rules; a pod has at most ${one.filtersOfList} of ${one.rulesOfList}`,
  );
  const pods = podsHere.length * namespaceCount;
  const what = `${policyCount} policies, ${podCount} pods, ${pods} of them here`;
  return [
    figure(
      `${what}: compiled from scratch`,
      { measured: `${duration(ms)}, of which the index ${duration(indexedMs)}`, limit: '2 s' },
      ms / 2_000,
      { atMost: 1 },
    ),
    figure(
      'resident memory of a process that does only this',
      { measured: `${rssMb.toFixed(0)} MB`, limit: '300 MB' },
      rssMb / 300,
      { atMost: 1 },
    ),
  ];
}

async function benchChanges(bench: Bench): Promise<Figure[]> {
  const figures = [
    against('labels of a pod elsewhere', await relabelPods(bench), 20),
    against('a pod created elsewhere', await createPods(bench, peerPod), 20),
    against('a pod created here', await createPods(bench, ownPod), 20),
    against('labels of a namespace of 200 pods', await relabelNamespaces(bench), 200),
  ];
  const calls = await largestCalls(bench.plane.apiSocket);
  for (const { name, timesMs } of calls) {
    const words = {
      measured: `${duration(Math.max(...timesMs))}, median ${duration(median(timesMs))}`,
      limit: `${callMaxMs} ms`,
    };
    figures.push(figure(name, words, Math.max(...timesMs) / callMaxMs, { atMost: 1 }));
  }
  figures.push(await benchGap(bench), ...(await benchChurn(bench)));
  return figures;
}

function against(name: string, samples: readonly InForce[], limitMs: number): Figure {
  const times = samples.map((one) => one.ms);
  const idle = samples.filter((one) => one.changes === 0).length;
  // Of changes that change nothing here the time says nothing.
  if (idle > 0) throw new Error(`${name}: ${idle} of ${samples.length} changed nothing`);
  const rows = samples.map((one) => one.changes);
  const p99 = percentile(times, 0.99);
  return figure(
    `${name} in force (${samples.length} times, ${median(rows)} rows, at most ${Math.max(...rows)})`,
    {
      measured: `p99 ${duration(p99)}, median ${duration(median(times))}`,
      limit: `p99 ${limitMs} ms`,
    },
    p99 / limitMs,
    { atMost: 1 },
  );
}

const changeMaxMs = 30_000;

/** Writes objects, and waits until the fact of this key is in force. */
async function change(
  { api, daemon }: Bench,
  kind: PolicyOrder['kind'],
  object: KubeObject,
): Promise<InForce> {
  const done = answer(daemon, 'inForce', changeMaxMs);
  api.send({ kind, objects: [object] });
  const told = (await done) as unknown as InForce;
  if (told.key !== keyOf(object)) throw new Error(`${told.key} instead of ${keyOf(object)}`);
  return told;
}

const kinds: Readonly<Record<string, string>> = {
  Pod: 'pods',
  Namespace: 'namespaces',
  NetworkPolicy: 'policies',
};

function keyOf({ kind, metadata: { namespace, name } }: KubeObject): string {
  return `${kinds[kind] ?? kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

/** `app` or `tier`, which other applications and other namespaces look at; and back again. */
async function relabelPods(bench: Bench): Promise<InForce[]> {
  const samples: InForce[] = [];
  for (let i = 0; i < bench.rounds; i++) {
    const { space, number, app } = peerAt(i >> 1);
    const other =
      i % 4 < 2 ? { app: 8, tier: 'backend' as const } : { app, tier: 'frontend' as const };
    const is = i % 2 === 0 ? other : { app, tier: 'backend' as const };
    samples.push(await change(bench, 'put', podObject(space, number, is)));
  }
  return samples;
}

/** A backend of an application that is the peer of one that has pods here; none of these is here. */
function peerAt(i: number) {
  const app = peerApps[i % peerApps.length] ?? 0;
  const number = app * 20 + 1 + 2 * (i % 5);
  return { space: (i * 7) % namespaceCount, number, app };
}

/** A Pod as it goes, as it comes without an address, and as its kubelet completes it. */
interface NewPod {
  readonly gone: KubeObject;
  readonly first: KubeObject;
  readonly second: KubeObject;
  /** Which of the two lets it take part. */
  readonly measured: 'first' | 'second';
}

/** A peer takes part when it has an address. */
function peerPod(i: number): NewPod {
  const { space, number } = peerAt(i);
  return { ...newPod(space, number), measured: 'second' };
}

/** A pod of this node has its interface already, closed until its Pod is known. */
function ownPod(i: number): NewPod {
  return { ...newPod((i * 7) % namespaceCount, podsHere[i % 4] ?? 0), measured: 'first' };
}

function newPod(space: number, number: number): Omit<NewPod, 'measured'> {
  const first = podObject(space, number);
  return { gone: first, first, second: runningPod(space, number) };
}

async function createPods(bench: Bench, podAt: (i: number) => NewPod): Promise<InForce[]> {
  const samples: InForce[] = [];
  for (let i = 0; i < bench.rounds; i++) {
    const { gone, first, second, measured } = podAt(i);
    await change(bench, 'delete', gone);
    const [one, other] = [await change(bench, 'put', first), await change(bench, 'put', second)];
    samples.push(measured === 'first' ? one : other);
  }
  return samples;
}

/** To the next team, and back. */
async function relabelNamespaces(bench: Bench, count = bench.rounds): Promise<InForce[]> {
  const samples: InForce[] = [];
  for (let i = 0; i < count; i++) {
    const space = ((i >> 1) * 7) % namespaceCount;
    samples.push(await change(bench, 'put', namespaceObject(space, 1 - (i % 2))));
  }
  return samples;
}

/** How long somebody else waits for VPP's main thread, while nothing happens and while it does. */
async function benchGap(bench: Bench): Promise<Figure> {
  const relabelled = await longestGap(bench.plane.apiSocket, async () => {
    await relabelNamespaces(bench, Math.round(bench.rounds / 5));
  });
  const idle = await longestGap(bench.plane.apiSocket, async () => {
    await new Promise((resolve) => setTimeout(resolve, relabelled.lastedMs));
  });
  return figure(
    "longest wait for VPP's main thread while namespaces are relabelled",
    {
      measured: `${duration(relabelled.maxMs)}, p99.9 ${duration(relabelled.p999Ms)}`,
      limit: `${callMaxMs} ms; ${duration(idle.maxMs)} with nothing to do`,
    },
    relabelled.maxMs / callMaxMs,
    { atMost: 1 },
  );
}

interface Memory {
  readonly rssMb: number;
  readonly liveMb: number;
}

async function memoryOf({ daemon }: Bench): Promise<Memory> {
  const said = answer(daemon, 'memory');
  daemon.send({ kind: 'memory' });
  return (await said) as unknown as Memory;
}

/** Policies say something else ten times a second; those that concern pods of this node. */
async function benchChurn(bench: Bench): Promise<Figure[]> {
  const count = churnPerSecond * bench.churnSeconds;
  const [before, heapBefore] = [await memoryOf(bench), await mainHeapMb(bench.plane)];
  const samples: InForce[] = [];
  const read = (message: InForce) => {
    if (message.kind === 'inForce') samples.push(message);
  };
  bench.daemon.on('message', read);
  const startMs = performance.now();
  for (let i = 0; i < count; i++) {
    const waitMs = startMs + (i * 1000) / churnPerSecond - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, waitMs)));
    bench.api.send({ kind: 'put', objects: [changedPolicy(i)] });
  }
  const lastMs = performance.now() + changeMaxMs;
  while (samples.length < count && performance.now() < lastMs)
    await new Promise((resolve) => setTimeout(resolve, 10));
  bench.daemon.off('message', read);
  if (samples.length < count) throw new Error(`${samples.length} of ${count} came into force`);
  const [after, heapAfter] = [await memoryOf(bench), await mainHeapMb(bench.plane)];
  const name = `one of ${count} changes of policies at ${churnPerSecond}/s`;
  const grown = (what: string, was: number, is: number): Figure => {
    const words = { measured: `${is.toFixed(0)} MB`, limit: `${was.toFixed(0)} MB before` };
    return figure(`${what} after the changes of policies`, words, is / was, { atMost: 1.1 });
  };
  const heap =
    heapBefore === undefined || heapAfter === undefined
      ? []
      : [grown("VPP's main heap", heapBefore, heapAfter)];
  return [
    against(name, samples, 20),
    grown('the daemon, resident,', before.rssMb, after.rssMb),
    grown("the daemon's live heap", before.liveMb, after.liveMb),
    ...heap,
  ];
}

/** Of applications here: who may call one, who of the team may, and what goes out, by turns. */
const churned = [2, 12, 16, 4, 14, 7] as const;

/**
 * Five with other ports, and half a second later as they were: in the end nothing is another, and
 * nothing more should be held.
 */
function changedPolicy(i: number): KubeObject {
  const isBack = i % 10 >= 5;
  const turn = Math.floor(i / 10) * 5 + (i % 5);
  const index = churned[turn % churned.length] ?? 2;
  return policyObject((turn * 7) % namespaceCount, index, isBack ? 0 : 1 + turn);
}
