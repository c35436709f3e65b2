import { type Addr, addrInPrefix, type Family } from '../address.ts';
import {
  ethernetHeaderBytes,
  fragmentOffset,
  headerBytes,
  Protocol,
  protocolOf,
  sourceOf,
  targetOf,
} from '../packet/headers.ts';
import type { Interface } from '../plane/interfaces.ts';
import { byFamily, note, type Packet } from '../plane/packet.ts';
import { type AclTimeouts, createAclSessions, type Direction, type Fields } from './sessions.ts';

/** What a rule does; VPP's `acl_action`. */
export const AclAction = { deny: 0, permit: 1, reflect: 2 } as const;

export interface AclRule {
  readonly action: number;
  readonly source: { readonly addr: Addr; readonly length: number };
  readonly target: { readonly addr: Addr; readonly length: number };
  /** 0: any, ports ignored. */
  readonly protocol: number;
  /** Source ports, or ICMP types. */
  readonly first: readonly [number, number];
  /** Target ports, or ICMP codes. */
  readonly second: readonly [number, number];
  readonly tcpFlagsMask: number;
  readonly tcpFlagsValue: number;
}

export interface Acl {
  readonly index: number;
  tag: string;
  rules: readonly AclRule[];
  /** Packets and bytes that met a rule: one that opened a session, or each without sessions. */
  matches: { packets: number; bytes: number }[];
}

export interface AclBinding {
  readonly input: readonly number[];
  readonly output: readonly number[];
}

/**
 * The acl plugin: lists of rules, bound in order to each direction of an interface.
 *
 * First match wins; a list without a match denies, an interface without lists permits. A match of
 * permit+reflect opens a session of that interface that both directions use before any rule.
 */
export interface AccessLists {
  readonly all: ReadonlyMap<number, Acl>;
  readonly bindings: ReadonlyMap<number, AclBinding>;
  readonly timeouts: AclTimeouts;
  readonly sessionCount: number;
  /** Entries of the table of sessions. */
  sessionEntries: number;
  /** Changes of lists make the packets of their sessions meet them again. */
  reclassify: boolean;
  /** Matches are counted. */
  counting: boolean;
  put(index: number | undefined, tag: string, rules: readonly AclRule[]): Acl;
  remove(index: number): void;
  bind(interfaceIndex: number, binding: AclBinding): void;
  removeInterface(interfaceIndex: number): void;
  permits(packet: Packet, on: Interface, direction: Direction): boolean;
  /** What one list says of a packet by its rules alone; undefined when none matches. */
  action(index: number, packet: Packet): number | undefined;
}

export function createAccessLists(now: () => number): AccessLists {
  const all = new Map<number, Acl>();
  const bindings = new Map<number, AclBinding>();
  const timeouts: AclTimeouts = { udpIdle: 600, tcpIdle: 86_400, tcpTransient: 120 };
  const sessions = createAclSessions(now, timeouts);
  let nextIndex = 0;

  const aclChanged = (acl: number) => {
    if (!lists.reclassify) return;
    for (const [on, binding] of bindings)
      for (const direction of ['input', 'output'] as const)
        if (binding[direction].includes(acl)) sessions.listsChanged(on, direction);
  };
  const lists: AccessLists = {
    all,
    bindings,
    timeouts,
    reclassify: false,
    counting: false,
    get sessionCount() {
      return sessions.size;
    },
    get sessionEntries() {
      return sessions.tableEntries;
    },
    set sessionEntries(entries) {
      sessions.tableEntries = entries;
    },
    put(index, tag, rules) {
      const known = index === undefined ? undefined : all.get(index);
      if (known !== undefined) {
        Object.assign(known, { tag, rules, matches: freshMatches(rules, known.matches.length) });
        aclChanged(known.index);
        return known;
      }
      while (all.has(nextIndex)) nextIndex++;
      const created: Acl = { index: nextIndex, tag, rules, matches: freshMatches(rules, 0) };
      all.set(created.index, created);
      return created;
    },
    remove(index) {
      all.delete(index);
      nextIndex = Math.min(nextIndex, index);
    },
    bind(interfaceIndex, binding) {
      if (binding.input.length + binding.output.length === 0) bindings.delete(interfaceIndex);
      else bindings.set(interfaceIndex, binding);
      if (!lists.reclassify) return;
      sessions.listsChanged(interfaceIndex, 'input');
      sessions.listsChanged(interfaceIndex, 'output');
    },
    removeInterface(interfaceIndex) {
      bindings.delete(interfaceIndex);
      sessions.removeInterface(interfaceIndex);
    },
    permits(packet, on, direction) {
      const list = bindings.get(on.index)?.[direction] ?? [];
      if (list.length === 0) return true;
      const node = byFamily(direction === 'input' ? 'acl-plugin-in' : 'acl-plugin-out', packet);
      const fields = readFields(packet.l3, packet.family);
      const passage = { interface: on.index, direction, fields };
      if (sessions.admits(passage)) {
        note(packet, node, 'belongs to an open session');
        return true;
      }
      const match = firstMatch(all, list, fields);
      if (match !== undefined && lists.counting) count(match, packet, direction);
      const which =
        match === undefined ? 'no rule matches' : `ACL ${match.acl.index} rule ${match.rule}`;
      if (match === undefined || match.action === AclAction.deny) {
        note(packet, node, `${which}: deny`);
        return false;
      }
      const reflects = match.action === AclAction.reflect;
      if (reflects && !sessions.open(passage)) {
        note(packet, node, `${which}: too many sessions`);
        return false;
      }
      note(packet, node, `${which}: permit${reflects ? ' and reflect' : ''}`);
      return true;
    },
    action: (index, packet) =>
      firstMatch(all, [index], readFields(packet.l3, packet.family))?.action,
  };
  return lists;
}

