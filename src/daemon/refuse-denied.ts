import { type Family, familyOf, type Ip } from '../core/ip.ts';
import { type Refusal, refusalOf } from '../host/refusal.ts';
import type { Attachment } from '../model/facts.ts';
import type { Facts } from '../model/store.ts';
import { judge } from '../policy/explain.ts';
import type { DeniedPacket } from '../vpp/capture-file.ts';
import type { FrontendIndex } from './frontend-index.ts';

/**
 * Answers what policies deny, in VPP's place, which only drops (NP-24).
 *
 * Best effort: an answer may be missing, late or too many, and no packet passes by any of it.
 * Answered is what a pod of this node sent, or was sent to one, as the MAC addresses show; what
 * other filters drop (the node's edge, source ranges) may carry any source and stays in silence.
 * So does what no policy of now denies: a pod that is not known yet will be let in a moment later.
 *
 * A client of a Service sent to a frontend, and what was captured shows the endpoint behind it.
 * Which frontend it was VPP does not tell, so each that leads there is named in an answer of its
 * own: the client's kernel takes the one that is about a socket of its, for TCP also by the
 * sequence number, and ignores the others.
 */
export interface Refuser {
  take(packets: readonly DeniedPacket[]): void;
}

export interface RefuserOptions {
  readonly facts: Facts;
  readonly frontends: FrontendIndex;
  readonly send: (refusal: Refusal) => void;
  /** Milliseconds that never step. */
  readonly monotonic: () => number;
  readonly log: (message: string, error: unknown) => void;
}

/** Answers in any second, all together. */
export const refusalsPerSecond = 100;
/** Frontends of one flow that are answered for. */
export const frontendsMax = 7;
/** The same flow is answered once in this time. */
export const silenceMs = 1000;

export function createRefuser(options: RefuserOptions): Refuser {
  const { facts, frontends, send, monotonic, log } = options;
  const answered = createRecent(monotonic);
  let complaint = '';

  const answer = (refusal: Refusal) => {
    try {
      send(refusal);
      complaint = '';
    } catch (error) {
      const said = String(error);
      if (said !== complaint) log('denied packets are not refused', error);
      complaint = said;
    }
  };
  const refuse = (packet: DeniedPacket) => {
    const attachment = podOf(facts, packet);
    if (attachment === undefined || answered.isFull()) return;
    const from = nodeAddresses(facts);
    if (refusalOf(packet.bytes, { from }) === undefined) return;
    // Counted before it is judged, so that judging is bounded, too.
    if (!answered.add(flowKey(packet))) return;
    if (!isDeniedNow(facts, attachment, packet)) return;
    const { destination: ip, port = 0, protocol } = packet;
    const rows = frontends.at(protocol, ip, port).slice(0, frontendsMax);
    for (const sentTo of [undefined, ...rows.map((row) => ({ ip: row.vip, port: row.port }))]) {
      if (sentTo !== undefined && !answered.add(flowKey(packet, sentTo))) continue;
      const refusal = refusalOf(packet.bytes, { from, ...(sentTo && { sentTo }) });
      if (refusal !== undefined) answer(refusal);
    }
  };

  return {
    take(packets) {
      for (const packet of packets) refuse(packet);
    },
  };
}

function flowKey(packet: DeniedPacket, sentTo?: { readonly ip: Ip; readonly port: number }) {
  const { protocol, source, sourcePort, destination, port } = packet;
  const to = sentTo === undefined ? `${destination} ${port}` : `${sentTo.ip} ${sentTo.port}`;
  return `${protocol} ${source} ${sourcePort} ${to}`;
}

/** What was answered within the last second: nothing twice, and `refusalsPerSecond` at most. */
function createRecent(monotonic: () => number) {
  // In the order of time, so the oldest are first.
  const keys = new Map<string, number>();
  const forget = () => {
    const now = monotonic();
    for (const [key, ms] of keys) {
      if (now - ms < silenceMs) break;
      keys.delete(key);
    }
  };
  const isFull = () => {
    forget();
    return keys.size >= refusalsPerSecond;
  };
  return {
    isFull,
    /** False: not now. */
    add(key: string): boolean {
      if (isFull() || keys.has(key)) return false;
      keys.set(key, monotonic());
      return true;
    },
  };
}

/**
 * The pod at whose interface the packet was denied. Both MAC addresses, because a machine beside
 * the node can send with those of a pod, but reaches no more than the node's own.
 */
function podOf({ attachments }: Facts, packet: DeniedPacket): Attachment | undefined {
  const isEgress = packet.direction === 'input';
  const [pod, gateway] = isEgress
    ? [packet.sourceMac, packet.destinationMac]
    : [packet.destinationMac, packet.sourceMac];
  const address = isEgress ? packet.source : packet.destination;
  for (const one of attachments.values())
    if (one.ips.includes(address)) return isEnd(one, pod, gateway) ? one : undefined;
  return undefined;
}

function isEnd(attachment: Attachment, mac: string, gatewayMac: string): boolean {
  return attachment.mac === mac && attachment.gatewayMac === gatewayMac;
}

/** By policies alone: a filter that waits for the pod or the policies names none. */
function isDeniedNow(facts: Facts, attachment: Attachment, packet: DeniedPacket): boolean {
  const pod = facts.pods.get(attachment.pod);
  if (pod === undefined) return false;
  const protocol = packet.protocol === 'TCP' ? 'TCP' : 'UDP';
  const { source: from, destination: to, port = 0 } = packet;
  const direction = packet.direction === 'input' ? 'Egress' : 'Ingress';
  const { allowed, policies } = judge(facts, pod, direction, { from, to, protocol, port });
  return !allowed && policies.length > 0;
}

/** What the kernel has at VPP's host link; the Node's own address first, when it is there. */
function nodeAddresses(facts: Facts): Partial<Record<Family, Ip>> {
  const own = facts.nodes.get(facts.config.get('config')?.nodeName ?? '')?.internalIps ?? [];
  const held = (facts.uplink.get('uplink')?.addresses ?? []).map(({ ip }) => ip);
  const wanted = [...own.filter((ip) => held.includes(ip)), ...held];
  const found: Partial<Record<Family, Ip>> = {};
  for (const ip of wanted) found[familyOf(ip)] ??= ip;
  return found;
}
