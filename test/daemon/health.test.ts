import assert from 'node:assert/strict';
import type { Check } from '../../src/core/control-api.ts';
import { ip } from '../../src/core/ip.ts';
import { healthAnswer, serveHealth, staleAfterMs } from '../../src/daemon/health.ts';
import { createMetrics } from '../../src/daemon/metrics.ts';
import type { Freshness } from '../../src/daemon/view.ts';

const nowMs = 1_700_000_000_000;
const good: Freshness = {
  lastUpdatedMs: nowMs - 5_000,
  oldestPendingMs: undefined,
  nodeEligible: true,
};
const live = (ok: boolean): Check => ({ name: 'loop', gate: 'live', ok, reason: 'r' });
const ready = (ok: boolean): Check => ({ name: 'vpp', gate: 'ready', ok, reason: 'not connected' });

describe('healthAnswer', () => {
  const cases = [
    { name: 'live and ready', path: '/livez', checks: [live(true), ready(true)], status: 200 },
    { name: 'not live', path: '/livez', checks: [live(false), ready(true)], status: 503 },
    {
      name: 'a lost VPP does not kill the daemon',
      path: '/livez',
      checks: [ready(false)],
      status: 200,
    },
    { name: 'a lost VPP makes it not ready', path: '/readyz', checks: [ready(false)], status: 503 },
    { name: 'not live is not ready either', path: '/readyz', checks: [live(false)], status: 503 },
    {
      name: 'KP-53 a node that leaves stays alive',
      path: '/livez',
      checks: [],
      fresh: { nodeEligible: false },
      status: 200,
    },
    {
      name: 'KP-52 healthy while nothing waits',
      path: '/healthz',
      checks: [ready(false)],
      status: 200,
    },
    {
      name: 'KP-52 unhealthy when the node leaves',
      path: '/healthz',
      checks: [],
      fresh: { nodeEligible: false },
      status: 503,
    },
    {
      name: 'KP-52 healthy while a change waits not too long',
      path: '/healthz',
      checks: [],
      fresh: { oldestPendingMs: nowMs - staleAfterMs },
      status: 200,
    },
    {
      name: 'KP-52 unhealthy when a change waits too long',
      path: '/healthz',
      checks: [],
      fresh: { oldestPendingMs: nowMs - staleAfterMs - 1 },
      status: 503,
    },
  ];
  for (const c of cases) {
    it(`${c.path} answers ${c.status}: ${c.name}`, () => {
      const view = { checks: () => c.checks, freshness: () => ({ ...good, ...c.fresh }) };
      assert.equal(healthAnswer(c.path, view, nowMs)?.status, c.status);
    });
  }

  it('says why in the body', () => {
    const view = { checks: () => [ready(false)], freshness: () => good };
    const body = JSON.parse(healthAnswer('/readyz', view, nowMs)?.body ?? '');
    assert.deepEqual(body.checks, [ready(false)]);
    assert.equal(body.ok, false);
  });

  it("KP-52 KP-54 has the fields of kube-proxy's body", () => {
    const body = (freshness: Freshness) =>
      JSON.parse(
        healthAnswer('/healthz', { checks: () => [], freshness: () => freshness }, nowMs)?.body ??
          '',
      );
    const now = new Date(nowMs).toISOString();
    assert.deepEqual(body(good), { lastUpdated: now, currentTime: now, nodeEligible: true });
    assert.equal(
      body({ ...good, oldestPendingMs: nowMs - 1 }).lastUpdated,
      new Date(nowMs - 5_000).toISOString(),
    );
  });

  it('knows no other path', () => {
    assert.equal(healthAnswer('/', { checks: () => [], freshness: () => good }, nowMs), undefined);
  });
});

describe('serveHealth', () => {
  it('answers over HTTP and counts by code', async () => {
    const abort = new AbortController();
    const metrics = createMetrics(() => undefined);
    await using server = await serveHealth({
      view: { checks: () => [], freshness: () => ({ ...good, nodeEligible: false }) },
      listen: { address: ip('127.0.0.1'), port: 0 },
      metrics,
      signal: abort.signal,
      now: () => nowMs,
    });
    const codes = await Promise.all(
      ['livez', 'readyz', 'healthz', 'other'].map(
        async (path) => (await fetch(`http://127.0.0.1:${server.port}/${path}`)).status,
      ),
    );
    assert.deepEqual(codes, [200, 200, 503, 404]);
    const text = await metrics.registry.metrics();
    assert.match(text, /kubeproxy_proxy_healthz_total\{code="503"\} 1/);
    assert.match(text, /kubeproxy_proxy_livez_total\{code="200"\} 1/);
  });
});
