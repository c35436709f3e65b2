import type { Addr, Family } from '../address.ts';
import { readAddr } from '../address.ts';
import { isEcho, isIcmp4Error, isIcmp6CnatError, Protocol } from '../packet/headers.ts';

/**
 * Flows and their five-tuples.
 *
 * One flow is one conversation. Two keys in the session table lead to it: the tuple of the first
 * packet and the tuple of the answers. A flow carries up to four rewrites: forward and return,
 * each at the input (before routing) and at the output (after it).
 * Source: VPP v26.06 `cnat_types.h` (`cnat_timestamp_t`), `cnat_session.h`.
 */
export interface Tuple {
  readonly source: Addr;
  readonly target: Addr;
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly protocol: number;
}

/** A backend of a translation, as flows remember it. */
export interface Tracker {
  readonly addr: Addr;
  readonly port: number;
  /** Identity together with the address and port; no other meaning in feature mode. */
  readonly sourceAddr: Addr;
  readonly sourcePort: number;
  readonly flags: number;
  /** Its flows die at the next scan. */
  deleted: boolean;
}

export interface Rewrite {
  readonly tuple: Tuple;
  /** Forward the packet unchanged to where the backend's route leads. */
  readonly towards: Addr | undefined;
  /** No backend or no address to translate to. */
  readonly drop: boolean;
}

export interface Flow {
  readonly id: number;
  readonly original: Tuple;
  /** Seconds, by the plane's clock. */
  lastSeen: number;
  /** Seconds without a packet until the flow is stale. */
  lifetime: number;
  tracker: Tracker | undefined;
  input: Rewrite | undefined;
  output: Rewrite | undefined;
  returnInput: Rewrite | undefined;
  returnOutput: Rewrite | undefined;
  /** Keys in the session table. */
  forwardKey: string;
  returnKey: string | undefined;
  /** A port to give back when the flow ends. */
  allocatedPort: { readonly port: number; readonly protocol: number } | undefined;
}

export function swapTuple(tuple: Tuple): Tuple {
  return {
    source: tuple.target,
    target: tuple.source,
    sourcePort: tuple.targetPort,
    targetPort: tuple.sourcePort,
    protocol: tuple.protocol,
  };
}

export function tupleKey(tuple: Tuple): string {
  return (
    tuple.source +
    tuple.target +
    String.fromCharCode(tuple.sourcePort, tuple.targetPort, tuple.protocol)
  );
}

/**
 * The five-tuple that cnat sees: of the packet, or for an ICMP error that of the packet inside,
 * turned around. Undefined for what cnat leaves alone. Like VPP it takes the transport header to
 * follow 20 or 40 bytes after the start, so IPv6 extension headers are not looked through.
 */
export function tupleOf(l3: Buffer, family: Family): Tuple | undefined {
  return tupleAt(l3, family, 0, false);
}

function tupleAt(l3: Buffer, family: Family, at: number, inner: boolean): Tuple | undefined {
  const header = family === 4 ? 20 : 40;
  if (l3.length < at + header + 4) return undefined;
  const protocol = (family === 4 ? l3[at + 9] : l3[at + 6]) ?? 0;
  const body = at + header;
  if (protocol === (family === 4 ? Protocol.icmp : Protocol.icmp6)) {
    const type = l3[body] ?? 0;
    if (isEcho(type, family) && l3.length >= body + 8) {
      const id = l3.readUInt16BE(body + 4);
      return makeTuple(l3, family, at, { from: id, to: id, protocol, turned: inner });
    }
    const error = family === 4 ? isIcmp4Error(type) : isIcmp6CnatError(type);
    return error && !inner ? tupleAt(l3, family, body + 8, true) : undefined;
  }
  const ported =
    protocol === Protocol.tcp || protocol === Protocol.udp || protocol === Protocol.sctp;
  // VPP takes whatever protocol the inner packet has; only ported ones can match a session.
  if (!ported) return undefined;
  const from = l3.readUInt16BE(body);
  const to = l3.readUInt16BE(body + 2);
  return makeTuple(l3, family, at, { from, to, protocol, turned: inner });
}

function makeTuple(
  l3: Buffer,
  family: Family,
  at: number,
  parts: { from: number; to: number; protocol: number; turned: boolean },
): Tuple {
  const length = family === 4 ? 4 : 16;
  const source = readAddr(l3, at + (family === 4 ? 12 : 8), length);
  const target = readAddr(l3, at + (family === 4 ? 16 : 24), length);
  const { from, to, protocol } = parts;
  if (parts.turned) {
    return { source: target, target: source, sourcePort: to, targetPort: from, protocol };
  }
  return { source, target, sourcePort: from, targetPort: to, protocol };
}
