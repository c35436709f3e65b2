import { createGobgpClient } from '../bgp/client.ts';
import { createGobgpTarget } from '../bgp/target.ts';
import { watchGobgp } from '../bgp/watch.ts';
import { createCniServer } from '../cni/server.ts';
import { loadConfig, watchConfig } from '../config/watch.ts';
import { realClock as clock } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import { keepUplink } from '../host/keep-uplink.ts';
import { createPodWiring, podGateways } from '../host/pod-link.ts';
import { createProbe } from '../host/probe.ts';
import type { ClaimOptions } from '../host/uplink.ts';
import { loadKubeAccess } from '../kube/access.ts';
import { watchKube } from '../kube/watch-kube.ts';
import type { Config } from '../model/config.ts';
import { createStore, type Facts, type Store } from '../model/store.ts';
import { podPlanner } from '../routing/pods.ts';
import { createVppTarget } from '../vpp/target.ts';
import { serveControl } from './control.ts';
import { serveHealth } from './health.ts';
import { createLog } from './log.ts';
import { type Loop, startLoop } from './loop.ts';
import { createMetrics, type Metrics, serveMetrics } from './metrics.ts';
import { errorText, isInForce, observe } from './observe.ts';
import { createProbing } from './probing.ts';
import { roundObserver } from './round-metrics.ts';
import { countConnects } from './target-metrics.ts';
import type { DaemonView } from './view.ts';

/**
 * The daemon: wiring only. Sources fill the store, the loop plans and reconciles, targets are
 * written. Everything ends with one signal, in reverse order of its start, and what VPP and
 * GoBGP hold stays: traffic flows on until the next start adopts it.
 */
async function main(configPath: string, signal: AbortSignal): Promise<void> {
  const loaded = await loadConfig(configPath);
  if (!loaded.ok) throw new Error(`cannot start with ${configPath}:\n${loaded.problem}`);
  const config = loaded.value;
  const log = createLog(config.log.level, config.nodeName);
  log.info({ config: configPath }, 'starting');

  const store = createStore();
  const problems = new Map<string, readonly Problem[]>();
  let view: DaemonView | undefined;
  const metrics = createMetrics(() => view);
  await using _config = watchConfig({
    path: configPath,
    running: config,
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
  await using _uplink = await keepUplink({
    claim: () => uplinkClaim(config, store.facts),
    onClaimed(uplink) {
      store.replace('uplink', new Map([['uplink', uplink]]));
      log.info({ interface: uplink.interface, addresses: uplink.addresses }, 'uplink claimed');
    },
    onError: (error) => log.warn({ err: error }, 'uplink not as claimed'),
    clock,
    signal,
  });

  await using vpp = createVppTarget({
    connect: config.vpp.apiSocket,
    clock,
    signal,
    log: (message, fields) => log.info(fields, message),
  });
  await using bgp = startBgp(config, store, signal, log);
  const targets = bgp.target === undefined ? [vpp] : [vpp, bgp.target];
  for (const target of targets) countConnects(target, metrics, signal);
  const observer = roundObserver(metrics, clock.now());
  await using probing = startProbing(store, log);
  const loop = startLoop({
    store,
    targets,
    clock,
    signal,
    onStage: observer.onStage,
    onRound: (round) => {
      observer.onRound(round);
      probing.onRound(round, vpp.session);
    },
    onFailure: ({ stage, key, attempts, error }) =>
      log.warn({ stage, key, attempts }, `row failed: ${errorText(error)}`),
  });
  await using kube = watchKube({
    store,
    access: await loadKubeAccess(config.kube),
    clock,
    signal,
    log,
    onProblems: (found) => problems.set('kube', found),
  });
  view = observe({
    nodeName: config.nodeName,
    store,
    loop,
    vpp,
    gobgp: bgp.target,
    kube,
    problems: () => [...problems.values()].flat(),
  });
  await using _cni = await startCni(config, store, loop, { log, signal, metrics });
  await using _control = await serveControl({ view, socketPath: config.control.socket, signal });
  await using _health = await serveHealth({ view, listen: config.health, metrics, signal });
  await using _metrics = await serveMetrics({ metrics, listen: config.metrics, signal });
  log.info({ control: config.control.socket, cni: config.cni.socket }, 'started');
  await loop.finished;
  log.info({}, 'stopped; what VPP and GoBGP hold stays');
}

type Log = ReturnType<typeof createLog>;

function startProbing(store: Store, log: Log) {
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

/** GoBGP as target and source; without BGP nothing is ever learned, which is complete at once. */
function startBgp(config: Config, store: Store, signal: AbortSignal, log: Log) {
  if (!config.bgp.enabled) {
    store.markSynced('learnedRoutes');
    return { target: undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const client = createGobgpClient({ socket: config.bgp.apiSocket, clock });
  const target = createGobgpTarget({ client, clock, signal, log });
  const watch = watchGobgp({ client, store, clock, signal, log });
  return {
    target,
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
}

/** The interface is the one of the start; the prefixes behind VPP follow what is known. */
function uplinkClaim(started: Config, facts: Facts): ClaimOptions {
  const { pods, services } = facts.config.get('config') ?? started;
  const podCidrs = facts.nodes.get(started.nodeName)?.podCidrs ?? [];
  return {
    interface: started.uplink.interface,
    stateFile: `${started.stateDir}/uplink.json`,
    prefixes: [...pods.clusterCidrs, ...services.cidrs, ...podCidrs],
  };
}

function startCni(
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
      loop.whenApplied(revision, wait, () => isInForce(loop, podPlanner.plan(store.facts, key))),
  });
}

/** The signal of the first SIGTERM or SIGINT. */
function terminationSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.once(name, () => stop.abort(new Error(name)));
  return stop.signal;
}

function configArgument(args: readonly string[]): string {
  const at = args.indexOf('--config');
  return (at < 0 ? undefined : args[at + 1]) ?? '/etc/kube-vpp-router/config.yaml';
}

try {
  await main(configArgument(process.argv.slice(2)), terminationSignal());
} catch (error) {
  process.stderr.write(`kube-vpp-router: ${errorText(error)}\n`);
  process.exitCode = 1;
}
