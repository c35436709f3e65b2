import type { Check, Gate } from '../core/control-api.ts';
import type { Ip } from '../core/ip.ts';
import { type Answer, type HttpServer, json, serveHttp } from './http.ts';
import type { Metrics } from './metrics.ts';
import type { DaemonView, Freshness } from './view.ts';

/**
 * Health over HTTP, each answer with its reasons.
 *
 * - `/livez`: 503 only when a restart of the daemon would help. A missing VPP or API server is
 *   none of that: restarting would not bring it back.
 * - `/readyz`: 503 while anything is missing that pods on this node need.
 * - `/healthz`: what load balancers ask: kube-proxy's answer (KP-52). 503 when a change waits
 *   for longer than `staleAfterMs`, or the node is on its way out (KEP-3836).
 */
type HealthView = Pick<DaemonView, 'checks' | 'freshness'>;

/** kube-proxy: twice its default sync period of 30 s (KP-52). */
export const staleAfterMs = 60_000;

/** Serves until the signal aborts or the result is disposed. */
export function serveHealth(options: {
  readonly view: HealthView;
  readonly listen: { readonly address: Ip; readonly port: number };
  readonly metrics: Pick<Metrics, 'healthz' | 'livez'>;
  readonly signal: AbortSignal;
  readonly now?: () => number;
}): Promise<HttpServer> {
  const now = options.now ?? Date.now;
  return serveHttp(
    { kind: 'tcp', ...options.listen },
    async (url) => {
      const answer = healthAnswer(url.pathname, options.view, now());
      const code = String(answer?.status);
      if (url.pathname === '/healthz') options.metrics.healthz.inc({ code });
      if (url.pathname === '/livez') options.metrics.livez.inc({ code });
      return answer;
    },
    options.signal,
  );
}

/** The answer to one path; undefined for an unknown one. */
export function healthAnswer(path: string, view: HealthView, nowMs: number): Answer | undefined {
  switch (path) {
    case '/livez':
      return checksAnswer(gated(view.checks(), ['live']), view.freshness(), nowMs);
    case '/readyz':
      return checksAnswer(gated(view.checks(), ['live', 'ready']), view.freshness(), nowMs);
    case '/healthz':
      return serviceAnswer(view.freshness(), nowMs);
    default:
      return undefined;
  }
}

/** Changes are applied in time: true before the first change, too (KP-54). */
export function isFresh(freshness: Freshness, nowMs: number): boolean {
  const since = freshness.oldestPendingMs;
  return since === undefined || nowMs - since <= staleAfterMs;
}

function gated(checks: readonly Check[], gates: readonly Gate[]): readonly Check[] {
  return checks.filter((check) => gates.includes(check.gate));
}

function checksAnswer(checks: readonly Check[], freshness: Freshness, nowMs: number): Answer {
  const ok = checks.every((check) => check.ok);
  return json(ok ? 200 : 503, { ok, ...times(freshness, nowMs), checks });
}

function serviceAnswer(freshness: Freshness, nowMs: number): Answer {
  const ok = isFresh(freshness, nowMs) && freshness.nodeEligible;
  return json(ok ? 200 : 503, {
    ...times(freshness, nowMs),
    nodeEligible: freshness.nodeEligible,
  });
}

/** `lastUpdated` is now while nothing waits (KP-54). */
function times(freshness: Freshness, nowMs: number) {
  const waits = freshness.oldestPendingMs !== undefined;
  const updatedMs = waits ? (freshness.lastUpdatedMs ?? nowMs) : nowMs;
  return {
    lastUpdated: new Date(updatedMs).toISOString(),
    currentTime: new Date(nowMs).toISOString(),
  };
}
