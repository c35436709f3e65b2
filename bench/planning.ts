import { ip, prefix } from '../src/core/ip.ts';
import { planChanges } from '../src/daemon/planning.ts';
import { createDesired, type Desired } from '../src/desired/desired.ts';
import type { Config } from '../src/model/config.ts';
import type { Node } from '../src/model/facts.ts';
import { createStore, type Store } from '../src/model/store.ts';
import { config, node, uplink } from '../test/facts.ts';
import { peer } from '../test/routing/rig.ts';
import { duration, type Figure, figure, median, percentile } from './figures.ts';

const nodeCount = 1_000;
const peerCount = 64;
const rounds = 11;
const changes = 300;

/**
 * Routing planned for a thousand nodes: sessions, tunnels to half of them, the prefixes that they
 * tell, and neighbours with rules of their own. The limits are the targets themselves: planning
 * talks to nobody.
 */
export function benchPlanning(): Promise<Figure[]> {
  const scratch: number[] = [];
  let [store, desired] = plannedCluster(scratch);
  for (let round = 1; round < rounds; round++) [store, desired] = plannedCluster(scratch);
  const other = measure(changes, (i) => {
    store.commit('nodes', [['n500', annotated(500, String(i))]]);
    planChanges(desired, store.takeSnapshot());
  });
  const own = measure(changes, (i) => {
    store.commit('nodes', [['n1', annotated(1, String(i))]]);
    planChanges(desired, store.takeSnapshot());
  });
  const against = (name: string, values: readonly number[], limitMs: number): Figure => {
    const ms = percentile(values, 0.99);
    const words = { measured: duration(ms), limit: `${limitMs} ms` };
    return figure(name, words, ms / limitMs, { atMost: 1 });
  };
  return Promise.resolve([
    against(`${nodeCount} nodes planned from scratch (median)`, [median(scratch)], 200),
    against('one annotation of another node planned (p99)', other, 5),
    against('one annotation of this node planned (p99)', own, 5),
  ]);
}

function measure(count: number, work: (i: number) => void): number[] {
  return Array.from({ length: count }, (_, i) => {
    const startMs = performance.now();
    work(i);
    return performance.now() - startMs;
  });
}

function annotated(number: number, value: string): Node {
  return nodeOf(number, { 'kube-router.io/node.bgp.communities': `64512:${value}` });
}

/** Every other node is in another subnet. */
function nodeOf(number: number, annotations: Node['annotations'] = {}): Node {
  const [high, low] = [number >> 8, number & 255];
  const near = number % 2 === 1;
  return node(`n${number}`, 1, {
    annotations,
    internalIps: [ip(near ? `10.0.${high}.${low}` : `10.1.${high}.${low}`)],
    podCidrs: [prefix(`10.${128 + high}.${low}.0/24`)],
  });
}

function plannedCluster(times: number[]): [Store, Desired] {
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  const addresses = [{ ip: ip('10.0.0.1'), length: 16 }];
  store.replace('uplink', new Map([['uplink', { ...uplink, addresses }]]));
  const numbers = Array.from({ length: nodeCount }, (_, i) => i + 1);
  store.replace('nodes', new Map(numbers.map((number) => [`n${number}`, nodeOf(number)])));
  const learned = numbers.slice(1).flatMap((number) => {
    const { podCidrs, internalIps } = nodeOf(number);
    return podCidrs.map((to) => [to, { prefix: to, nextHops: internalIps }] as const);
  });
  store.replace('learnedRoutes', new Map(learned));
  const desired = createDesired();
  times.push(...measure(1, () => planChanges(desired, store.takeSnapshot())));
  return [store, desired];
}

const peers = Array.from({ length: peerCount }, (_, i) =>
  peer(`router-${i}`, {
    address: ip(`10.0.255.${i + 1}`),
    asn: 65_000 + i,
    import: { ...config.bgp.import, localPreference: i },
  }),
);

const benchConfig: Config = { ...config, bgp: { ...config.bgp, peers } };
