import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Ip } from '../core/ip.ts';
import { bgpCounters, collectBgp } from './bgp-metrics.ts';
import { type HttpServer, json, serveHttp } from './http.ts';
import { collectPolicies } from './policy-metrics.ts';
import type { DaemonView } from './view.ts';

/**
 * Prometheus metrics. Where kube-proxy has a name for a thing, that name is used, so dashboards
 * and alerts keep working (spec KP-56 and its list of names); the others begin with `kvr_`.
 *
 * What can be looked up when somebody scrapes (rows, problems, sources, targets) is looked up
 * then, through the view; only what happens in between is counted. Labels take no values from
 * users' objects, so the number of series is bounded by the code; the exceptions, connections by
 * Service, packets by policy, BGP neighbours and BFD sessions, have bounds of their own.
 */
export type ScrapeView = Pick<
  DaemonView,
  | 'tables'
  | 'problems'
  | 'sources'
  | 'targets'
  | 'peers'
  | 'bfdSessions'
  | 'freshness'
  | 'version'
  | 'serviceFigures'
  | 'connections'
  | 'advertisements'
  | 'policyCounts'
  | 'policyFigures'
  | 'policySessions'
>;

export type Metrics = ReturnType<typeof createMetrics>;

/** kube-proxy's buckets of the SLI: 0.25, 0.5, then seconds, five seconds, half minutes. */
const programmingBuckets = [
  0.25,
  0.5,
  ...range(1, 59, 1),
  ...range(60, 115, 5),
  ...range(120, 300, 30),
];
/** 0.1 ms to 26 s, each four times the one before. */
const durationBuckets = Array.from({ length: 10 }, (_, i) => 0.0001 * 4 ** i);
const kubeProxyDurationBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}

/** `view` gives undefined until the daemon is wired; then scrapes see its rows. */
export function createMetrics(view: () => ScrapeView | undefined) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  collectView(registry, view);
  return {
    registry,
    ...kubeProxyMetrics(registry),
    ...ownMetrics(registry),
    ...bgpCounters(registry),
  };
}

/** Serves `/metrics`, `/configz` and `/proxyMode` until the signal aborts or the result is disposed. */
export function serveMetrics(options: {
  readonly metrics: Pick<Metrics, 'registry'>;
  readonly listen: { readonly address: Ip; readonly port: number };
  readonly signal: AbortSignal;
  /** The configuration in force; it holds no secrets. */
  readonly config: () => unknown;
}): Promise<HttpServer> {
  const { registry } = options.metrics;
  return serveHttp(
    { kind: 'tcp', ...options.listen },
    async (url) => {
      if (url.pathname === '/proxyMode') return { status: 200, type: 'text/plain', body: 'vpp' };
      if (url.pathname === '/configz') return json(200, { 'kube-vpp-router': options.config() });
      if (url.pathname !== '/metrics') return undefined;
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    },
    options.signal,
  );
}

function kubeProxyMetrics(registry: Registry) {
  const registers = [registry];
  const changes = (what: string) =>
    new Counter({
      name: `kubeproxy_sync_proxy_rules_${what}_changes_total`,
      help: `Changes of ${what}s seen.`,
      registers,
    });
  return {
    /** From the EndpointSlice's trigger time to the reply of the data plane: the SLI. */
    programming: new Histogram({
      name: 'kubeproxy_network_programming_duration_seconds',
      help: 'From the change of an endpoint to its being in force.',
      labelNames: ['ip_family'] as const,
      buckets: programmingBuckets,
      registers,
    }),
    syncDuration: new Histogram({
      name: 'kubeproxy_sync_proxy_rules_duration_seconds',
      help: 'Duration of a round that changed service translations.',
      labelNames: ['ip_family'] as const,
      buckets: kubeProxyDurationBuckets,
      registers,
    }),
    fullSyncDuration: new Histogram({
      name: 'kubeproxy_sync_full_proxy_rules_duration_seconds',
      help: 'Duration of a round that planned every Service.',
      labelNames: ['ip_family'] as const,
      buckets: kubeProxyDurationBuckets,
      registers,
    }),
    partialSyncDuration: new Histogram({
      name: 'kubeproxy_sync_partial_proxy_rules_duration_seconds',
      help: 'Duration of a round that planned the Services that changed.',
      labelNames: ['ip_family'] as const,
      buckets: kubeProxyDurationBuckets,
      registers,
    }),
    lastSync: new Gauge({
      name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
      help: 'When the last round ended, seconds since the epoch.',
      registers,
    }),
    endpointChanges: changes('endpoint'),
    serviceChanges: changes('service'),
    translationFailures: new Counter({
      name: 'kubeproxy_sync_proxy_rules_vpp_failures_total',
      help: 'Service translations that VPP refused.',
      registers,
    }),
    healthz: new Counter({
      name: 'kubeproxy_proxy_healthz_total',
      help: 'Answers of /healthz.',
      labelNames: ['code'] as const,
      registers,
    }),
    livez: new Counter({
      name: 'kubeproxy_proxy_livez_total',
      help: 'Answers of /livez.',
      labelNames: ['code'] as const,
      registers,
    }),
  };
}

