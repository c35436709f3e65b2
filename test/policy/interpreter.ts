import assert from 'node:assert/strict';
import { type Ip, prefixContains } from '../../src/core/ip.ts';
import type { Desired } from '../../src/desired/desired.ts';
import type { FilterListRow, FilterRow, FilterRule } from '../../src/desired/rows.ts';
import type { Packet } from './reference.ts';

/** What filters ask of a packet; one of ICMP has a type in place of a port. */
export interface Frame {
  readonly from: Ip;
  readonly to: Ip;
  readonly protocol: FilterRule['protocol'] | number;
  readonly port: number;
}

/** The packet as it meets filters: an echo request has its type, and SCTP no port (VPP, acl). */
export function frameOf(packet: Packet): Frame {
  if (packet.protocol === 'SCTP') return { ...packet, port: 0 };
  if (packet.protocol !== 'ICMP') return packet;
  return packet.to.includes(':')
    ? { ...packet, protocol: 'ICMPv6', port: 128 }
    : { ...packet, protocol: 'ICMP', port: 8 };
}

/** As the rows of an interface say. `none`: there are no filters, so it passes without a session. */
export type Outcome = FilterRule['action'] | 'none';

/**
 * What becomes of a frame by the filters of one direction: the first rule that matches decides, of
 * the filters in the order of the list. Nothing matches: denied.
 */
export function runFilters(
  desired: Desired,
  interfaceName: string,
  direction: 'input' | 'output',
  frame: Frame,
): Outcome {
  const lists = desired.row('filterLists', interfaceName) as FilterListRow | undefined;
  const names = lists?.[direction] ?? [];
  if (names.length === 0) return 'none';
  const rules = names.flatMap((name) => {
    const filter = desired.row('filters', name) as FilterRow | undefined;
    assert.ok(filter, `${interfaceName} wants a filter that there is not: ${name}`);
    return filter.rules;
  });
  return rules.find((rule) => matchesRule(rule, frame))?.action ?? 'deny';
}

function matchesRule(rule: FilterRule, frame: Frame): boolean {
  const [first, last] = rule.ports ?? [0, 65535];
  return (
    prefixContains(rule.source, frame.from) &&
    prefixContains(rule.destination, frame.to) &&
    (rule.protocol === 'any' ||
      (rule.protocol === frame.protocol && first <= frame.port && frame.port <= last))
  );
}
