import { createGobgpClient } from '../src/bgp/client.ts';
import type { WatchEvent } from '../src/bgp/path-codec.ts';
import { watchGobgp } from '../src/bgp/watch.ts';
import { realClock as clock } from '../src/core/clock.ts';
import { ip, prefix } from '../src/core/ip.ts';
import { startLoop } from '../src/daemon/loop.ts';
import { peerRow } from '../src/desired/bgp.ts';
import type { BgpPeerRow } from '../src/desired/rows.ts';
import { createStore, factKinds } from '../src/model/store.ts';
import { createVppTarget } from '../src/vpp/target.ts';
import { findGobgpd, startGobgpd } from '../test/bgp/gobgpd.ts';
import { duration, type Figure, figure, median, percentile } from './figures.ts';
import { address, openReplay, routes } from './messages.ts';
import { benchConfig, benchUplink } from './node.ts';
import { type Plane, startPlane } from './plane.ts';

const count = 100_000;
const rounds = 3;
const silent = { info: () => undefined, warn: () => undefined };

/**
 * 100,000 routes of a gobgpd that another one told them, into VPP's FIB. The limit is the slower
 * of what gobgpd needs to stream them into nothing and what VPP needs for them replayed.
 */
export async function benchRoutes(kind: Plane['kind']): Promise<Figure[]> {
  const program = findGobgpd()[3];
  if (program === undefined) throw new Error('no gobgpd: install it, or set GOBGPD_BIN');
  await using near = await startGobgpd(program, 1);
  await using far = await startGobgpd(program, 2);
  const signal = AbortSignal.timeout(120_000);
  await connectBoth(near, far, signal);
  await untilEstablished(near, signal);
  await far.client.applyPaths(
    Array.from({ length: count }, (_, index) => ({
      prefix: prefix(`${address(index, 20)}/32`),
      nextHop: ip('192.0.2.2'),
      withdraw: false,
    })) as never,
    signal,
  );
  await untilLearned(near, signal);
  const [streamed, replayed, whole]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    streamed.push(await streamAlone(near.socket, signal));
    replayed.push(await replayAlone(kind));
    whole.push(await intoFib(kind, near.socket));
  }
  const [streamMs, replayMs] = [median(streamed), median(replayed)];
  return [
    figure(
      '100,000 routes from GoBGP into the FIB',
      {
        measured: duration(median(whole)),
        heldBackBy: 'GoBGP 3 sends its table as one message: nothing overlaps with the stream',
        limit: `slower of ${duration(streamMs)} stream, ${duration(replayMs)} replay`,
      },
      median(whole) / Math.max(streamMs, replayMs),
      { atMost: 1.5 },
    ),
    await benchWithdrawals(kind, near, far, signal),
  ];
}

type Speaker = Awaited<ReturnType<typeof startGobgpd>>;

async function connectBoth(a: Speaker, b: Speaker, signal: AbortSignal): Promise<void> {
  const port = 17_900 + (process.pid % 1000);
  for (const one of [a, b])
    await one.client.startBgp(
      {
        asn: 64_512,
        routerId: ip(one.address),
        port,
        listenAddresses: [ip(one.address)],
      },
      signal,
    );
  for (const [own, other] of [
    [a, b],
    [b, a],
  ] as const)
    await addPeer(
      own,
      peerRow({
        address: ip(other.address),
        asn: 64_512,
        port,
        localAddress: ip(own.address),
        families: [4],
        holdTimeSeconds: 90,
        passive: own === b,
        description: 'bench',
      }),
      signal,
    );
}

function addPeer(speaker: Speaker, row: BgpPeerRow, signal: AbortSignal): Promise<void> {
  const context = { localAsn: 64_512, password: '' };
  return speaker.client.call('AddPeer', (d) => d.peer(row, context), signal);
}

async function untilEstablished(speaker: Speaker, signal: AbortSignal): Promise<void> {
  while ((await speaker.client.listPeers(signal))[0]?.session !== 'established')
    await new Promise((resolve) => setTimeout(resolve, 200));
}

async function untilLearned(speaker: Speaker, signal: AbortSignal): Promise<void> {
  while (((await speaker.client.listPeers(signal))[0]?.received ?? 0) < count)
    await new Promise((resolve) => setTimeout(resolve, 200));
}