function ownMetrics(registry: Registry) {
  const registers = [registry];
  return {
    roundDuration: new Histogram({
      name: 'kvr_round_duration_seconds',
      help: 'A round of the loop: snapshot, plan, diff, apply.',
      buckets: durationBuckets,
      registers,
    }),
    stageDuration: new Histogram({
      name: 'kvr_stage_duration_seconds',
      help: 'Writing the changes of one table in one round.',
      labelNames: ['stage', 'operation'] as const,
      buckets: durationBuckets,
      registers,
    }),
    rowChanges: new Counter({
      name: 'kvr_row_changes_total',
      help: 'Rows written (put) or removed (delete), by outcome (done, failed).',
      labelNames: ['table', 'operation', 'outcome'] as const,
      registers,
    }),
    connects: new Counter({
      name: 'kvr_target_connects_total',
      help: 'Connections made to a target; more than one means that it was lost.',
      labelNames: ['target'] as const,
      registers,
    }),
    cniDuration: new Histogram({
      name: 'kvr_cni_duration_seconds',
      help: 'CNI calls, by command and outcome (done, failed).',
      labelNames: ['command', 'outcome'] as const,
      buckets: durationBuckets,
      registers,
    }),
    uplinkRepairs: new Counter({
      name: 'kvr_uplink_repairs_total',
      help: "Times that something of the uplink's claim was missing or changed, and put back.",
      registers,
    }),
    learnedRoutes: new Gauge({
      name: 'kvr_bgp_learned_routes',
      help: 'Prefixes learned from BGP peers.',
      registers,
    }),
  };
}

/** Series of `kvr_service_connections`; the busiest frontends come first. */
const connectionSeriesMax = 5_000;

/** Makes a gauge that is filled when somebody scrapes. */
export type Looked = <Label extends string>(
  name: string,
  help: string,
  labelNames: readonly Label[],
  fill: (gauge: Gauge<Label>, now: ScrapeView) => void | Promise<void>,
) => void;

/** Gauges that are computed by looking, when somebody scrapes. */
function collectView(registry: Registry, view: () => ScrapeView | undefined): void {
  const looked: Looked = (name, help, labelNames, fill) =>
    void new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const now = view();
        this.reset();
        if (now !== undefined) await fill(this, now);
      },
    });
  collectServices(looked);
  looked('kvr_build_info', 'Always 1; the version is a label.', ['version'], (gauge, now) =>
    gauge.set({ version: now.version }, 1),
  );
  looked(
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    'When the oldest change arrived that is not in force; without one, when the last round ended.',
    [],
    (gauge, now) => {
      const { oldestPendingMs, lastUpdatedMs } = now.freshness();
      const queuedMs = oldestPendingMs ?? lastUpdatedMs;
      if (queuedMs !== undefined) gauge.set(queuedMs / 1000);
    },
  );
  looked('kvr_rows', 'Rows of a table by state.', ['table', 'state'], (gauge, now) => {
    for (const table of now.tables()) {
      gauge.set({ table: table.name, state: 'desired' }, table.desired);
      gauge.set({ table: table.name, state: 'applied' }, table.applied);
      gauge.set({ table: table.name, state: 'failed' }, table.failed);
    }
  });
  looked('kvr_problems', "Problems of users' objects, by kind.", ['kind'], (gauge, now) => {
    for (const problem of now.problems()) gauge.inc({ kind: problem.object.split('/')[0] ?? '' });
  });
  looked('kvr_source_synced', '1 when a source is complete.', ['source'], (gauge, now) => {
    for (const source of now.sources()) gauge.set({ source: source.name }, Number(source.synced));
  });
  looked(
    'kvr_source_last_event_timestamp_seconds',
    'When a source last said something, seconds since the epoch.',
    ['source'],
    (gauge, now) => {
      for (const source of now.sources()) {
        if (source.lastEventMs !== undefined) {
          gauge.set({ source: source.name }, source.lastEventMs / 1000);
        }
      }
    },
  );
  looked('kvr_target_connected', '1 while connected to a target.', ['target'], (gauge, now) => {
    for (const target of now.targets()) {
      gauge.set({ target: target.name }, Number(target.connected));
    }
  });
  collectBgp(looked);
  collectPolicies(registry, view, looked);
  looked(
    'kvr_bfd_sessions',
    '1 for the state that a BFD session has.',
    ['peer', 'state'],
    (gauge, now) => {
      for (const [peer, state] of now.bfdSessions()) gauge.set({ peer, state }, 1);
    },
  );
}

function collectServices(looked: Looked): void {
  looked(
    'kubeproxy_sync_proxy_rules_service_changes_pending',
    'Changes of Services that no round has taken yet.',
    [],
    (gauge, now) => gauge.set(now.serviceFigures().pendingServices),
  );
  looked(
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
    'Changes of EndpointSlices that no round has taken yet.',
    [],
    (gauge, now) => gauge.set(now.serviceFigures().pendingSlices),
  );
  looked(
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total',
    'Ports of Services whose policy Local finds no endpoint on this node.',
    ['ip_family', 'traffic_policy'],
    (gauge, now) => {
      for (const { family, internal, external } of now.serviceFigures().noLocalEndpoints) {
        const ip_family = `IPv${family}`;
        gauge.set({ ip_family, traffic_policy: 'internal' }, internal);
        gauge.set({ ip_family, traffic_policy: 'external' }, external);
      }
    },
  );
  looked(
    'kvr_service_connections',
    'New connections of a frontend since VPP made its translation.',
    ['service', 'frontend'],
    async (gauge, now) => {
      const all = await now.connections();
      gauge.reset(); // Another scrape may have filled it meanwhile.
      for (const { service, frontend, connections } of all.slice(0, connectionSeriesMax))
        gauge.set({ service, frontend }, connections);
    },
  );
}
