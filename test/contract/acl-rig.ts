import type { FieldsOf } from '../../native/vpp-api/codec.ts';
import { ip, prefix } from '../../src/core/ip.ts';
import { addrFromIp } from '../../src/emulator/address.ts';
import { buildIp, icmpMessage } from '../../src/emulator/packet/build.ts';
import { Protocol } from '../../src/emulator/packet/headers.ts';
import { unset } from '../emulator/rig.ts';
import type { PacketSubject } from './packet-subject.ts';

export type Rule = FieldsOf<'acl_add_replace'>['r'][number];

export interface RuleSpec {
  readonly from?: string;
  readonly to?: string;
  readonly protocol?: number;
  /** Target port, or first and last. */
  readonly port?: number | readonly [number, number];
  /** Types of ICMP, the first and the last. */
  readonly types?: readonly [number, number];
}

const actions = { deny: 0, permit: 1, reflect: 2 } as const;

/** One rule; IPv6 when one of its ends is, or its protocol is ICMPv6. */
export function rule(action: keyof typeof actions, spec: RuleSpec = {}): Rule {
  const { from, to, protocol = 0, port, types } = spec;
  const isIp6 = protocol === Protocol.icmp6 || `${from}${to}`.includes(':');
  const any = isIp6 ? '::/0' : '0.0.0.0/0';
  const last = protocol === Protocol.icmp || protocol === Protocol.icmp6 ? 255 : 65_535;
  const [low, high] = typeof port === 'number' ? [port, port] : (port ?? [0, last]);
  return {
    is_permit: actions[action],
    src_prefix: prefix(from ?? any),
    dst_prefix: prefix(to ?? any),
    proto: protocol,
    srcport_or_icmptype_first: types?.[0] ?? 0,
    srcport_or_icmptype_last: types?.[1] ?? last,
    dstport_or_icmpcode_first: low,
    dstport_or_icmpcode_last: high,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}

/** The same for everything of both families. */
export const all = (action: keyof typeof actions): Rule[] => [
  rule(action),
  rule(action, { from: '::/0' }),
];

export async function putAcl(s: PacketSubject, r: readonly Rule[], index = unset) {
  const fields = { acl_index: index, tag: 'contract', r };
  return (await s.vpp.request('acl_add_replace', fields)).acl_index;
}

export interface Lists {
  readonly input?: readonly Rule[];
  readonly output?: readonly Rule[];
}

export interface Bound {
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/** Makes an ACL of each list and binds it; a list that is absent lets everything pass. */
export async function filter(s: PacketSubject, port: string, lists: Lists): Promise<Bound> {
  const make = async (rules: readonly Rule[] | undefined) =>
    rules === undefined ? [] : [await putAcl(s, rules)];
  const bound = { input: await make(lists.input), output: await make(lists.output) };
  await bind(s, s.index[port] ?? 0, bound);
  return bound;
}

export async function bind(s: PacketSubject, swIfIndex: number, { input, output }: Bound) {
  await s.vpp.request('acl_interface_set_acl_list', {
    sw_if_index: swIfIndex,
    n_input: input.length,
    acls: [...input, ...output],
  });
}

/** Nothing is filtered any more. */
export async function unfilter(s: PacketSubject) {
  for (const port of Object.keys(s.index)) await filter(s, port, {});
}

export async function prepareFilters(s: PacketSubject) {
  await s.vpp.request('cli_inband', { cmd: 'set acl-plugin reclassify-sessions 1' });
  await s.vpp.request('acl_stats_intf_counters_enable', { enable: true });
}

/** A packet of any protocol. */
export function raw(from: string, to: string, protocol: number, payload: Uint8Array): Buffer {
  const [source, target] = [addrFromIp(ip(from)), addrFromIp(ip(to))];
  return buildIp({ source, target, protocol, payload });
}

/** SCTP's common header and nothing behind it. */
export function sctp(from: string, to: string, ports: readonly [number, number]): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt16BE(ports[0], 0);
  header.writeUInt16BE(ports[1], 2);
  return raw(from, to, Protocol.sctp, header);
}

/** A message of neighbour discovery, or another that must come from the wire. */
export function nd(from: string, to: string, type: number, rest: Uint8Array): Buffer {
  return buildIp({
    source: addrFromIp(ip(from)),
    target: addrFromIp(ip(to)),
    protocol: Protocol.icmp6,
    hopLimit: 255,
    payload: icmpMessage(type, 0, 0, rest),
  });
}

/** An IPv6 packet in fragments of at most `step` bytes of its payload. */
export function fragment6(l3: Buffer, step: number): Buffer[] {
  const parts: Buffer[] = [];
  const body = l3.subarray(40);
  for (let at = 0; at < body.length; at += step) {
    const piece = body.subarray(at, at + step);
    const header = Buffer.alloc(8);
    header[0] = l3[6] ?? 0;
    header.writeUInt16BE(at | (at + step < body.length ? 1 : 0), 2);
    header.writeUInt32BE(4711, 4);
    const part = Buffer.concat([l3.subarray(0, 40), header, piece]);
    part[6] = Protocol.fragment;
    part.writeUInt16BE(part.length - 40, 4);
    parts.push(part);
  }
  return parts;
}
