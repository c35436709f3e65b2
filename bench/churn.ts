import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStats } from '../native/vpp-api/stats.ts';
import { answer, end, startChild } from './children.ts';
import { duration, type Figure, figure, percentile } from './figures.ts';
import { type Plane, startPlaneWithLinks } from './plane.ts';

/**
 * Churn: 1,000 endpoint changes a second for a minute, over 1,000 Services with 10 endpoints each;
 * every second Service has policy Local, source ranges, affinity or endpoints that drain.
 *
 * A change is timed from outside: the API server notes when it sends it, the daemon's process notes
 * when the translation with that very endpoint is in force, and both use the clock of the machine.
 * The daemon's own metric, which knows nothing of either, must agree.
 */
const services = 1_000;
const perSecond = 1_000;
const targetMs = 50;
/** When memory is looked at first: what is compiled and cached once is there by then. */
const settledSeconds = 10;
/** `--quick` shows that the bench works; its figures of memory mean nothing. */
const durations = { full: 60, quick: 10 } as const;

export interface ChurnAnswer {
  readonly kind: string;
  /** `[change, ms since the epoch]`: sent by the API server, or in force in VPP. */
  readonly times: readonly (readonly [number, number])[];
  /** Resident memory once a second, MB. */
  readonly rssMb: readonly number[];
  /** Alive after a full collection: after 5 s of churn, and after all of it, MB. */
  readonly liveMb: readonly number[];
  /** How late the event loop of the child was, ms. */
  readonly loopMs: { readonly p99: number; readonly max: number };
  /** Of kubeproxy_network_programming_duration_seconds. */
  readonly metric: { readonly sum: number; readonly count: number };
}

export async function benchChurn(kind: Plane['kind'], quick: boolean): Promise<Figure[]> {
  const seconds = quick ? durations.quick : durations.full;
  const directory = mkdtempSync(join(tmpdir(), 'kvr-bench-'));
  const socket = join(directory, 'api-server.sock');
  const api = startChild('api', [socket, String(services), 'mixed']);
  const plane = await startPlaneWithLinks(kind);
  let child: ChildProcess | undefined;
  try {
    await answer(api, 'ready');
    child = startChild('daemon', [socket, plane.apiSocket, String(services), 'mixed']);
    await answer(child, 'applied');
    const limitMs = (seconds + 60) * 1000;
    const [inForce, sent] = [answer(child, 'churned', limitMs), answer(api, 'sent', limitMs)];
    const order = { changes: perSecond * seconds, perSecond };
    child.send({ kind: 'churn', ...order });
    api.send({ kind: 'churn', ...order });
    const sentAll = await Promise.all([sent, inForce, watchHeap(plane, seconds)]);
    return figuresOf(...(sentAll as unknown as [ChurnAnswer, ChurnAnswer, number[]]));
  } finally {
    if (child !== undefined) await end(child);
    await end(api);
    await plane.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * What VPP's main heap holds, MB, once a second. From the stats segment, where VPP puts it every
 * 10 s: the command `show memory main-heap` stops VPP for 0.2 s, and with it what is measured.
 */
async function watchHeap(plane: Plane, seconds: number): Promise<number[]> {
  if (plane.statsSocket === undefined) return [];
  await using stats = await openStats({ path: plane.statsSocket });
  const found: number[] = [];
  while (found.length < seconds) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const stat = stats.readOne('/mem/main heap/used');
    if (stat?.kind !== 'simple') throw new Error("VPP's heap is not in its stats segment");
    found.push((stat.values[0]?.[0] ?? 0) / 1e6);
  }
  return found;
}

function figuresOf(sent: ChurnAnswer, inForce: ChurnAnswer, heapMb: number[]): Figure[] {
  const { name, latencies } = latenciesOf(sent, inForce);
  const p99 = percentile(latencies, 0.99);
  const mean = latencies.reduce((sum, one) => sum + one, 0) / latencies.length;
  const metricMs = (inForce.metric.sum / inForce.metric.count) * 1000;
  const [before = 0, after = 0] = inForce.liveMb;
  const late = (one: ChurnAnswer) => `${duration(one.loopMs.p99)} (at most ${one.loopMs.max} ms)`;
  const figures = [
    figure(
      name,
      {
        measured: `p99 ${duration(p99)}, median ${duration(percentile(latencies, 0.5))}`,
        limit: `p99 ${targetMs} ms`,
        heldBackBy: `event loops were late by p99 ${late(inForce)} in the daemon, ${late(sent)} in the API server`,
      },
      p99 / targetMs,
      { atMost: 1 },
    ),
    figure(
      'the same by kubeproxy_network_programming_duration_seconds',
      { measured: `mean ${duration(metricMs)}`, limit: `mean ${duration(mean)} from outside` },
      Math.abs(metricMs / mean - 1),
      { atMost: 0.1 },
    ),
    growth('resident memory of the daemon', inForce.rssMb),
    figure(
      "the daemon's live heap after the churn",
      { measured: `${after.toFixed(1)} MB`, limit: `${before.toFixed(1)} MB after 5 s` },
      after / before,
      { atMost: 1.1 },
    ),
  ];
  if (heapMb.length > 0) figures.push(growth("VPP's main heap", heapMb));
  return figures;
}

function latenciesOf(sent: ChurnAnswer, inForce: ChurnAnswer) {
  const sentAt = new Map(sent.times);
  const latencies = inForce.times.flatMap(([change, ms]) => {
    const from = sentAt.get(change);
    return from === undefined ? [] : [ms - from];
  });
  const first = sent.times[0]?.[1] ?? 0;
  const rate = (sent.times.length / ((sent.times.at(-1)?.[1] ?? 0) - first)) * 1000;
  const what = `${sent.times.length.toLocaleString('en')} changes at ${rate.toFixed(0)}/s`;
  const name = `churn: ${what}, ${latencies.length.toLocaleString('en')} seen in force`;
  return { name, latencies };
}

/** MB a minute, by least squares over the samples after everything is settled. */
function slope(rssMb: readonly number[]): number {
  const samples = rssMb.slice(Math.min(settledSeconds, rssMb.length / 2));
  const middle = (samples.length - 1) / 2;
  const spread = samples.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return (samples.reduce((sum, one, i) => sum + (i - middle) * one, 0) / spread) * 60;
}

/** The medians of the seconds from the tenth on, and of the last five. */
function growth(name: string, mb: readonly number[]): Figure {
  const early = percentile(mb.slice(Math.min(settledSeconds, mb.length / 2)).slice(0, 5), 0.5);
  const late = percentile(mb.slice(-5), 0.5);
  return figure(
    `${name} at the end of the churn`,
    {
      measured: `${late.toFixed(0)} MB, ${slope(mb).toFixed(1)} MB a minute`,
      limit: `${early.toFixed(0)} MB after ${settledSeconds} s`,
    },
    late / early,
    { atMost: 1.1 },
  );
}
