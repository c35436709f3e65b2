import { type Addr, type Family, ipFromAddr } from '../address.ts';
import { Protocol } from '../packet/headers.ts';
import type { Interface } from '../plane/interfaces.ts';
import { byFamily, note, type Packet } from '../plane/packet.ts';
import { type Flow, type Rewrite, swapTuple, type Tuple, tupleOf } from './flow.ts';
import { type CnatLimits, createSessions, type Sessions } from './sessions.ts';
import { createSnatState, type SnatState, snatReason } from './snat.ts';
import { translatePacket } from './translate.ts';
import {
  chooseBackend,
  createTranslations,
  PathFlag,
  TranslationFlag,
  type Translations,
} from './translations.ts';

/**
 * cnat in feature mode: four nodes on the arcs of every enabled interface.
 *
 * lookup: finds the flow of a packet, or opens one, for whatever passes. input: before routing,
 * replaces the destination (or, for answers, undoes what the output did). output: after routing,
 * decides about the source address once per flow, or undoes. writeback: remembers the answers.
 *
 * Two consequences that surprise, both VPP's: only the very first packet of a flow is looked at
 * by the policies, so when it dies between input and writeback (no neighbour yet, an ACL), the
 * flow stays half made until it expires; and a flow of untranslated packets is a session too.
 * Source: VPP v26.06 `cnat_node_feature.c`, `cnat_node_lookup.c`, `cnat_inline.h`.
 */
export interface Cnat {
  readonly limits: CnatLimits;
  readonly translations: Translations;
  readonly sessions: Sessions;
  readonly snat: SnatState;
  lookup(packet: Packet): void;
  input(packet: Packet): Verdict;
  output(packet: Packet, out: Interface): Verdict;
  writeback(packet: Packet): void;
}

/** What becomes of a packet; `towards`: it leaves the arc for the route of that address. */
export type Verdict = 'go' | 'drop' | { readonly towards: Addr };

export function createCnat(limits: CnatLimits, nowSeconds: () => number): Cnat {
  const cnat = {
    limits,
    translations: createTranslations(limits.maglevLength),
    sessions: createSessions(limits),
    snat: createSnatState(),
  };
  return {
    ...cnat,
    lookup: (packet) => lookup(cnat.sessions, packet, nowSeconds()),
    input: (packet) => input(cnat, packet),
    output: (packet, out) => output(cnat, packet, out),
    writeback: (packet) => writeback(cnat.sessions, packet),
  };
}

type State = Pick<Cnat, 'limits' | 'translations' | 'sessions' | 'snat'>;

function lookup(sessions: Sessions, packet: Packet, now: number): void {
  packet.noReturnFlow = false;
  packet.flow = undefined;
  const tuple = tupleOf(packet.l3, packet.family);
  if (tuple === undefined) {
    packet.flowState = 'error';
    note(packet, byFamily('cnat-lookup', packet), 'not a flow that cnat tracks');
    return;
  }
  const hit = sessions.find(tuple, now);
  if (hit !== undefined) {
    packet.flow = hit.flow;
    packet.flowState = hit.isReturn ? 'return' : 'found';
    const what = hit.isReturn ? 'answers' : 'continues';
    note(packet, byFamily('cnat-lookup', packet), `${what} flow ${hit.flow.id}`);
    return;
  }
  packet.flow = sessions.open(tuple, now);
  packet.flowState = packet.flow === undefined ? 'error' : 'new';
  const text =
    packet.flow === undefined ? 'the session table is full' : `opens flow ${packet.flow.id}`;
  note(packet, byFamily('cnat-lookup', packet), text);
}

function input(state: State, packet: Packet): Verdict {
  const node = byFamily('cnat-input', packet);
  const flow = packet.flow;
  if (flow === undefined) return 'go';
  if (packet.flowState === 'new') return inputNew(state, packet, flow, node);
  const rewrite = packet.flowState === 'return' ? flow.returnInput : flow.input;
  return apply(state, packet, flow, { rewrite, node });
}

function inputNew(state: State, packet: Packet, flow: Flow, node: string): Verdict {
  const { l3, family } = packet;
  const header = family === 4 ? 20 : 40;
  const protocol = (family === 4 ? l3[9] : l3[6]) ?? 0;
  const target = family === 4 ? l3.toString('latin1', 16, 20) : l3.toString('latin1', 24, 40);
  if (!state.translations.isVip(target as Addr)) return 'go';
  const port = l3.readUInt16BE(header + 2);
  const translation = state.translations.find(target as Addr, port, protocol);
  if (translation === undefined) {
    note(packet, node, `no translation for port ${port}: the route of the address decides`);
    return 'go';
  }
  translation.packets++;
  translation.bytes += l3.length;
  const tracker = chooseBackend(translation, l3, family);
  if (tracker === undefined) {
    flow.input = { tuple: flow.original, towards: undefined, drop: true };
    note(packet, node, `translation ${translation.id} has no backend: dropped`);
    return 'drop';
  }
  const before = tupleOf(l3, family) ?? flow.original;
  const after: Tuple = {
    ...before,
    target: tracker.addr,
    targetPort: tracker.port === 0 ? before.targetPort : tracker.port,
  };
  flow.tracker = tracker;
  const noNat = (tracker.flags & PathFlag.noNat) !== 0;
  flow.input = { tuple: after, towards: noNat ? tracker.addr : undefined, drop: false };
  if (translation.flags & TranslationFlag.noReturnSession) packet.noReturnFlow = true;
  else flow.returnOutput = { tuple: swapTuple(before), towards: undefined, drop: false };
  note(packet, node, `translation ${translation.id} chooses ${formatEnd(tracker)}`);
  return apply(state, packet, flow, { rewrite: flow.input, node });
}

