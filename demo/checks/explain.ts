import type { TraceView } from '../../src/core/control-api.ts';
import type { Cluster } from '../cluster.ts';
import type { DemoNode } from '../node.ts';
import { run } from '../processes.ts';
import { type CheckGroup, clusterIpOf, expect, livePodOn, livePods, nodeAt } from './check.ts';
import { frontendNodePort, shop } from './shop.ts';

/** What a person with a question gets from the command line. */
export const explain: CheckGroup = {
  title: 'Explanation',
  why: 'kvr shows what is in force, and walks a packet through it step by step without sending one',
  checks: [
    {
      name: 'kvr trace: from a pod to a ClusterIP',
      async run(cluster) {
        const node = nodeAt(cluster, 0);
        const from = await livePodOn(cluster, node, shop, 'frontend');
        const to = await clusterIpOf(cluster, shop, 'backend');
        const trace = await traceOf(cluster, node, from.ips[0] ?? '', `${to.address}:${to.port}`);
        const choice = trace.steps.find(({ what }) => what.includes(' chooses '))?.what ?? '';
        const backends = await livePods(cluster, shop, 'backend');
        const chosen = backends.find(({ ips }) => choice.includes(` ${ips[0]}:`));
        expect(chosen !== undefined, `no back-end pod was chosen: ${trace.verdict}`);
        return `${trace.steps.length} steps; ${choice}, ${chosen.name}; ${trace.verdict}`;
      },
    },
    {
      name: 'kvr trace: from the client to a NodePort',
      async run(cluster) {
        const node = nodeAt(cluster, 0);
        const { client } = cluster.network;
        const to = `${node.machine.ip4}:${frontendNodePort}`;
        const trace = await traceOf(cluster, node, client.ip4, to);
        const last = trace.steps.findLast(({ what }) => what.startsWith('becomes '))?.what;
        expect(last !== undefined, `it was not translated: ${trace.verdict}`);
        return `${trace.steps.length} steps; it ${last}; ${trace.verdict}`;
      },
    },
    {
      name: 'kvr show errors: nothing is wrong on any node',
      async run(cluster) {
        for (const node of cluster.nodes) {
          const text = await kvr(cluster, node, 'show', 'errors', '-o', 'json');
          const { items } = JSON.parse(text) as { readonly items: readonly unknown[] };
          expect(items.length === 0, `${node.machine.name}: ${text}`);
        }
        return 'no problem in any object';
      },
    },
  ],
};

async function traceOf(
  cluster: Cluster,
  node: DemoNode,
  source: string,
  destination: string,
): Promise<TraceView> {
  return JSON.parse(
    await kvr(cluster, node, 'trace', source, destination, '-o', 'json'),
  ) as TraceView;
}

function kvr(cluster: Cluster, node: DemoNode, ...args: string[]): Promise<string> {
  return run(process.execPath, [cluster.kvr, '--socket', node.controlSocket, ...args]);
}
