import { loadConfig } from '../config/watch.ts';
import { realClock as clock } from '../core/clock.ts';
import type { Problem } from '../core/problem.ts';
import { releaseUplink } from '../host/uplink.ts';
import { loadKubeAccess } from '../kube/access.ts';
import { watchKube } from '../kube/watch-kube.ts';
import { createStore } from '../model/store.ts';
import { createVppTarget } from '../vpp/target.ts';
import { createLog } from './log.ts';
import { startLoop } from './loop.ts';
import { createMetrics } from './metrics.ts';
import { errorText, observe } from './observe.ts';
import { roundObserver } from './round-metrics.ts';
import {
  followConfig,
  holdUplink,
  startBgp,
  startCni,
  startEvents,
  startProbing,
  startServers,
  startSessions,
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
  const problems = new Map<string, readonly Problem[]>();
  let view: DaemonView | undefined;
  const metrics = createMetrics(() => view);
  await using _config = followConfig(configPath, config, { store, problems, log, signal });
  await using _uplink = await holdUplink(config, store, { log, signal });
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
  await using _sessions = startSessions(config, {
    store,
    vpp,
    reconciler: loop.reconciler,
    log,
    signal,
  });
  const access = await loadKubeAccess(config.kube);
  const allProblems = () => [...[...problems.values()].flat(), ...loop.desired.problems()];
  await using _events = startEvents(access, config.nodeName, { log, signal, allProblems });
  await using kube = watchKube({
    store,
    access,
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
  await using _servers = await startServers(config, view, { metrics, signal });
  log.info({ control: config.control.socket, cni: config.cni.socket }, 'started');
  await loop.finished;
  log.info({}, 'stopped; what VPP and GoBGP hold stays');
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

/** `--release-uplink`: gives the interface back to the kernel, for an uninstall. */
async function releaseOnly(configPath: string): Promise<void> {
  const loaded = await loadConfig(configPath);
  if (!loaded.ok) throw new Error(`cannot read ${configPath}:\n${loaded.problem}`);
  await releaseUplink(uplinkStateFile(loaded.value));
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
