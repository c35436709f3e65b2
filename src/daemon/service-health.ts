import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/error-text.ts';
import type { Ip } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { Service } from '../model/facts.ts';
import { nodePortAddresses } from '../model/frontends.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';
import { type Answer, type HttpServer, json, serveHttp } from './http.ts';

/**
 * `healthCheckNodePort` (KP-50): one listener for each Service of type LoadBalancer with external
 * policy Local, in the host's network namespace, on the addresses of NodePorts. A load balancer
 * asks it whether this node has endpoints of the Service.
 */
export interface ServiceHealth extends AsyncDisposable {
  /** To be told of each round, and that is all it needs: it follows what changed. */
  onRound(changed: ChangedKeys): void;
  /** Listeners that could not be opened (KP-51). */
  problems(): readonly Problem[];
  /** Resolves when no listener is being opened or closed. */
  settled(): Promise<void>;
}

export interface ServiceHealthOptions {
  readonly facts: Facts;
  /** Whether changes are applied in time. */
  readonly healthy: () => boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly listen?: typeof serveHttp;
}

const retryMs = 5_000;

interface Listener {
  readonly service: string;
  readonly addresses: readonly Ip[];
  readonly servers: HttpServer[];
  error: string | undefined;
}

export function createServiceHealth(options: ServiceHealthOptions): ServiceHealth {
  const listeners = new Map<number, Listener>();
  /** Who wants a port, and which port a Service wants. */
  const wanted = new Map<number, Set<string>>();
  const portOf = new Map<string, number>();
  let work = Promise.resolve();
  let retry: { cancel(): void } | undefined;

  function want(key: string, port: number | undefined): void {
    const before = portOf.get(key);
    if (before === port) return;
    if (before !== undefined) {
      wanted.get(before)?.delete(key);
      portOf.delete(key);
    }
    if (port !== undefined) {
      wanted.set(port, (wanted.get(port) ?? new Set()).add(key));
      portOf.set(key, port);
    }
  }

  async function settle(ports: Iterable<number>): Promise<void> {
    for (const port of ports) await settlePort(options, { listeners, wanted }, port);
    const failed = [...listeners].filter(([, one]) => one.error !== undefined);
    retry?.cancel();
    if (failed.length > 0 && !options.signal.aborted)
      retry = options.clock.after(retryMs, () => enqueue(failed.map(([port]) => port)));
  }

  function enqueue(ports: Iterable<number>): void {
    work = work.then(() => settle(ports));
  }

  return {
    onRound(changed) {
      const everyone = changed.config !== undefined || changed.uplink !== undefined;
      const keys = everyone ? options.facts.services.keys() : (changed.services ?? []);
      const ports = new Set<number>(everyone ? listeners.keys() : []);
      for (const key of keys) {
        const before = portOf.get(key);
        want(key, healthPort(options.facts.services.get(key)));
        for (const port of [before, portOf.get(key)]) if (port !== undefined) ports.add(port);
      }
      if (ports.size > 0) enqueue(ports);
    },
    problems: () =>
      [...listeners].flatMap(([port, one]) => {
        const others = [...(wanted.get(port) ?? [])].filter((key) => key !== one.service);
        const taken = others.map((key) => problemOf(key, port, `Service/${one.service} has it`));
        return one.error === undefined
          ? taken
          : [...taken, problemOf(one.service, port, one.error)];
      }),
    settled: () => work,
    async [Symbol.asyncDispose]() {
      retry?.cancel();
      await work;
      for (const one of listeners.values()) await close(one);
    },
  };
}

function problemOf(key: string, port: number, reason: string): Problem {
  return {
    object: `Service/${key}`,
    field: 'spec.healthCheckNodePort',
    reason: `nobody answers on ${port}: ${reason}`,
    event: 'FailedToStartServiceHealthcheck',
  };
}

/** The port on which a Service's health is asked for; undefined when it is not. */
export function healthPort(service: Service | undefined): number | undefined {
  const asked =
    service?.type === 'LoadBalancer' &&
    service.externalTrafficPolicy === 'Local' &&
    service.healthCheckNodePort !== 0;
  return asked ? service.healthCheckNodePort : undefined;
}

/** Opens, moves or closes the listener of one port; of two Services the smaller name has it. */
async function settlePort(
  options: ServiceHealthOptions,
  state: {
    readonly listeners: Map<number, Listener>;
    readonly wanted: ReadonlyMap<number, ReadonlySet<string>>;
  },
  port: number,
): Promise<void> {
  const { listeners } = state;
  const [service] = [...(state.wanted.get(port) ?? [])].sort();
  const addresses = service === undefined ? [] : nodePortAddresses(options.facts);
  const held = listeners.get(port);
  const same =
    held?.service === service &&
    held?.error === undefined &&
    held?.addresses.join() === addresses.join();
  if (same) return;
  if (held !== undefined) await close(held);
  listeners.delete(port);
  if (service === undefined || options.signal.aborted) return;
  const listener: Listener = { service, addresses, servers: [], error: undefined };
  listeners.set(port, listener);
  try {
    for (const address of addresses) {
      const open = options.listen ?? serveHttp;
      const route = () => Promise.resolve(healthAnswerOf(options, service));
      listener.servers.push(await open({ kind: 'tcp', address, port }, route, options.signal));
    }
  } catch (error) {
    listener.error = errorText(error);
    await close(listener);
  }
}

async function close(listener: Listener): Promise<void> {
  for (const server of listener.servers.splice(0)) await server[Symbol.asyncDispose]();
}

/** kube-proxy's answer, whatever the path. */
function healthAnswerOf({ facts, healthy }: ServiceHealthOptions, key: string): Answer {
  const localEndpoints = localReadyEndpoints(facts, key);
  const serviceProxyHealthy = healthy();
  const slash = key.indexOf('/');
  const service = { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
  const answer = json(localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
    service,
    localEndpoints,
    serviceProxyHealthy,
  });
  return {
    ...answer,
    headers: {
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
    },
  };
}

/** Addresses of ready endpoints on this node, over all ports of a Service. */
export function localReadyEndpoints(facts: Facts, key: string): number {
  const node = facts.config.get('config')?.nodeName ?? '';
  const ready = new Set<Ip>();
  for (const slice of facts.slicesOf.get(key) ?? [])
    for (const endpoint of facts.slices.get(slice)?.endpoints ?? [])
      if (endpoint.ready && endpoint.node === node) ready.add(endpoint.ip);
  return ready.size;
}
