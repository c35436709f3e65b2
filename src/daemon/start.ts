import { createGobgpClient } from '../bgp/client.ts';
import { routesMax } from '../bgp/route-table.ts';
import { createGobgpTarget } from '../bgp/target.ts';
import { watchGobgp } from '../bgp/watch.ts';
import { createCniServer } from '../cni/server.ts';
import { watchPasswords } from '../config/passwords.ts';
import { watchConfig } from '../config/watch.ts';
import { realClock as clock } from '../core/clock.ts';
import { familyOf, type Prefix, prefixAddress, prefixContains, prefixLength } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { keepUplink } from '../host/keep-uplink.ts';
import { createPodWiring, podGateways } from '../host/pod-link.ts';
import { createProbe } from '../host/probe.ts';
import type { ClaimOptions } from '../host/uplink.ts';
import type { KubeAccess } from '../kube/access.ts';
import { createEventWriter } from '../kube/event-writer.ts';
import { createKubeClient } from '../kube/request.ts';
import type { Config } from '../model/config.ts';
import type { Facts, Store } from '../model/store.ts';
import { sessionTargets, switchScan } from '../vpp/drivers/sessions.ts';
import { createVppTarget, type VppTarget } from '../vpp/target.ts';
import { watchAffinity } from './affinity.ts';
import { watchBfd } from './bfd.ts';
import { serveControl } from './control.ts';
import { createConvergence } from './convergence.ts';
import { watchDeparture } from './departure.ts';
import { reportProblems, uidOfObject } from './events.ts';
import { startDenied } from './follow-denied.ts';
import { serveHealth } from './health.ts';
import { watchHoldDown } from './hold-down.ts';
import type { createLog } from './log.ts';
import type { Loop, Round } from './loop.ts';
import { type Metrics, serveMetrics } from './metrics.ts';
import { awaitPod } from './pod-ready.ts';
import { createPolicyAudit, followPolicies } from './policy-audit.ts';
import { createPolicyCounts } from './policy-counts.ts';
import { createProbing } from './probing.ts';
import { drainingEndpoints, watchSessionPause } from './session-pause.ts';
import type { DaemonView } from './view.ts';
import { createVppStats, type VppStats } from './vpp-stats.ts';

/** The parts of the daemon, each started by one call and ended by its disposal. */
export type Log = ReturnType<typeof createLog>;

