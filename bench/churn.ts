import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
const seconds = Number(process.env.BENCH_CHURN_SECONDS ?? 60);
const targetMs = 50;

export interface ChurnAnswer {
  readonly kind: string;
  /** `[change, ms since the epoch]`: sent by the API server, or in force in VPP. */
  readonly times: readonly (readonly [number, number])[];
  /** Resident memory once a second, MB. */
  readonly rssMb: readonly number[];
  /** Of kubeproxy_network_programming_duration_seconds. */
  readonly metric: { readonly sum: number; readonly count: number };
}

export async function benchChurn(kind: Plane['kind']): Promise<Figure[]> {
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
    return figuresOf(
      (await sent) as unknown as ChurnAnswer,
      (await inForce) as unknown as ChurnAnswer,
    );
  } finally {
    if (child !== undefined) await end(child);
    await end(api);
    await plane.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function figuresOf(sent: ChurnAnswer, inForce: ChurnAnswer): Figure[] {
  const sentAt = new Map(sent.times);
  const latencies = inForce.times.flatMap(([change, ms]) => {
    const from = sentAt.get(change);
    return from === undefined ? [] : [ms - from];
  });
  const first = sent.times[0]?.[1] ?? 0;
  const rate = (sent.times.length / ((sent.times.at(-1)?.[1] ?? 0) - first)) * 1000;
  const p99 = percentile(latencies, 0.99);
  const mean = latencies.reduce((sum, one) => sum + one, 0) / latencies.length;
  const metricMs = (inForce.metric.sum / inForce.metric.count) * 1000;
  const early = percentile(inForce.rssMb.slice(5, 15), 0.5);
  const late = percentile(inForce.rssMb.slice(-10), 0.5);
  const what = `${sent.times.length.toLocaleString('en')} changes at ${rate.toFixed(0)}/s`;
  return [
    figure(
      `churn: ${what}, ${latencies.length.toLocaleString('en')} seen in force`,
      {
        measured: `p99 ${duration(p99)}, median ${duration(percentile(latencies, 0.5))}`,
        limit: `p99 ${targetMs} ms`,
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
    figure(
      'resident memory at the end of the churn',
      { measured: `${late.toFixed(0)} MB`, limit: `${early.toFixed(0)} MB after 10 s` },
      late / early,
      { atMost: 1.1 },
    ),
  ];
}
