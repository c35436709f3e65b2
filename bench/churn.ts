import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectVpp } from '../native/vpp-api/client.ts';
import { answer, end, startChild } from './children.ts';
import { duration, type Figure, figure, percentile } from './figures.ts';
import { type Plane, startPlane } from './plane.ts';

/**
 * Churn: 1,000 endpoint changes a second for a minute, over 1,000 Services with 10 endpoints each.
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
  /** How late the event loop of the child was, ms. */
  readonly loopMs: { readonly p99: number; readonly max: number };
  /** Of kubeproxy_network_programming_duration_seconds. */
  readonly metric: { readonly sum: number; readonly count: number };
}

export async function benchChurn(kind: Plane['kind'], quick: boolean): Promise<Figure[]> {
  const seconds = quick ? durations.quick : durations.full;
  const directory = mkdtempSync(join(tmpdir(), 'kvr-bench-'));
  const socket = join(directory, 'api-server.sock');
  const api = startChild('api', [socket, String(services)]);
  const plane = await startPlane(kind);
  let child: ChildProcess | undefined;
  try {
    await answer(api, 'ready');
    child = startChild('daemon', [socket, plane.apiSocket, String(services)]);
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

/** What VPP's main heap holds, MB: once everything is settled, and at the end. */
async function watchHeap(plane: Plane, seconds: number): Promise<number[]> {
  if (plane.kind !== 'vpp') return [];
  await using connection = await connectVpp({ path: plane.apiSocket, name: 'bench-heap' });
  const found: number[] = [];
  let passed = 0;
  for (const at of [Math.min(settledSeconds, seconds / 2), seconds - 1]) {
    await new Promise((resolve) => setTimeout(resolve, (at - passed) * 1000));
    passed = at;
    const { reply } = await connection.request('cli_inband', { cmd: 'show memory main-heap' });
    const [, size = '', unit = ''] = /used: ([\d.]+)([KMG])/.exec(reply) ?? [];
    found.push((Number(size) * ({ K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit] ?? 1)) / 1e6);
  }
  return found;
}

function figuresOf(sent: ChurnAnswer, inForce: ChurnAnswer, heapMb: number[]): Figure[] {
  const { name, latencies } = latenciesOf(sent, inForce);
  const p99 = percentile(latencies, 0.99);
  const mean = latencies.reduce((sum, one) => sum + one, 0) / latencies.length;
  const metricMs = (inForce.metric.sum / inForce.metric.count) * 1000;
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
    growth('resident memory of the daemon', settledRss(inForce.rssMb), slope(inForce.rssMb)),
  ];
  if (heapMb.length > 1) figures.push(growth("VPP's main heap", heapMb));
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

/** The median of the seconds around the tenth, and of the last ten. */
function settledRss(rssMb: readonly number[]): number[] {
  const around = rssMb.slice(settledSeconds - 5, settledSeconds + 5);
  return [percentile(around, 0.5), percentile(rssMb.slice(-10), 0.5)];
}

/** MB a minute, by least squares over the samples after everything is settled. */
function slope(rssMb: readonly number[]): number {
  const samples = rssMb.slice(Math.min(settledSeconds, rssMb.length / 2));
  const middle = (samples.length - 1) / 2;
  const spread = samples.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return (samples.reduce((sum, one, i) => sum + (i - middle) * one, 0) / spread) * 60;
}

function growth(name: string, [early = 0, late = 0]: number[], perMinute?: number): Figure {
  const trend = perMinute === undefined ? '' : `, ${perMinute.toFixed(1)} MB a minute`;
  return figure(
    `${name} at the end of the churn`,
    { measured: `${late.toFixed(0)} MB${trend}`, limit: `${early.toFixed(0)} MB after 10 s` },
    late / early,
    { atMost: 1.1 },
  );
}
