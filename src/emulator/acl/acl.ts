import { type Addr, addrInPrefix, type Family } from '../address.ts';
import {
  fragmentOffset,
  headerBytes,
  isFragment,
  Protocol,
  protocolOf,
  sourceOf,
  targetOf,
} from '../packet/headers.ts';
import type { Interface } from '../plane/interfaces.ts';
import { byFamily, note, type Packet } from '../plane/packet.ts';
import { type AclTimeouts, createAclSessions, type Fields } from './sessions.ts';

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
  /** Packets and bytes of each rule: what opened sessions, or every packet of stateless rules. */
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
  /** Sessions that the rules would no longer open are forgotten at the next packet. */
  reclassify: boolean;
  put(index: number | undefined, tag: string, rules: readonly AclRule[]): Acl;
  remove(index: number): void;
  bind(interfaceIndex: number, binding: AclBinding): void;
  permits(packet: Packet, on: Interface, direction: 'input' | 'output'): boolean;
  /** What one list says of a packet by its rules alone; undefined when none matches. */
  action(index: number, packet: Packet): number | undefined;
}

export function createAccessLists(now: () => number): AccessLists {
  const all = new Map<number, Acl>();
  const bindings = new Map<number, AclBinding>();
  const timeouts: AclTimeouts = { udpIdle: 600, tcpIdle: 86_400, tcpTransient: 120 };
  const sessions = createAclSessions(now, timeouts);
  let nextIndex = 0;

  const lists: AccessLists = {
    all,
    bindings,
    timeouts,
    reclassify: false,
    get sessionCount() {
      return sessions.size;
    },
    put(index, tag, rules) {
      sessions.rulesChanged();
      const matches = rules.map(() => ({ packets: 0, bytes: 0 }));
      const known = index === undefined ? undefined : all.get(index);
      if (known !== undefined) {
        Object.assign(known, { tag, rules, matches });
        return known;
      }
      while (all.has(nextIndex)) nextIndex++;
      const created: Acl = { index: nextIndex, tag, rules, matches };
      all.set(created.index, created);
      return created;
    },
    remove(index) {
      sessions.rulesChanged();
      all.delete(index);
      nextIndex = Math.min(nextIndex, index);
    },
    bind(interfaceIndex, binding) {
      sessions.rulesChanged();
      if (binding.input.length + binding.output.length === 0) bindings.delete(interfaceIndex);
      else bindings.set(interfaceIndex, binding);
    },
    permits(packet, on, direction) {
      const binding = bindings.get(on.index);
      if (binding === undefined || binding[direction].length === 0) return true;
      const node = byFamily(direction === 'input' ? 'acl-plugin-in' : 'acl-plugin-out', packet);
      const fields = readFields(packet.l3, packet.family);
      const key = sessionKey(on.index, fields);
      if (key !== undefined && sessions.admits(key, fields, direction, lists.reclassify)) {
        note(packet, node, 'belongs to an open session');
        return true;
      }
      const match = firstMatch(all, binding[direction], fields, packet.l3.length);
      const which =
        match === undefined ? 'no rule matches' : `ACL ${match.index} rule ${match.rule}`;
      if (match === undefined || match.action === AclAction.deny) {
        note(packet, node, `${which}: deny`);
        return false;
      }
      const reflects = match.action === AclAction.reflect;
      if (reflects && key !== undefined) sessions.open(key, fields, direction);
      note(packet, node, `${which}: permit${reflects ? ' and reflect' : ''}`);
      return true;
    },
    action: (index, packet) =>
      firstMatch(all, [index], readFields(packet.l3, packet.family), packet.l3.length)?.action,
  };
  return lists;
}

function firstMatch(
  all: ReadonlyMap<number, Acl>,
  indices: readonly number[],
  fields: Fields,
  bytes: number,
): { readonly action: number; readonly index: number; readonly rule: number } | undefined {
  for (const index of indices) {
    const acl = all.get(index);
    for (const [i, rule] of (acl?.rules ?? []).entries()) {
      if (!ruleMatches(rule, fields)) continue;
      const counter = acl?.matches[i];
      if (counter !== undefined) {
        counter.packets++;
        counter.bytes += bytes;
      }
      return { action: rule.action, index, rule: i };
    }
  }
  return undefined;
}

function readFields(l3: Buffer, family: Family): Fields {
  const source = sourceOf(l3, family);
  const target = targetOf(l3, family);
  const later = isFragment(l3, family) && fragmentOffset(l3, family) > 0;
  const { protocol, at } = transport(l3, family);
  const isIcmp = protocol === Protocol.icmp || protocol === Protocol.icmp6;
  const short = later || l3.length < at + 4;
  const first = short ? 0 : isIcmp ? (l3[at] ?? 0) : l3.readUInt16BE(at);
  const second = short ? 0 : isIcmp ? (l3[at + 1] ?? 0) : l3.readUInt16BE(at + 2);
  const tcpFlags = !short && protocol === Protocol.tcp ? (l3[at + 13] ?? 0) : 0;
  return { source, target, protocol, first, second, tcpFlags, laterFragment: later };
}

/** Looks through the extension headers that VPP's acl plugin knows. */
function transport(l3: Buffer, family: Family): { protocol: number; at: number } {
  let at = headerBytes(l3, family);
  let protocol = protocolOf(l3, family);
  if (family === 4) return { protocol, at };
  const skipped: readonly number[] = [0, 43, 60];
  while (at + 8 <= l3.length && (skipped.includes(protocol) || protocol === Protocol.fragment)) {
    const length = protocol === Protocol.fragment ? 8 : ((l3[at + 1] ?? 0) + 1) * 8;
    protocol = l3[at] ?? 0;
    at += length;
  }
  return { protocol, at };
}

function ruleMatches(rule: AclRule, fields: Fields): boolean {
  if (!addrInPrefix(fields.source, rule.source.addr, rule.source.length)) return false;
  if (!addrInPrefix(fields.target, rule.target.addr, rule.target.length)) return false;
  if (rule.protocol === 0) return true;
  if (rule.protocol !== fields.protocol) return false;
  // Later fragments match any ports (facts: l4-match-nonfirst-fragment).
  if (fields.laterFragment) return true;
  const { first, second } = fields;
  if (first < rule.first[0] || first > rule.first[1]) return false;
  if (second < rule.second[0] || second > rule.second[1]) return false;
  return (fields.tcpFlags & rule.tcpFlagsMask) === rule.tcpFlagsValue;
}

/** The same key for both directions; undefined for what opens no session. */
function sessionKey(interfaceIndex: number, fields: Fields): string | undefined {
  if (fields.laterFragment) return undefined;
  const { protocol } = fields;
  if (protocol === Protocol.icmp || protocol === Protocol.icmp6) {
    const echo = protocol === Protocol.icmp ? [0, 8] : [128, 129];
    if (!echo.includes(fields.first)) return undefined;
    const ends = [fields.source, fields.target].toSorted().join('');
    return `${interfaceIndex} ${protocol} ${ends}`;
  }
  const a = fields.source + String.fromCharCode(fields.first);
  const b = fields.target + String.fromCharCode(fields.second);
  return `${interfaceIndex} ${protocol} ${a < b ? a + b : b + a}`;
}
