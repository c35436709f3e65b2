import { acl_action } from '../../../native/vpp-api/catalogue/acl-types.ts';
import { ip_proto } from '../../../native/vpp-api/catalogue/ip-types.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { createLimit, type Limit } from '../../core/limit.ts';
import type { FilterListRow, FilterRow, FilterRule } from '../../desired/rows.ts';
import { none, noSuchEntry, tagPrefix, type VppDriverParts, type VppSession } from '../session.ts';
import { aclRule } from './gates.ts';

/** Lists of rules, by VPP's acl plugin: an ACL with our tag. */
export const filterParts: VppDriverParts<FilterRow> = {
  async dump(session) {
    session.handles.filters.clear();
    const details = await session.connection.dump('acl_dump', { acl_index: none });
    const ours = details.filter((entry) => entry.tag.startsWith(tagPrefix));
    return ours.map((entry) => {
      const name = entry.tag.slice(tagPrefix.length);
      session.handles.filters.set(name, entry.acl_index);
      const rules = entry.r.map(readRule);
      const whole = rules.every((rule) => rule !== undefined);
      const row = whole ? { name, rules: rules.filter((rule) => rule !== undefined) } : undefined;
      return { key: name, row };
    });
  },
  async put(session, row) {
    const reply = await session.connection.request('acl_add_replace', {
      acl_index: session.handles.filters.get(row.name) ?? none,
      tag: tagPrefix + row.name,
      r: row.rules.map(writeRule),
    });
    session.handles.filters.set(row.name, reply.acl_index);
  },
  async remove(session, name) {
    const index = session.handles.filters.get(name);
    if (index === undefined) return;
    await session.connection.request('acl_del', { acl_index: index }, { allow: [noSuchEntry] });
    session.handles.filters.delete(name);
  },
};

/** The filters of an interface. */
export const filterListParts: VppDriverParts<FilterListRow> = {
  async dump(session) {
    const names = new Map([...session.handles.filters].map(([name, index]) => [index, name]));
    const lists = await session.connection.dump('acl_interface_list_dump', { sw_if_index: none });
    session.handles.filtered.clear();
    return lists.flatMap((list) => {
      const name = session.handles.nameOf(list.sw_if_index);
      if (name === undefined || list.acls.length === 0) return [];
      session.handles.filtered.add(name);
      const acls = list.acls.map((index) => names.get(index) ?? '?');
      const [input, output] = [acls.slice(0, list.n_input), acls.slice(list.n_input)];
      return [{ key: name, row: { interface: name, input, output } }];
    });
  },
  async put(session, row) {
    const numbers = (names: readonly string[]) =>
      names.map((name) => {
        const index = session.handles.filters.get(name);
        if (index === undefined) throw new Error(`waiting for filter ${name}`);
        return index;
      });
    await limitOf(session)(() => {
      const lists = { input: numbers(row.input), output: numbers(row.output) };
      return writeLists(session, session.handles.need(row.interface), lists);
    });
    session.handles.filtered.add(row.interface);
  },
  async remove(session, name) {
    const swIfIndex = session.handles.interfaces.get(name);
    session.handles.filtered.delete(name);
    if (swIfIndex !== undefined) await writeLists(session, swIfIndex, { input: [], output: [] });
  },
};

/**
 * VPP does all requests that it reads together before it looks at packets again, and the lists of
 * a pod with 1,500 rules keep it for a millisecond. So it gets few of them at a time.
 */
const listsAtOnce = 4;

const limits = new WeakMap<VppSession, Limit>();

function limitOf(session: VppSession): Limit {
  const known = limits.get(session) ?? createLimit(listsAtOnce);
  limits.set(session, known);
  return known;
}

/** Both lists at once: VPP replaces them in one step. */
async function writeLists(
  session: VppSession,
  swIfIndex: number,
  { input, output }: { readonly input: readonly number[]; readonly output: readonly number[] },
): Promise<void> {
  await session.connection.request('acl_interface_set_acl_list', {
    sw_if_index: swIfIndex,
    n_input: input.length,
    acls: [...input, ...output],
  });
}

type AclRule = FieldsOf<'acl_add_replace'>['r'][number];

const protocolNumbers: { readonly [P in FilterRule['protocol']]: number } = {
  any: 0,
  TCP: ip_proto.IP_API_PROTO_TCP,
  UDP: ip_proto.IP_API_PROTO_UDP,
  SCTP: ip_proto.IP_API_PROTO_SCTP,
  ICMP: ip_proto.IP_API_PROTO_ICMP,
  ICMPv6: ip_proto.IP_API_PROTO_ICMP6,
};

const actions: { readonly [A in FilterRule['action']]: number } = {
  permit: acl_action.ACL_ACTION_API_PERMIT,
  reflect: acl_action.ACL_ACTION_API_PERMIT_REFLECT,
  deny: acl_action.ACL_ACTION_API_DENY,
};

function isIcmp(protocol: string): boolean {
  return protocol === 'ICMP' || protocol === 'ICMPv6';
}

function writeRule(rule: FilterRule): AclRule {
  const { source, destination, protocol } = rule;
  const base = {
    ...aclRule(true, source, destination, protocolNumbers[protocol]),
    is_permit: actions[rule.action],
    ...(isIcmp(protocol) ? { srcport_or_icmptype_last: 255, dstport_or_icmpcode_last: 255 } : {}),
  };
  if (rule.ports === undefined) return base;
  const [first, last] = rule.ports;
  return isIcmp(protocol)
    ? { ...base, srcport_or_icmptype_first: first, srcport_or_icmptype_last: last }
    : { ...base, dstport_or_icmpcode_first: first, dstport_or_icmpcode_last: last };
}

/** Undefined when we would not write such a rule: then the filter is written again. */
function readRule(rule: AclRule): FilterRule | undefined {
  const protocol = Object.entries(protocolNumbers).find(([, number]) => number === rule.proto)?.[0];
  const action = Object.entries(actions).find(([, number]) => number === rule.is_permit)?.[0];
  if (protocol === undefined || action === undefined) return undefined;
  const icmp = isIcmp(protocol);
  const first = icmp ? rule.srcport_or_icmptype_first : rule.dstport_or_icmpcode_first;
  const last = icmp ? rule.srcport_or_icmptype_last : rule.dstport_or_icmpcode_last;
  return {
    action: action as FilterRule['action'],
    source: rule.src_prefix,
    destination: rule.dst_prefix,
    protocol: protocol as FilterRule['protocol'],
    ...(first === 0 && last === (icmp ? 255 : 65_535) ? {} : { ports: [first, last] as const }),
  };
}
