import type { Clock } from '../core/clock.ts';
import { tables } from '../desired/tables.ts';
import type { Service, ServicePort } from '../model/facts.ts';
import { type Frontend, frontendsOfPort } from '../model/frontends.ts';
import type { Store } from '../model/store.ts';
import { epochKey } from '../proxy/plan.ts';
import { packetsAt, type VppStats } from './vpp-stats.ts';

/**
 * The timeout of ClientIP affinity (KP-38).
 *
 * VPP chooses by a hash of the client's address and remembers no client, so it never forgets one
 * either. The daemon forgets all clients of a Service's port at once, when none of them has
 * opened a connection for the timeout and none has one open: the next epoch is another hash.
 * A client is kept at least as long as it asked for, and longer while others keep coming.
 */
export interface AffinityOptions {
  readonly store: Store;
  readonly stats: VppStats;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** VPP's ids of translations, by the key of their row; empty while VPP is away. */
  readonly translationIds: () => ReadonlyMap<string, number>;
  /** `address port protocol` of the frontends that have sessions; asked for rarely. */
  readonly openFrontends: () => Promise<ReadonlySet<string>>;
}

/** How often counters are looked at: a tenth of the shortest timeout, within these. */
const tickMinMs = 1_000;
const tickMaxMs = 60_000;
/** With more sessions than this in VPP the question who has one open costs too much to be asked. */
const sessionsMax = 200_000;

const newSessions = '/net/cnat-translation';
const openSessions = '/cnat/sessions/total';

interface PortState {
  /** New connections since VPP made the translations. */
  count: number;
  /** Monotonic time of the last new connection. */
  lastMs: number;
  /** Whether anybody came since the last epoch. */
  used: boolean;
}

/** Watches until the signal aborts. */
export function watchAffinity(options: AffinityOptions): Disposable {
  const { store, clock, signal } = options;
  const states = new Map<string, PortState>();
  let timer: { cancel(): void } | undefined;
  const next = () => {
    if (!signal.aborted) timer = clock.after(tickMs(store), run);
  };
  const run = () => void tick(options, states).finally(next);
  next();
  return {
    [Symbol.dispose]() {
      timer?.cancel();
    },
  };
}

function tickMs(store: Store): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (const service of store.facts.services.values())
    if (service.affinitySeconds > 0) shortest = Math.min(shortest, service.affinitySeconds);
  return Math.min(tickMaxMs, Math.max(tickMinMs, shortest * 100));
}

async function tick(options: AffinityOptions, states: Map<string, PortState>): Promise<void> {
  const ports = portsWithAffinity(options.store);
  for (const key of states.keys()) if (!ports.has(key)) states.delete(key);
  dropEpochs(options.store, ports);
  if (ports.size === 0) return;
  const read = await options.stats.read([newSessions, openSessions]);
  if (read === undefined) return;
  const ids = options.translationIds();
  const nowMs = options.clock.monotonic();
  const idle: string[] = [];
  for (const [key, { service, frontends }] of ports) {
    let count = 0;
    for (const row of frontends) count += packetsAt(read.get(newSessions), ids.get(row) ?? -1);
    if (observe(states, key, count, nowMs, service.affinitySeconds * 1000)) idle.push(key);
  }
  const total = read.get(openSessions);
  const affordable = total?.kind === 'gauge' && total.value <= sessionsMax;
  if (idle.length > 0 && affordable) await forget(options, states, idle, ports);
}

/** The epochs of ports that are gone, or have no affinity any more. */
function dropEpochs(store: Store, ports: ReadonlyMap<string, unknown>): void {
  const gone = [...store.facts.affinityEpochs.keys()].filter((key) => !ports.has(key));
  if (gone.length > 0)
    store.commit(
      'affinityEpochs',
      gone.map((key) => [key, undefined] as const),
    );
}

/** Whether the clients of a port may be forgotten. */
function observe(
  states: Map<string, PortState>,
  key: string,
  count: number,
  nowMs: number,
  timeoutMs: number,
): boolean {
  const state = states.get(key);
  if (state === undefined) {
    states.set(key, { count, lastMs: nowMs, used: count > 0 });
    return false;
  }
  if (count !== state.count) {
    state.used ||= count > 0;
    state.count = count;
    state.lastMs = nowMs;
  }
  return state.used && nowMs - state.lastMs >= timeoutMs;
}

async function forget(
  { store, openFrontends }: AffinityOptions,
  states: Map<string, PortState>,
  idle: readonly string[],
  ports: ReadonlyMap<string, { readonly frontends: readonly string[] }>,
): Promise<void> {
  const open = await openFrontends();
  const forgotten = idle.filter((key) => !ports.get(key)?.frontends.some((row) => open.has(row)));
  // The counters of the new translations begin at 0.
  for (const key of forgotten) states.delete(key);
  if (forgotten.length > 0)
    store.commit(
      'affinityEpochs',
      forgotten.map((key) => [key, (store.facts.affinityEpochs.get(key) ?? 0) + 1] as const),
    );
}

interface AffinityPort {
  readonly service: Service;
  /** Keys of the rows of its frontends. */
  readonly frontends: readonly string[];
}

function portsWithAffinity(store: Store): Map<string, AffinityPort> {
  const ports = new Map<string, AffinityPort>();
  for (const service of store.facts.services.values()) {
    if (service.affinitySeconds === 0) continue;
    for (const port of service.ports) {
      const frontends = ([4, 6] as const).flatMap((family) =>
        frontendsOfPort(store.facts, service, port, family).map((one) => rowKey(one, port)),
      );
      ports.set(epochKey(service, port), { service, frontends });
    }
  }
  return ports;
}

function rowKey({ vip, port }: Frontend, { protocol }: ServicePort): string {
  return tables.translations.key({ vip, port, protocol } as never);
}
