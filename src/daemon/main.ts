import { setMaxListeners } from 'node:events';
import { loadConfig } from '../config/watch.ts';
import { realClock as clock } from '../core/clock.ts';
import { errorText } from '../core/error-text.ts';
import type { Problem } from '../core/problem.ts';
import { releaseUplink } from '../host/uplink.ts';
import { createStore } from '../model/store.ts';
import type { Target } from '../reconcile/driver.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { isFresh } from './health.ts';
import { createLog } from './log.ts';
import { type Round, startLoop } from './loop.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { observe } from './observe.ts';
import { roundObserver } from './round-metrics.ts';
import { createServiceHealth } from './service-health.ts';
import {
  followConfig,
  holdUplink,
  startBgp,
  startCni,
  startCounting,
  startProbing,
  startServers,
  startVpp,
  uplinkStateFile,
} from './start.ts';
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
  const problems = new Map<string, readonly Problem[]>([['config', loaded.problems]]);
  let view: DaemonView | undefined;
  const metrics = createMetrics(() => view);
  await using _config = followConfig(configPath, config, { store, problems, log, signal });
  await using uplink = await holdUplink(config, store, { metrics, log, signal });
  await using plane = startVpp(config, store, { log, signal });
  const { vpp, bfd } = plane;
  await using bgp = await startBgp(config, { store, problems, metrics, log, signal });
  const targets = targetsOf(vpp, bgp.target, metrics, signal);
  const observer = roundObserver(metrics, clock.now());
  await using probing = startProbing(store, log);
  const healthy = () => view !== undefined && isFresh(view.freshness(), clock.now());
  await using serviceHealth = createServiceHealth({ facts: store.facts, healthy, clock, signal });
  const onRounds: ((round: Round) => void)[] = [
    observer.onRound,
    uplink.onRound,
    (round) => probing.onRound(round, vpp.session),
    (round) => serviceHealth.onRound(round.snapshot.changed),
    bgp.onRound,
    ({ snapshot }) => bfd.onRound(loop.desired.keys('bfdSessions'), snapshot.changed.bfdDown),
  ];
  const loop = startLoop({
    store,
    targets,
    clock,
    signal,
    onStage: observer.onStage,
    onRound: inTurn(onRounds),
    onFailure: ({ stage, key, attempts, error }) =>
      log.warn({ stage, key, attempts }, `row failed: ${errorText(error)}`),
  });
  await using counting = startCounting(config, { store, vpp, loop, log, signal });
  const otherProblems = () => [
    ...[...problems.values()].flat(),
    ...serviceHealth.problems(),
    ...(cluster?.problems() ?? []),
  ];
  let cluster: Cluster | undefined;
  await using started = await startCluster({
    config,
    store,
    allProblems: () => [...otherProblems(), ...loop.desired.problems()],
    onProblems: (found) => problems.set('kube', found),
    log,
    signal,
  });
  cluster = started;
  onRounds.push(started.onRound);
  view = observe({
    nodeName: config.nodeName,
    store,
    loop,
    ...plane,
    bgp,
    kube: started.kube,
    problems: otherProblems,
    ...counting,
  });
  await using _cni = await startCni(config, store, loop, { log, signal, metrics });
  await using _servers = await startServers(config, view, {
    metrics,
    signal,
    currentConfig: () => store.facts.config.get('config'),
  });
  log.info({ control: config.control.socket, cni: config.cni.socket }, 'started');
  await loop.finished;
  log.info({}, 'stopped; what VPP and GoBGP hold stays');
}

/** Tells all who are in the list by then. */
function inTurn(listeners: readonly ((round: Round) => void)[]): (round: Round) => void {
  return (round) => {
    for (const tell of listeners) tell(round);
  };
}

function targetsOf(
  vpp: Target,
  gobgp: Target | undefined,
  metrics: Metrics,
  signal: AbortSignal,
): Target[] {
  const targets = gobgp === undefined ? [vpp] : [vpp, gobgp];
  for (const target of targets) countConnects(target, metrics, signal);
  return targets;
}

/** The signal of the first SIGTERM or SIGINT. */
function terminationSignal(): AbortSignal {
  const stop = new AbortController();
  // All parts listen, and calls under way do: that is no leak.
  setMaxListeners(0, stop.signal);
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.once(name, () => stop.abort(new Error(name)));
  return stop.signal;
}

function configArgument(args: readonly string[]): string {
  const at = args.indexOf('--config');
  return (at < 0 ? undefined : args[at + 1]) ?? '/etc/kube-vpp-router/config.yaml';
}

/** `--release-uplink`: gives the interface back to the kernel, for an uninstall. */
async function releaseOnly(configPath: string): Promise<void> {
  const loaded = await loadConfig(configPath);
  if (!loaded.ok) throw new Error(`cannot read ${configPath}:\n${loaded.problem}`);
  const refused = await releaseUplink(uplinkStateFile(loaded.value));
  for (const line of refused) process.stderr.write(`kube-vpp-router: not put back: ${line}\n`);
}

try {
  const args = process.argv.slice(2);
  const configPath = configArgument(args);
  if (args.includes('--release-uplink')) await releaseOnly(configPath);
  else await main(configPath, terminationSignal());
} catch (error) {
  process.stderr.write(`kube-vpp-router: ${errorText(error)}\n`);
  process.exitCode = 1;
}