/** Milliseconds until the whole table has come, decoded and thrown away. */
async function streamAlone(socket: string, signal: AbortSignal): Promise<number> {
  await using client = createGobgpClient({ socket, clock });
  const stop = new AbortController();
  let seen = 0;
  const startMs = performance.now();
  const onEvent = (event: WatchEvent) => {
    if (event.kind === 'paths') seen += event.paths.length;
    if (seen >= count) stop.abort();
  };
  await client.watch(onEvent, AbortSignal.any([signal, stop.signal])).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return performance.now() - startMs;
}

async function replayAlone(kind: Plane['kind']): Promise<number> {
  const plane = await startPlane(kind);
  try {
    await using replay = await openReplay(plane.apiSocket);
    return await replay.run(routes, count);
  } finally {
    await plane.stop();
  }
}

const intoFibMaxMs = 60_000;

/** Watch, store, plan, write: until the last reply of VPP. */
async function intoFib(kind: Plane['kind'], socket: string): Promise<number> {
  const fib = await fillFib(kind, socket);
  await fib.stop();
  return fib.ms;
}

async function fillFib(kind: Plane['kind'], socket: string) {
  const plane = await startPlane(kind);
  const stop = new AbortController();
  const { signal } = stop;
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  const vpp = createVppTarget({ connect: plane.apiSocket, clock, signal });
  while (vpp.session === undefined) await vpp.sessionChanged();
  const { sw_if_index } = (await vpp.connection?.request('create_loopback', {
    mac_address: '02:00:00:00:00:09',
  })) ?? { sw_if_index: 0 };
  await vpp.connection?.request('sw_interface_tag_add_del', {
    is_add: true,
    sw_if_index,
    tag: 'kvr:uplink',
  });
  let afterRound = (): void => undefined;
  const loop = startLoop({ store, targets: [vpp], clock, signal, onRound: () => afterRound() });
  await loop.whenApplied(store.revision, AbortSignal.timeout(10_000), () => true);
  // Only now: the uplink's own rows would ask for a network interface of this name.
  store.replace('uplink', new Map([['uplink', benchUplink]]));
  const client = createGobgpClient({ socket, clock });
  const startMs = performance.now();
  const watch = watchGobgp({ client, store, clock, signal, log: silent });
  while (loop.reconciler.appliedCount('routes') < count) {
    if (performance.now() - startMs > intoFibMaxMs)
      throw new Error(`${loop.reconciler.appliedCount('routes')} routes after ${intoFibMaxMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const ms = performance.now() - startMs;
  return {
    ms,
    store,
    /** Resolves when VPP no longer has the route. */
    gone: (to: string) =>
      new Promise<void>((resolve) => {
        afterRound = () => {
          if (loop.reconciler.applied('routes', to) === undefined) resolve();
        };
      }),
    async stop() {
      stop.abort(new Error('measured'));
      await loop.finished;
      await watch[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
      await vpp[Symbol.asyncDispose]();
      await plane.stop();
    },
  };
}

const withdrawals = 200;
const withdrawnMaxMs = 50;

/**
 * From the moment in which the other gobgpd is told to withdraw a route to VPP's last reply, with
 * 100,000 others in the FIB: more than from our gobgpd's word.
 */
async function benchWithdrawals(
  kind: Plane['kind'],
  near: Speaker,
  far: Speaker,
  signal: AbortSignal,
): Promise<Figure> {
  const fib = await fillFib(kind, near.socket);
  for (const one of factKinds) fib.store.markSynced(one);
  const times: number[] = [];
  for (let index = 0; index < withdrawals; index++) {
    const to = prefix(`${address(index, 20)}/32`);
    const gone = fib.gone(to);
    const startMs = performance.now();
    await far.client.applyPaths([{ prefix: to, nextHop: ip('192.0.2.2'), withdraw: true }], signal);
    await gone;
    times.push(performance.now() - startMs);
  }
  await fib.stop();
  const ms = percentile(times, 0.99);
  const words = { measured: duration(ms), limit: `${withdrawnMaxMs} ms` };
  return figure('withdrawn by a neighbour to gone from the FIB (p99)', words, ms / withdrawnMaxMs, {
    atMost: 1,
  });
}
