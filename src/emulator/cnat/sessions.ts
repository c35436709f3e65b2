import { type Flow, type Tuple, tupleKey } from './flow.ts';

/** Timers and sizes of VPP's start-up section `cnat { }`, seconds where they are times. */
export interface CnatLimits {
  /** Flows at most. VPP's default is 2^24; the table is sized for it. */
  readonly sessionMax: number;
  readonly sessionMaxAgeSeconds: number;
  readonly tcpMaxAgeSeconds: number;
  /** Time between two scans. */
  readonly scanSeconds: number;
  /** Rows of a Maglev table. */
  readonly maglevLength: number;
}

export const defaultCnatLimits: CnatLimits = {
  sessionMax: 1 << 20,
  sessionMaxAgeSeconds: 30,
  tcpMaxAgeSeconds: 3600,
  scanSeconds: 1,
  maglevLength: 1009,
};

export interface SessionHit {
  readonly flow: Flow;
  readonly isReturn: boolean;
}

/**
 * The session table: two keys a flow.
 *
 * A scan removes what is idle for longer than its lifetime and what goes to a removed backend.
 * VPP's scan takes 100 us a tick and may need many ticks for a large table; ours always finishes
 * in one, so removed backends are cut within `scanSeconds`.
 */
export interface Sessions {
  readonly count: number;
  /** Whether the scanner runs: CLI `test cnat scanner on|off`. */
  scanning: boolean;
  readonly entries: ReadonlyMap<string, SessionHit>;
  find(tuple: Tuple, now: number): SessionHit | undefined;
  /** A new flow under its forward key; undefined when the table is full. */
  open(tuple: Tuple, now: number): Flow | undefined;
  /** Adds the key of the answers; a flow that had it before loses it. */
  addReturn(flow: Flow, tuple: Tuple): void;
  /** Removes stale flows and tells how many there were. */
  scan(now: number): number;
  purge(): void;
  /** A free source port for masqueraded flows, or undefined when all are taken. */
  allocatePort(protocol: number): number | undefined;
}

/** VPP's allocator never hands out well-known ports. */
const firstPort = 1024;
const portCount = 65536 - firstPort;

export function createSessions(limits: CnatLimits): Sessions {
  const entries = new Map<string, SessionHit>();
  const ports = new Map<number, { taken: Set<number>; next: number }>();
  let flows = 0;
  let nextId = 1;

  const close = (flow: Flow) => {
    drop(flow.forwardKey, flow);
    if (flow.returnKey !== undefined) drop(flow.returnKey, flow);
    const allocated = flow.allocatedPort;
    if (allocated !== undefined) ports.get(allocated.protocol)?.taken.delete(allocated.port);
    flows--;
  };
  const drop = (key: string, flow: Flow) => {
    if (entries.get(key)?.flow === flow) entries.delete(key);
  };

  return {
    scanning: true,
    get count() {
      return flows;
    },
    entries,
    find(tuple, now) {
      const hit = entries.get(tupleKey(tuple));
      if (hit !== undefined) hit.flow.lastSeen = now;
      return hit;
    },
    open(tuple, now) {
      if (flows >= limits.sessionMax) return undefined;
      const flow: Flow = {
        id: nextId++,
        original: tuple,
        lastSeen: now,
        lifetime: limits.sessionMaxAgeSeconds,
        tracker: undefined,
        input: undefined,
        output: undefined,
        returnInput: undefined,
        returnOutput: undefined,
        forwardKey: tupleKey(tuple),
        returnKey: undefined,
        allocatedPort: undefined,
      };
      entries.set(flow.forwardKey, { flow, isReturn: false });
      flows++;
      return flow;
    },
    addReturn(flow, tuple) {
      flow.returnKey = tupleKey(tuple);
      entries.set(flow.returnKey, { flow, isReturn: true });
    },
    scan(now) {
      let closed = 0;
      for (const { flow, isReturn } of entries.values()) {
        // Once a flow: by its first key, or by the other one when a later flow took the first.
        if (isReturn && entries.get(flow.forwardKey)?.flow === flow) continue;
        const idle = now > flow.lastSeen + flow.lifetime;
        if (!idle && flow.tracker?.deleted !== true) continue;
        close(flow);
        closed++;
      }
      return closed;
    },
    purge() {
      entries.clear();
      ports.clear();
      flows = 0;
    },
    allocatePort(protocol) {
      let pool = ports.get(protocol);
      if (pool === undefined) {
        pool = { taken: new Set(), next: firstPort };
        ports.set(protocol, pool);
      }
      if (pool.taken.size >= portCount) return undefined;
      while (pool.taken.has(pool.next)) pool.next = nextPort(pool.next);
      const port = pool.next;
      pool.next = nextPort(port);
      pool.taken.add(port);
      return port;
    },
  };
}

function nextPort(port: number): number {
  return port === 65535 ? firstPort : port + 1;
}
