import type { CheckGroup } from './checks/check.ts';
import { generic } from './checks/generic.ts';
import { randomCrashes } from './checks/random-crashes.ts';
import { routingBasics } from './checks/routing.ts';
import { shopChecks } from './checks/shop-checks.ts';
import { type Cluster, createCluster } from './cluster.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { findMissing } from './preflight.ts';
import { createReport, runChecks } from './report.ts';
import { superviseParts } from './supervise.ts';
import { findVpp } from './vpp-config.ts';

/**
 * The main job end to end: a cluster of network namespaces, an application in it, and one line
 * with figures for each thing that must hold.
 */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (!options.ok) {
    process.stderr.write(`${options.problem}\n\n${usage}`);
    return 1;
  }
  if (options.value.help) {
    process.stdout.write(usage);
    return 0;
  }
  const missing = await findMissing(options.value);
  if (missing.length > 0) {
    const lines = missing.map((what) => `  - ${what}\n`);
    process.stderr.write(`The demo cannot run here. It needs:\n${lines.join('')}`);
    return 1;
  }
  return runDemo(options.value);
}

async function runDemo(options: Options): Promise<number> {
  const report = createReport((text) => process.stdout.write(text), process.stdout.columns);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const found = options.dataplane === 'vpp' ? findVpp() : undefined;
  const vpp = found?.ok === true ? found.value : undefined;
  report.line(
    report.paint('kube-vpp-router: from the Kubernetes API to a delivered packet', 'bold'),
  );
  report.line();
  try {
    await using cluster = await createCluster({
      options,
      vpp,
      signal: stop.signal,
      tell: report.step,
    });
    const all =
      options.manifests === undefined ? shopChecks(options.nodes) : [routingBasics, generic];
    const extra = options.crashes > 0 ? [randomCrashes(options.crashes, options.seed)] : [];
    const groups = [...selectChecks(all, options.only), ...extra];
    const { failed } = await runChecks(cluster, groups, report);
    if (!options.once) {
      explainUse(cluster, report.line);
      await superviseParts(cluster.nodes, stop.signal, report.line);
      report.line('\ncleaning up');
    }
    if (options.keepLogs) report.line(`logs: ${cluster.directory}`);
    return failed === 0 ? 0 : 1;
  } catch (error) {
    if (error !== stop.signal.reason) throw error;
    report.line(stop.signal.reason instanceof Error ? stop.signal.reason.message : '');
    return 1;
  }
}

function selectChecks(groups: readonly CheckGroup[], only: RegExp): CheckGroup[] {
  return groups
    .map((group) => ({
      ...group,
      checks: group.checks.filter(({ name }) => only.test(`${group.title}: ${name}`)),
    }))
    .filter(({ checks }) => checks.length > 0);
}

function explainUse(cluster: Cluster, line: (text?: string) => void): void {
  const [node] = cluster.nodes;
  line();
  line('The cluster stays up until Ctrl-C. In another terminal:');
  line();
  line(`  export KUBECONFIG=${cluster.kubeconfig}`);
  line('  kubectl -n shop get pods -o wide');
  line('  kubectl -n shop scale deployment backend --replicas 5');
  line();
  line(
    `  alias kvr='node ${cluster.kvr} --socket ${node?.controlSocket}'   # ${node?.machine.name}`,
  );
  line('  kvr show services; kvr show routes; kvr show peers; kvr show pods; kvr show errors');
  line();
  line('  Kill any process of a node: it is started again, as a DaemonSet would.');
  line(`  ip netns exec ${cluster.network.client.netns} curl http://${node?.machine.ip4}:30080/`);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
}
