import { ip_proto } from '../../../native/vpp-api/catalogue/ip-types.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
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

/** The filters of an interface's input. */
export const filterListParts: VppDriverParts<FilterListRow> = {
  async dump(session) {
    const names = new Map([...session.handles.filters].map(([name, index]) => [index, name]));
    const lists = await session.connection.dump('acl_interface_list_dump', { sw_if_index: none });
    return lists.flatMap((list) => {
      const name = session.handles.nameOf(list.sw_if_index);
      if (name === undefined || list.acls.length === 0) return [];
      const input = list.acls.slice(0, list.n_input).map((index) => names.get(index) ?? '?');
      const whole = list.n_input === list.acls.length;
      return [{ key: name, row: whole ? { interface: name, input } : undefined }];
    });
  },
  async put(session, row) {
    const acls = row.input.map((name) => {
      const index = session.handles.filters.get(name);
      if (index === undefined) throw new Error(`waiting for filter ${name}`);
      return index;
    });
    await writeList(session, session.handles.need(row.interface), acls);
  },
  async remove(session, name) {
    const swIfIndex = session.handles.interfaces.get(name);
    if (swIfIndex !== undefined) await writeList(session, swIfIndex, []);
  },
};

async function writeList(
  session: VppSession,
  swIfIndex: number,
  acls: readonly number[],
): Promise<void> {
  await session.connection.request('acl_interface_set_acl_list', {
    sw_if_index: swIfIndex,
    n_input: acls.length,
    acls,
  });
}

type AclRule = FieldsOf<'acl_add_replace'>['r'][number];

const protocolNumbers: { readonly [P in FilterRule['protocol']]: number } = {
  any: 0,
  TCP: ip_proto.IP_API_PROTO_TCP,
  UDP: ip_proto.IP_API_PROTO_UDP,
  SCTP: ip_proto.IP_API_PROTO_SCTP,
  ICMPv6: ip_proto.IP_API_PROTO_ICMP6,
};

function writeRule(rule: FilterRule): AclRule {
  const base = aclRule(rule.permit, rule.source, rule.destination, protocolNumbers[rule.protocol]);
  if (rule.ports === undefined) return base;
  const [first, last] = rule.ports;
  return rule.protocol === 'ICMPv6'
    ? {
        ...base,
        srcport_or_icmptype_first: first,
        srcport_or_icmptype_last: last,
        dstport_or_icmpcode_last: 255,
      }
    : { ...base, dstport_or_icmpcode_first: first, dstport_or_icmpcode_last: last };
}

/** Undefined when we would not write such a rule: then the filter is written again. */
function readRule(rule: AclRule): FilterRule | undefined {
  const protocol = Object.entries(protocolNumbers).find(([, number]) => number === rule.proto)?.[0];
  if (protocol === undefined) return undefined;
  const icmp = protocol === 'ICMPv6';
  const first = icmp ? rule.srcport_or_icmptype_first : rule.dstport_or_icmpcode_first;
  const last = icmp ? rule.srcport_or_icmptype_last : rule.dstport_or_icmpcode_last;
  return {
    permit: rule.is_permit === 1,
    source: rule.src_prefix,
    destination: rule.dst_prefix,
    protocol: protocol as FilterRule['protocol'],
    ...(first === 0 && last === 65_535 ? {} : { ports: [first, last] as const }),
  };
}
