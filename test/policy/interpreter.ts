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

/**
 * The packet as it meets filters: an echo request has its type. VPP reads the ports of TCP and UDP
 * only (v26.06, plugins/acl/public_inlines.h: acl_fill_5tuple_l4_and_pkt_data); others are 0 to it.
 */
export function frameOf(packet: Packet): Frame {
  const { protocol, to } = packet;
  if (protocol === 'TCP' || protocol === 'UDP') return { ...packet, protocol };
  if (protocol !== 'ICMP') return { ...packet, protocol, port: 0 };
  return to.includes(':')
    ? { ...packet, protocol: 'ICMPv6', port: 128 }
    : { ...packet, protocol, port: 8 };
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
    filter.rules.forEach(assertSound);
    return filter.rules;
  });
  return rules.find((rule) => matchesRule(rule, frame))?.action ?? 'deny';
}

/** VPP takes any nonsense; a rule that can match nothing is a defect of who made it. */
function assertSound(rule: FilterRule): void {
  const [first, last] = rule.ports ?? [0, 65535];
  const text = JSON.stringify(rule);
  assert.ok(0 <= first && first <= last && last <= 65535, text);
  assert.equal(rule.source.includes(':'), rule.destination.includes(':'), text);
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