function output(state: State, packet: Packet, out: Interface): Verdict {
  const node = byFamily('cnat-output', packet);
  const flow = packet.flow;
  if (flow === undefined || packet.flowState === 'done') return 'go';
  if (packet.flowState === 'new') return outputNew(state, packet, flow, { out, node });
  const rewrite = packet.flowState === 'return' ? flow.returnOutput : flow.output;
  return apply(state, packet, flow, { rewrite, node });
}

function outputNew(
  state: State,
  packet: Packet,
  flow: Flow,
  at: { readonly out: Interface; readonly node: string },
): Verdict {
  const { snat } = state;
  if (!snat.configured) return 'go';
  const before = tupleOf(packet.l3, packet.family);
  if (before === undefined) return 'go';
  const reason = snatReason(snat, packet.family, before, packet.rx.index, at.out.index);
  if (reason === undefined) return 'go';
  const addr = snatAddress(snat, packet.family);
  const port = addr === undefined ? undefined : state.sessions.allocatePort(before.protocol);
  if (addr === undefined || port === undefined) {
    flow.output = { tuple: before, towards: undefined, drop: true };
    note(packet, at.node, `masquerade because ${reason}, but no address or port is left: dropped`);
    return 'drop';
  }
  flow.allocatedPort = { port, protocol: before.protocol };
  const after: Tuple = {
    ...before,
    source: addr,
    sourcePort: port,
    // ICMP has one identifier, which stands in both ports; VPP forgets ICMPv6 here, so a ping6
    // is not un-masqueraded (facts: observed).
    targetPort: before.protocol === Protocol.icmp ? port : before.targetPort,
  };
  flow.output = { tuple: after, towards: undefined, drop: false };
  flow.returnInput = { tuple: swapTuple(before), towards: undefined, drop: false };
  note(packet, at.node, `masquerade: ${reason}`);
  return apply(state, packet, flow, { rewrite: flow.output, node: at.node });
}

function snatAddress(snat: SnatState, family: Family): Addr | undefined {
  return family === 4 ? snat.addr4 : snat.addr6;
}

function writeback(sessions: Sessions, packet: Packet): void {
  const flow = packet.flow;
  if (flow === undefined || packet.flowState !== 'new') return;
  packet.flowState = 'done';
  if (packet.noReturnFlow) return;
  sessions.addReturn(flow, swapTuple(forwardTuple(flow)));
  note(packet, byFamily('cnat-writeback', packet), `answers will belong to flow ${flow.id}`);
}

/** What the packet looks like when it has left: the output's rewrite, else the input's. */
function forwardTuple(flow: Flow): Tuple {
  if (flow.output !== undefined && flow.returnInput !== undefined) return flow.output.tuple;
  const input = flow.input;
  if (input !== undefined && input.towards === undefined && flow.returnOutput !== undefined)
    return input.tuple;
  return flow.input?.tuple ?? flow.original;
}

function apply(
  state: State,
  packet: Packet,
  flow: Flow,
  at: { readonly rewrite: Rewrite | undefined; readonly node: string },
): Verdict {
  const { rewrite, node } = at;
  if (rewrite === undefined) return 'go';
  if (rewrite.drop) return 'drop';
  if (rewrite.towards !== undefined) {
    note(packet, node, `unchanged towards ${ipFromAddr(rewrite.towards)}`);
    return { towards: rewrite.towards };
  }
  translatePacket(packet.l3, packet.family, rewrite.tuple, flow, state.limits.tcpMaxAgeSeconds);
  const { tuple } = rewrite;
  if (packet.steps !== undefined) {
    const from = formatEnd({ addr: tuple.source, port: tuple.sourcePort });
    const to = formatEnd({ addr: tuple.target, port: tuple.targetPort });
    note(packet, node, `becomes ${from} > ${to}`);
  }
  return 'go';
}

export function formatEnd(end: { readonly addr: Addr; readonly port: number }): string {
  const ip = ipFromAddr(end.addr);
  return end.addr.length === 4 ? `${ip}:${end.port}` : `[${ip}]:${end.port}`;
}