/** Live reload of the configuration file. */
export function followConfig(
  path: string,
  running: Config,
  parts: {
    readonly store: Store;
    readonly problems: Map<string, readonly Problem[]>;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
) {
  const { store, problems, log, signal } = parts;
  return watchConfig({
    path,
    running,
    store,
    signal,
    onChange: (next) => {
      log.level = next.log.level;
    },
    onProblems: (found) => {
      problems.set('config', found);
      for (const problem of found) log.warn({ problem }, 'configuration not taken');
    },
  });
}

/** Changes of one repair that a line of the log names. */
const changesMax = 20;

/** The uplink, claimed and kept so; `onRound` looks again when other prefixes are behind VPP. */
export async function holdUplink(
  config: Config,
  store: Store,
  parts: { readonly metrics: Metrics; readonly log: Log; readonly signal: AbortSignal },
) {
  const { metrics, log, signal } = parts;
  const kept = await keepUplink({
    claim: () => uplinkClaim(config, store.facts),
    onClaimed(uplink) {
      store.replace('uplink', new Map([['uplink', uplink]]));
      log.info({ interface: uplink.interface, addresses: uplink.addresses }, 'uplink claimed');
    },
    onRepaired(changes, kind) {
      const told = { changes: changes.slice(0, changesMax), count: changes.length };
      if (kind === 'asked') return log.debug(told, 'uplink follows what is known');
      metrics.uplinkRepairs.inc();
      if (kind === 'again') return log.debug(told, 'uplink repaired');
      log.info(told, 'uplink repaired');
      if (kind === 'undone')
        log.warn(told, 'something keeps undoing the uplink: repaired less often until it ends');
    },
    onError: (error) => log.warn({ err: error }, 'uplink not as claimed'),
    clock,
    signal,
  });
  return {
    onRound({ snapshot: { changed } }: Round) {
      if (changed.config ?? changed.nodes ?? changed.learnedRoutes) kept.look();
    },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

/** Control socket, health and metrics. */
export async function startServers(
  config: Config,
  view: DaemonView,
  {
    metrics,
    signal,
    currentConfig,
  }: {
    readonly metrics: Metrics;
    readonly signal: AbortSignal;
    readonly currentConfig: () => unknown;
  },
): Promise<AsyncDisposable> {
  const servers = await Promise.all([
    serveControl({ view, socketPath: config.control.socket, signal }),
    serveHealth({ view, listen: config.health, metrics, signal }),
    serveMetrics({ metrics, listen: config.metrics, signal, config: currentConfig }),
  ]);
  return {
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}

/** Problems as Kubernetes Events. */
export function startEvents(
  access: KubeAccess,
  nodeName: string,
  parts: {
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly allProblems: () => readonly Problem[];
    readonly store: Store;
  },
) {
  const { log, signal } = parts;
  const client = createKubeClient(access, clock);
  const uidOf = (object: string) => uidOfObject(parts.store.facts, object);
  const events = createEventWriter({ client, clock, signal, log, nodeName, uidOf });
  const reporting = reportProblems(events, parts.allProblems, { clock, signal });
  return {
    announce: events.announce,
    async [Symbol.asyncDispose]() {
      await reporting;
      await events[Symbol.asyncDispose]();
    },
  };
}

/** Neighbours of the uplink, kept known to VPP. */
export function startProbing(store: Store, log: Log) {
  const probe = createProbe((error) => log.debug({ err: error }, 'probe not sent'));
  const probing = createProbing({ facts: store.facts, clock, send: probe.send });
  return {
    onRound: probing.onRound,
    async [Symbol.asyncDispose]() {
      probing[Symbol.dispose]();
      await probe[Symbol.asyncDispose]();
    },
  };
}

/** VPP as target, and what its BFD says about neighbours. */
export function startVpp(
  config: Config,
  store: Store,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
) {
  const say = (message: string, fields: object) => log.info(fields, message);
  const bfd = watchBfd({ store, log: say });
  const connect = config.vpp.apiSocket;
  const vpp = createVppTarget({ connect, clock, signal, log: say, onBfd: bfd.onNews });
  return { vpp, bfd, [Symbol.asyncDispose]: () => vpp[Symbol.asyncDispose]() };
}

/** What becomes of VPP's sessions: who is remembered, for how long they are kept, who is denied one. */
function startSessions(parts: {
  readonly config: Config;
  readonly store: Store;
  readonly vpp: VppTarget;
  readonly stats: VppStats;
  readonly loop: Pick<Loop, 'reconciler'>;
  readonly log: Log;
  readonly signal: AbortSignal;
}): AsyncDisposable {
  const { store, vpp, stats, loop, log, signal } = parts;
  const connected = () => {
    if (vpp.connection === undefined) throw new Error('VPP is not connected');
    return vpp.connection;
  };
  const affinity = watchAffinity({
    store,
    stats,
    clock,
    signal,
    translationIds: () => vpp.handles?.translations ?? new Map(),
    openFrontends: () => sessionTargets(connected()),
  });
  const pause = watchSessionPause({
    clock,
    signal,
    stats,
    paused: () => (loop.reconciler.applied('sessionPauses', 'scan') ? vpp.session : undefined),
    drainSeconds: () => store.facts.config.get('config')?.services.drainSeconds ?? 0,
    draining: () => drainingEndpoints(store.facts),
    scan: (on) => switchScan(connected(), on),
    log: (message, fields) => log.info(fields, message),
  });
  const denied = startDenied(parts);
  return {
    async [Symbol.asyncDispose]() {
      await denied[Symbol.asyncDispose]();
      affinity[Symbol.dispose]();
      pause[Symbol.dispose]();
    },
  };
}

/** What VPP counts, and what follows from it: sessions, packets by policy, what audits tell. */
export function startCounting(
  config: Config,
  parts: {
    readonly store: Store;
    readonly vpp: VppTarget;
    readonly loop: Pick<Loop, 'desired' | 'reconciler'>;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
) {
  const { vpp, loop, log } = parts;
  const stop = new AbortController();
  const signal = AbortSignal.any([parts.signal, stop.signal]);
  const stats = createVppStats({ path: config.vpp.statsSocket, session: () => vpp.session });
  const sessions = startSessions({ ...parts, config, stats });
  const handles = () => vpp.handles?.filters;
  const policyCounts = createPolicyCounts({ desired: loop.desired, stats, handles });
  const say = (message: string, fields: object) => log.info(fields, message);
  const audit = createPolicyAudit({ counts: policyCounts, log: say, monotonic: clock.monotonic });
  const following = followPolicies({ counts: policyCounts, audit, clock, signal });
  return {
    stats,
    policyCounts,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      await sessions[Symbol.asyncDispose]();
      await stats[Symbol.asyncDispose]();
    },
  };
}

/** GoBGP as target and source; without BGP nothing is ever learned, which is complete at once. */
export async function startBgp(
  config: Config,
  parts: {
    readonly store: Store;
    readonly problems: Map<string, readonly Problem[]>;
    readonly metrics: Metrics;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
) {
  const { store, problems, metrics, log, signal } = parts;
  if (!config.bgp.enabled) {
    store.markSynced('learnedRoutes');
    const onRound = (_round: Round): void => undefined;
    const none = { target: undefined, lookup: undefined, onRound };
    return { ...none, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const passwords = await watchPasswords({
    directory: () => (store.facts.config.get('config') ?? config).bgp.passwordsDir,
    store,
    onProblems: (found) => problems.set('passwords', found),
    clock,
    signal,
  });
  const say = (message: string, fields: object) => log.info(fields, message);
  const departure = watchDeparture({ store, clock, log: say });
  const holdDown = watchHoldDown({ store, clock, log: say });
  const client = createGobgpClient({ socket: config.bgp.apiSocket, clock });
  const { passwordOf } = passwords;
  const target = createGobgpTarget({ client, clock, signal, log, passwordOf });
  const convergence = createConvergence(clock.monotonic, (s) => metrics.convergence.observe(s));
  const watch = watchGobgp({
    ...{ client, store, clock, signal, log },
    onCommitted: convergence.onCommitted,
    onRefused(refused) {
      metrics.routesRefused.set(refused);
      problems.set('refused routes', refused > 0 ? [tooManyRoutes(config.nodeName)] : []);
    },
    onSession: (up) => metrics.sessionChanges.inc({ to: up ? 'established' : 'down' }),
  });
  return {
    target,
    lookup: client.lookup,
    onRound(round: Round) {
      const { snapshot } = round;
      convergence.onRound(round);
      departure.onRound(snapshot);
      holdDown.onRound(snapshot);
    },
    async [Symbol.asyncDispose]() {
      departure[Symbol.dispose]();
      holdDown[Symbol.dispose]();
      await passwords[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
}

function tooManyRoutes(nodeName: string): Problem {
  const reason = `GoBGP has more than ${routesMax} routes: further ones are not taken until there are fewer`;
  return { object: `Node/${nodeName}`, field: 'bgp', reason };
}

/** Where the claim of the uplink is recorded. */
export function uplinkStateFile(config: Config): string {
  return `${config.stateDir}/uplink.json`;
}

/** Learned prefixes that the host gets a route for, each; with more it has a default route. */
const learnedMax = 2_000;
/** Beyond, nobody looks which of them are the cluster's own. */
const learnedLookedAtMax = 20_000;

/** The interface is the one of the start; the prefixes behind VPP follow what is known. */
function uplinkClaim(started: Config, facts: Facts): ClaimOptions {
  const { pods, services } = facts.config.get('config') ?? started;
  const podCidrs = facts.nodes.get(started.nodeName)?.podCidrs ?? [];
  const prefixes = [...pods.clusterCidrs, ...services.cidrs, ...podCidrs];
  return {
    interface: started.uplink.interface,
    stateFile: uplinkStateFile(started),
    prefixes,
    learned: learnedOutside(facts, prefixes),
    nodePorts: services.nodePortRange,
  };
}

/** What BGP taught and no prefix of the cluster has in it: sorted, or none when it is too much. */
function learnedOutside({ learnedRoutes }: Facts, prefixes: readonly Prefix[]): Prefix[] {
  if (learnedRoutes.size > learnedLookedAtMax) return [];
  const isInside = (inner: Prefix) =>
    prefixes.some(
      (outer) =>
        familyOf(outer) === familyOf(inner) &&
        prefixLength(outer) <= prefixLength(inner) &&
        prefixContains(outer, prefixAddress(inner)),
    );
  const outside = [...learnedRoutes.values()]
    .map((route) => route.prefix)
    .filter((prefix) => !isInside(prefix));
  return outside.length > learnedMax ? [] : outside.toSorted();
}

/** The CNI server: ADD answers when the pod's rows are in force. */
export function startCni(
  config: Config,
  store: Store,
  loop: Loop,
  {
    log,
    signal,
    metrics,
  }: { readonly log: Log; readonly signal: AbortSignal; readonly metrics: Metrics },
) {
  return createCniServer({
    onCall: ({ command, ok, durationMs }) =>
      metrics.cniDuration.observe({ command, outcome: ok ? 'done' : 'failed' }, durationMs / 1000),
    socketPath: config.cni.socket,
    stateDir: config.stateDir,
    store,
    wiring: createPodWiring(),
    gateways: podGateways,
    clock,
    log,
    signal,
    awaitApplied: (key, revision, wait) =>
      awaitPod({ loop, store, clock }, { key, revision }, wait),
  });
}
