import type { GobgpClient } from '../bgp/client.ts';
import type { GobgpTarget } from '../bgp/target.ts';
import type { Check, ErrorView, PodView, RowView, ServiceView } from '../core/control-api.ts';
import { errorText } from '../core/error-text.ts';
import type { Problem } from '../core/problem.ts';
import { version } from '../core/version.ts';
import { podInterfaceName } from '../desired/names.ts';
import type { Plan } from '../desired/plan.ts';
import type { BgpPeerRow, TranslationRow } from '../desired/rows.ts';
import { type Stage, stages, type Table } from '../desired/table.ts';
import { formatFrontend, formatSocketAddress, tables } from '../desired/tables.ts';
import type { KubeSource } from '../kube/watch-kube.ts';
import type { Service } from '../model/facts.ts';
import { frontendsOfPort } from '../model/frontends.ts';
import type { Store } from '../model/store.ts';
import type { Target } from '../reconcile/driver.ts';
import { podPlanner } from '../routing/pods.ts';
import type { VppTarget } from '../vpp/target.ts';
import type { BfdWatch } from './bfd.ts';
import { explainRoute } from './explain-route.ts';
import { explainService, similarServices } from './explain-service.ts';
import type { Loop } from './loop.ts';
import { lintConfig } from './plan-diff.ts';
import type { PolicyCounts } from './policy-counts.ts';
import { lintManifests, lintPoliciesInForce } from './policy-lint.ts';
import { observePolicies } from './policy-observe.ts';
import { standOf } from './policy-views.ts';
import { advertisementViews, desiredRows, peerViews, routeViews } from './routing-views.ts';
import { errorsOf, statusOf } from './row-status.ts';
import { frontendConnections, serviceFigures } from './service-figures.ts';
import { traceRows } from './trace.ts';
import type { DaemonView } from './view.ts';
import type { VppStats } from './vpp-stats.ts';

/** The parts of the running daemon that can be looked at. */
export interface Observed {
  readonly nodeName: string;
  readonly store: Store;
  readonly loop: Loop;
  readonly vpp: VppTarget;
  readonly bgp: {
    /** Undefined when BGP is off. */
    readonly target: GobgpTarget | undefined;
    /** All that GoBGP knows about a prefix; undefined when BGP is off. */
    readonly lookup: GobgpClient['lookup'] | undefined;
  };
  readonly kube: KubeSource;
  /** Problems of the sources: configuration, objects of the cluster. */
  readonly problems: () => readonly Problem[];
  readonly stats: VppStats;
  readonly policyCounts: PolicyCounts;
  readonly bfd: Pick<BfdWatch, 'states'>;
}

/**
 * A round ends when every reply is in or its deadline has passed, which takes seconds; one that
 * lasts this long will never end.
 */
const stuckMs = 300_000;

/** Looks at the daemon; stores nothing. */
export function observe(parts: Observed): DaemonView {
  const { store, loop } = parts;
  return {
    nodeName: parts.nodeName,
    version,
    checks: () => checks(parts),
    freshness: () => ({
      lastUpdatedMs: loop.lastRoundMs,
      oldestPendingMs: loop.oldestPendingMs,
      nodeEligible: isEligible(parts),
    }),
    tables: () => stages.map((stage) => tableView(loop, stage)),
    rows: (stage) => rowViews(loop, stage),
    services() {
      const errors = errorsOf(loop, 'translations');
      return [...store.facts.services.values()].flatMap((s) => serviceViews(parts, s, errors));
    },
    pods: () => podViews(parts),
    problems: () => problemViews(parts),
    sources: () =>
      parts.kube.state().map((source) => ({
        name: source.kind,
        synced: source.synced,
        lastEventMs: source.lastEventMs === 0 ? undefined : source.lastEventMs,
      })),
    targets: () =>
      targetsOf(parts).map((target) => ({
        name: target.name,
        connected: target.session !== undefined,
      })),
    serviceFigures: () => serviceFigures(store),
    connections: () => frontendConnections({ ...parts, reconciler: loop.reconciler }),
    peers: (signal) => listPeers(parts, signal),
    routes: () => routeViews(store.facts, loop),
    advertisements: (withNeighbours) => advertisementViews(store.facts, loop, withNeighbours),
    bfdSessions: () => parts.bfd.states(),
    async explainService(key) {
      const explained = { ...parts, problems: () => problemViews(parts) };
      const found = await explainService(explained, key);
      return { found, similar: found === undefined ? similarServices(store, key) : [] };
    },
    explainRoute: (to, signal) =>
      explainRoute({ facts: store.facts, loop, lookup: parts.bgp.lookup }, to, signal),
    lint: (text) => lintConfig(text, { facts: store.facts, desired: loop.desired }),
    lintPolicies: (manifests) =>
      manifests === undefined
        ? lintPoliciesInForce(store.facts)
        : lintManifests(manifests.text, manifests.namespace, store.facts),
    ...observePolicies({
      ...parts,
      facts: store.facts,
      counts: parts.policyCounts,
      problems: () => problemViews(parts),
    }),
    trace: (request) => traceRows(store, loop, request),
  };
}

/** Whether every row of a plan is in force. */
export function isInForce(loop: Loop, plan: Plan): boolean {
  return stages.every((stage) => {
    const table: Table<unknown> = tables[stage];
    return (plan.rows[stage] ?? []).every((row) => {
      const applied = loop.reconciler.applied(stage, table.key(row));
      return applied !== undefined && table.equal(applied, row);
    });
  });
}

function targetsOf(parts: Observed): Target[] {
  const gobgp = parts.bgp.target;
  return gobgp === undefined ? [parts.vpp] : [parts.vpp, gobgp];
}