/** All at 0; as many as there were, for VPP's vector never shrinks, and one more than rules. */
function freshMatches(rules: readonly AclRule[], before: number): Acl['matches'] {
  const length = Math.max(before, rules.length + 1);
  return Array.from({ length }, () => ({ packets: 0, bytes: 0 }));
}

interface Match {
  readonly acl: Acl;
  readonly rule: number;
  readonly action: number;
}

/** On output the buffer has its Ethernet header already, and VPP counts it. */
function count({ acl, rule }: Match, packet: Packet, direction: Direction): void {
  const counter = acl.matches[rule];
  if (counter === undefined) return;
  counter.packets++;
  counter.bytes += packet.l3.length + (direction === 'output' ? ethernetHeaderBytes : 0);
}

function firstMatch(
  all: ReadonlyMap<number, Acl>,
  indices: readonly number[],
  fields: Fields,
): Match | undefined {
  for (const index of indices) {
    const acl = all.get(index);
    if (acl === undefined) continue;
    const rule = acl.rules.findIndex((one) => ruleMatches(one, fields));
    if (rule >= 0) return { acl, rule, action: acl.rules[rule]?.action ?? AclAction.deny };
  }
  return undefined;
}

/** Fields of a packet; ports are those of TCP and UDP alone, and VPP reads no others. */
function readFields(l3: Buffer, family: Family): Fields {
  const { protocol, at, laterFragment } = transport(l3, family);
  const hasTransport = !laterFragment && at < l3.length;
  const common = {
    family,
    source: sourceOf(l3, family),
    target: targetOf(l3, family),
    protocol,
    laterFragment,
    hasTransport,
  };
  const isIcmp = protocol === (family === 4 ? Protocol.icmp : Protocol.icmp6);
  const isTcp = protocol === Protocol.tcp;
  if (!hasTransport || !(isIcmp || isTcp || protocol === Protocol.udp))
    return { ...common, first: 0, second: 0, tcpFlags: 0 };
  const byte = (offset: number) => l3[at + offset] ?? 0;
  const [first, second] = isIcmp
    ? [byte(0), byte(1)]
    : [byte(0) * 256 + byte(1), byte(2) * 256 + byte(3)];
  return { ...common, first, second, tcpFlags: isTcp ? byte(13) : 0 };
}

/** Extension headers that VPP's acl plugin looks through (VPP v26.06 `acl/acl.h`). */
const extensionHeaders: ReadonlySet<number> = new Set([0, 43, 60, 135, 139, 140, 253, 254]);

function transport(
  l3: Buffer,
  family: Family,
): { protocol: number; at: number; laterFragment: boolean } {
  let at = headerBytes(l3, family);
  let protocol = protocolOf(l3, family);
  if (family === 4) return { protocol, at, laterFragment: fragmentOffset(l3, 4) > 0 };
  while (at + 4 <= l3.length) {
    const next = l3[at] ?? 0;
    if (protocol === Protocol.fragment) {
      protocol = next;
      if (l3.readUInt16BE(at + 2) >> 3 > 0) return { protocol, at, laterFragment: true };
      at += 8;
    } else if (extensionHeaders.has(protocol)) {
      protocol = next;
      at += ((l3[at + 1] ?? 0) + 1) * 8;
    } else break;
  }
  return { protocol, at, laterFragment: false };
}

function ruleMatches(rule: AclRule, fields: Fields): boolean {
  if (!addrInPrefix(fields.source, rule.source.addr, rule.source.length)) return false;
  if (!addrInPrefix(fields.target, rule.target.addr, rule.target.length)) return false;
  if (rule.protocol === 0) return true;
  if (rule.protocol !== fields.protocol) return false;
  // Later fragments match any ports (facts: l4-match-nonfirst-fragment).
  if (fields.laterFragment) return true;
  if (!fields.hasTransport) return false;
  const { first, second } = fields;
  if (first < rule.first[0] || first > rule.first[1]) return false;
  if (second < rule.second[0] || second > rule.second[1]) return false;
  if (fields.protocol !== Protocol.tcp) return true;
  return (fields.tcpFlags & rule.tcpFlagsMask) === rule.tcpFlagsValue;
}
