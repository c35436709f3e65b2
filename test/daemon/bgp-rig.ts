import { realClock } from '../../src/core/clock.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { type Loop, startLoop } from '../../src/daemon/loop.ts';
import { stages } from '../../src/desired/table.ts';
import type { BgpConfig } from '../../src/model/bgp-config.ts';
import type { Config } from '../../src/model/config.ts';
import { factKinds, type Store } from '../../src/model/store.ts';
import { attachment, config, endpoint, node, service, slice } from '../facts.ts';
import { createMemoryTarget } from '../reconcile/memory-target.ts';
import { bgpConfig, nodesOf, peer } from '../routing/rig.ts';

/** A daemon's facts and loop before targets in memory, without a kernel or a gobgpd. */
export interface Daemon extends AsyncDisposable {
  readonly store: Store;
  readonly loop: Loop;
  readonly target: ReturnType<typeof createMemoryTarget>;
  /** Resolves when all that was committed is written. */
  settled(): Promise<void>;
}

export async function startDaemon(store: Store): Promise<Daemon> {
  const stop = new AbortController();
  const target = createMemoryTarget('vpp', [...stages]);
  const loop = startLoop({ store, targets: [target], clock: realClock, signal: stop.signal });
  for (const kind of factKinds) store.markSynced(kind);
  const settled = () => loop.whenApplied(store.revision, stop.signal);
  await settled();
  return {
    store,
    loop,
    target,
    settled,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await loop.finished;
    },
  };
}

/** n1 with n2 in its subnet, n3 behind a router, the neighbours `a` and `b`, and a Service. */
export function sampleCluster(bgp: Partial<BgpConfig> = {}, given: Partial<Config> = {}): Store {
  const advertise = { ...config.bgp.advertise, clusterIps: true, med: 70 };
  const peers = [peer('a'), peer('b', { address: ip('192.0.2.252'), asn: 65_002 })];
  const store = nodesOf(bgpConfig({ peers, advertise, ...bgp }, given), {}, [
    node('n2', 2),
    node('n3', 3, { internalIps: [ip('198.51.100.3')] }),
  ]);
  store.replace('services', new Map([['shop/web', service('shop/web')]]));
  const web = slice('shop/web-1', 'shop/web', [endpoint('10.244.2.5')]);
  store.replace('slices', new Map([[web.key, web]]));
  const pod = attachment('kvr1', '10.244.1.5');
  store.replace('attachments', new Map([[pod.key, pod]]));
  const learned = [
    ['10.244.2.0/24', ['192.0.2.2']],
    ['10.244.3.0/24', ['198.51.100.3']],
    ['172.16.0.0/12', ['192.0.2.252', '192.0.2.253']],
    ['172.20.0.0/16', ['203.0.113.77']],
  ] as const;
  store.replace(
    'learnedRoutes',
    new Map(
      learned.map(([to, hops]) => [
        to,
        { prefix: prefix(to), nextHops: hops.map((hop) => ip(hop)) },
      ]),
    ),
  );
  return store;
}