function checks(parts: Observed): Check[] {
  const failures = [...parts.loop.reconciler.failures()];
  const sources = parts.kube.state().map((source) => ({
    name: `source ${source.kind}`,
    gate: 'ready' as const,
    ok: source.synced,
    reason: source.error ?? (source.synced ? 'watching' : 'the first list is not complete yet'),
  }));
  const targets = targetsOf(parts).map((target) => ({
    name: `target ${target.name}`,
    gate: 'ready' as const,
    ok: target.session !== undefined,
    reason: target.session !== undefined ? 'connected' : disconnectedReason(parts, target),
  }));
  const first = failures[0];
  const rows = {
    name: 'rows',
    gate: 'ready' as const,
    ok: first === undefined,
    reason:
      first === undefined
        ? `all in force at revision ${parts.loop.appliedRevision}`
        : `${failures.length} failed, first ${first.stage} ${first.key}: ${errorText(first.error)}`,
  };
  const runningMs = parts.loop.roundRunningMs ?? 0;
  const loop = {
    name: 'loop',
    gate: 'live' as const,
    ok: runningMs < stuckMs,
    reason: runningMs < stuckMs ? 'running' : `a round runs for ${Math.round(runningMs)} ms`,
  };
  return [loop, ...targets, ...sources, rows];
}

function disconnectedReason(parts: Observed, target: Target): string {
  return target === parts.vpp ? errorText(parts.vpp.lastError) : 'not connected';
}

function isEligible(parts: Observed): boolean {
  const node = parts.store.facts.nodes.get(parts.nodeName);
  if (node === undefined) return true;
  return !node.terminating && !node.taints.includes('ToBeDeletedByClusterAutoscaler');
}

function tableView(loop: Loop, stage: Stage) {
  const failed = [...loop.reconciler.failures()].filter((failure) => failure.stage === stage);
  return {
    name: stage,
    desired: loop.desired.count(stage),
    applied: loop.reconciler.appliedCount(stage),
    failed: failed.length,
  };
}

function rowViews(loop: Loop, stage: Stage): RowView[] {
  const table: Table<unknown> = tables[stage];
  const errors = errorsOf(loop, stage);
  return [...loop.desired.keys(stage)].map((key) => ({
    key,
    line: table.format(loop.desired.row(stage, key)),
    ...statusOf(loop, stage, key, errors),
  }));
}

/** Every frontend that the Service should have. */
function serviceViews(
  parts: Observed,
  service: Service,
  errors: ReadonlyMap<string, string>,
): ServiceView[] {
  const { facts } = parts.store;
  return service.ports.flatMap((port) =>
    ([4, 6] as const)
      .flatMap((family) => frontendsOfPort(facts, service, port, family))
      .map(({ kind, vip, port: number }) => {
        const frontend = { vip, port: number, protocol: port.protocol };
        const key = tables.translations.key(frontend as TranslationRow);
        const row = parts.loop.desired.row('translations', key) as TranslationRow | undefined;
        const status = statusOf(parts.loop, 'translations', key, errors);
        return {
          service: port.name === '' ? service.key : `${service.key}:${port.name}`,
          kind,
          frontend: formatFrontend(frontend),
          backends: row?.backends.map((b) => formatSocketAddress(b.ip, b.port)) ?? [],
          ...status,
        };
      }),
  );
}

function podViews(parts: Observed): PodView[] {
  const { store, loop } = parts;
  return [...store.facts.attachments.values()].map((attachment) => {
    const name = podInterfaceName(attachment.hostInterface);
    const ready = isInForce(loop, podPlanner.plan(store.facts, attachment.key));
    const failure = [...loop.reconciler.failures()].find((f) => f.key.split(' ')[0] === name);
    return {
      pod: attachment.pod,
      ips: attachment.ips,
      interface: attachment.hostInterface,
      kind: attachment.kind,
      containerId: attachment.containerId,
      policies: standOf(loop, name),
      status: failure !== undefined ? 'failed' : ready ? 'done' : 'pending',
      error: failure === undefined ? '' : errorText(failure.error),
    };
  });
}

/** What a row of each table is, for people. */
const rowWords: { readonly [S in Stage]: string } = {
  interfaces: 'interface',
  tunnels: 'tunnel to a node',
  addresses: 'address of an interface',
  neighbours: 'neighbour',
  punts: "way to the host's network stack",
  nat: 'addresses for masquerading',
  natExclusions: 'prefix that is not masqueraded',
  filters: 'filter',
  filterLists: 'filters of an interface',
  sources: 'addresses that an interface may receive from',
  natInterfaces: 'translation on an interface',
  tunnelStates: 'state of a tunnel',
  routes: 'route',
  sessionPauses: 'pause of the session scan',
  translations: 'frontend of a Service',
  linkStates: 'state of an interface',
  bfdSessions: 'BFD session',
  bgpServer: 'BGP server',
  bgpPolicies: 'BGP policy',
  bgpPeers: 'BGP peer',
  bgpPaths: 'BGP path',
};

function problemViews(parts: Observed): ErrorView[] {
  const failures = [...parts.loop.reconciler.failures()].map((failure) => ({
    object: rowWords[failure.stage],
    field: failure.key,
    reason: `${errorText(failure.error)} (tried ${failure.attempts} times)`,
  }));
  return [...parts.problems(), ...parts.loop.desired.problems(), ...failures];
}

async function listPeers({ bgp, loop }: Observed, signal: AbortSignal) {
  const statuses = (await bgp.target?.listPeers(signal)) ?? [];
  return peerViews(desiredRows<BgpPeerRow>(loop, 'bgpPeers'), errorsOf(loop, 'bgpPeers'), statuses);
}
