import type { Ip } from '../core/ip.ts';
import type { Attachment, ObjectKey } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { type Flow, judge } from '../policy/explain.ts';
import type { DeniedPacket } from '../vpp/capture-file.ts';

/**
 * Denied flows as lines of the log.
 *
 * A flow is told when it is first seen, and once a minute while it goes on, with the packets that
 * were seen in between. At most `rate` lines a second; how many flows were left out is told, too.
 */
export interface DeniedFlow {
  readonly pod: ObjectKey;
  readonly direction: 'ingress' | 'egress';
  readonly from: Ip;
  readonly to: Ip;
  readonly protocol: string;
  /** Of the destination; of ICMP the type; undefined where there is none. */
  readonly port: number | undefined;
}

/** On whose behalf a flow is denied. */
export interface Explained {
  /** `NetworkPolicy/namespace/name` and so on. */
  readonly policies: readonly string[];
  /** For people. */
  readonly verdict: string;
}

export interface PolicyLog {
  /** Tells what is due. */
  take(packets: readonly DeniedPacket[], rate: number): void;
}

export interface PolicyLogOptions {
  readonly facts: Facts;
  readonly explainDenied: (flow: DeniedFlow) => Explained;
  readonly log: (message: string, fields: object) => void;
  /** Milliseconds that never step. */
  readonly monotonic: () => number;
}

/** The same flow is told once in this time. */
export const foldMs = 60_000;
/** Flows that are remembered; others are counted as left out. */
export const flowsMax = 4_096;

interface Seen {
  readonly flow: DeniedFlow;
  /** When it was told; undefined: not yet. */
  toldMs: number | undefined;
  /** Packets since then. */
  packets: number;
}

export function createPolicyLog(options: PolicyLogOptions): PolicyLog {
  const { facts, explainDenied, log, monotonic } = options;
  const flows = new Map<string, Seen>();
  const budget = createRate(monotonic);
  let leftOut = 0;
  let leftOutToldMs: number | undefined;

  const remember = (packet: DeniedPacket) => {
    const flow = flowOf(facts, packet);
    if (flow === undefined) return;
    const { pod, direction, from, to, protocol, port } = flow;
    const key = `${pod} ${direction} ${from} ${to} ${protocol} ${port}`;
    const seen = flows.get(key);
    if (seen !== undefined) seen.packets++;
    else if (flows.size < flowsMax) flows.set(key, { flow, toldMs: undefined, packets: 1 });
    else leftOut++;
  };
  /** A flow that may not be told now is forgotten: it comes again, or it was not worth a line. */
  const tell = (key: string, seen: Seen, now: number, rate: number) => {
    if (seen.toldMs !== undefined && now - seen.toldMs < foldMs) return;
    if (seen.packets === 0 || !budget.take(rate)) {
      leftOut += seen.packets === 0 ? 0 : 1;
      flows.delete(key);
      return;
    }
    log('denied', { ...seen.flow, ...explainDenied(seen.flow), packets: seen.packets });
    seen.toldMs = now;
    seen.packets = 0;
  };

  return {
    take(packets, rate) {
      const now = monotonic();
      for (const packet of packets) remember(packet);
      for (const [key, seen] of flows) tell(key, seen, now, rate);
      const isDue = leftOutToldMs === undefined || now - leftOutToldMs >= foldMs;
      if (leftOut === 0 || !isDue) return;
      log('denied flows left out: more than policy.log.rate', { flows: leftOut, rate });
      leftOut = 0;
      leftOutToldMs = now;
    },
  };
}

/** `rate` a second, and as many at once. */
function createRate(monotonic: () => number) {
  let left = Number.POSITIVE_INFINITY;
  let filledMs = monotonic();
  return {
    take(rate: number): boolean {
      const now = monotonic();
      left = Math.min(rate, left + ((now - filledMs) / 1000) * rate);
      filledMs = now;
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}

/** Undefined when neither end is a pod of this node: then no policy denied it. */
function flowOf(facts: Facts, packet: DeniedPacket): DeniedFlow | undefined {
  const { source: from, destination: to, protocol, port } = packet;
  const isEgress = packet.direction === 'input';
  const attachment = attachmentOf(
    facts,
    isEgress ? from : to,
    isEgress ? packet.sourceMac : packet.destinationMac,
  );
  if (attachment === undefined) return undefined;
  const direction = isEgress ? 'egress' : 'ingress';
  return { pod: attachment.pod, direction, from, to, protocol, port };
}

/** By the MAC address, too: a pod may send from an address that is not its own. */
function attachmentOf({ attachments }: Facts, ip: Ip, mac: string): Attachment | undefined {
  let byMac: Attachment | undefined;
  for (const one of attachments.values()) {
    if (one.ips.includes(ip)) return one;
    if (one.mac === mac) byMac = one;
  }
  return byMac;
}

/**
 * What the policies of now say of a flow. It was denied by those of a moment ago, or by a filter
 * that is of no policy; then the verdict says so.
 */
export function explainDenied(facts: Facts, flow: DeniedFlow): Explained {
  const pod = facts.pods.get(flow.pod);
  if (pod === undefined) return { policies: [], verdict: 'the pod is not known' };
  const direction = flow.direction === 'egress' ? 'Egress' : 'Ingress';
  const { policies, allowed, why } = judge(facts, pod, direction, firstPacket(flow));
  if (!allowed) return { policies, verdict: why };
  return { policies: [], verdict: `no policy of now denies it: ${why}` };
}

/** A type of ICMP that no rule names: what only rules for everything match. */
const otherProtocol = { protocol: 'ICMP', port: 255 } as const;

function firstPacket({ from, to, protocol, port = 0 }: DeniedFlow): Flow {
  switch (protocol) {
    case 'TCP':
    case 'UDP':
    case 'SCTP':
      return { from, to, protocol, port };
    case 'ICMP':
    case 'ICMPv6':
      return { from, to, protocol: 'ICMP', port };
    default:
      return { from, to, ...otherProtocol };
  }
}
