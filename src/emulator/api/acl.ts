import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { familyOf, prefixOf } from '../../core/ip.ts';
import type { Acl, AclRule } from '../acl/acl.ts';
import { addrPrefix, ipFromAddr } from '../address.ts';
import { noInterface } from '../plane/interfaces.ts';
import { type Answers, Retval, type World } from './world.ts';

type ApiRule = FieldsOf<'acl_add_replace'>['r'][number];

/** The acl plugin. Source: VPP v26.06 `plugins/acl/acl.c`. */
export function aclAnswers(world: World): Answers {
  return { ...listAnswers(world), ...bindingAnswers(world) };
}

function listAnswers(world: World): Answers {
  const { acl } = world.plane;
  return {
    acl_plugin_get_version: () => ({ major: 1, minor: 4 }),
    acl_add_replace(fields) {
      const index = fields.acl_index === noInterface ? undefined : fields.acl_index;
      if (index !== undefined && !acl.all.has(index))
        return { acl_index: fields.acl_index, retval: Retval.noSuchEntry };
      const wrong = wrongRule(fields.r);
      if (wrong !== undefined) return { acl_index: fields.acl_index, retval: wrong };
      const one = acl.put(index, fields.tag, fields.r.map(readRule));
      return { acl_index: one.index, retval: 0 };
    },
    acl_del(fields) {
      if (!acl.all.has(fields.acl_index)) return { retval: Retval.noSuchEntry };
      const bindings = [...acl.bindings.values()];
      if (bindings.some((b) => b.input.includes(fields.acl_index)))
        return { retval: Retval.aclInUseInbound };
      if (bindings.some((b) => b.output.includes(fields.acl_index)))
        return { retval: Retval.aclInUseOutbound };
      acl.remove(fields.acl_index);
      return { retval: 0 };
    },
    *acl_dump(fields) {
      for (const one of [...acl.all.values()].toSorted((a, b) => a.index - b.index)) {
        if (fields.acl_index === noInterface || fields.acl_index === one.index)
          yield describeAcl(one);
      }
    },
    acl_stats_intf_counters_enable(fields) {
      acl.counting = fields.enable;
      return { retval: 0 };
    },
    acl_plugin_get_conn_table_max_entries: () => ({
      conn_table_max_entries: BigInt(acl.sessionEntries),
    }),
  };
}

function bindingAnswers(world: World): Answers {
  const { acl, interfaces } = world.plane;
  return {
    acl_interface_set_acl_list(fields) {
      if (interfaces.get(fields.sw_if_index) === undefined)
        return { retval: Retval.invalidSwIfIndex };
      if (fields.acls.some((index) => !acl.all.has(index))) return { retval: Retval.noSuchEntry };
      const input = fields.acls.slice(0, fields.n_input);
      const output = fields.acls.slice(fields.n_input);
      if (hasTwice(output)) return { retval: Retval.entryAlreadyExists };
      const before = acl.bindings.get(fields.sw_if_index)?.input ?? [];
      // VPP has written the output by then, and answers 1 for whatever is wrong with the input.
      acl.bind(fields.sw_if_index, { input: hasTwice(input) ? before : input, output });
      return { retval: hasTwice(input) ? 1 : 0 };
    },
    *acl_interface_list_dump(fields) {
      for (const index of [...interfaces.all.keys()].toSorted((a, b) => a - b)) {
        if (fields.sw_if_index !== noInterface && fields.sw_if_index !== index) continue;
        const binding = acl.bindings.get(index);
        if (binding === undefined && fields.sw_if_index === noInterface) continue;
        const input = binding?.input ?? [];
        yield {
          sw_if_index: index,
          n_input: input.length,
          acls: [...input, ...(binding?.output ?? [])],
        };
      }
    },
  };
}

function hasTwice(indices: readonly number[]): boolean {
  return new Set(indices).size < indices.length;
}

/** What VPP says of the first rule that cannot be; undefined when there is none. */
function wrongRule(rules: readonly ApiRule[]): number | undefined {
  for (const rule of rules) {
    if (familyOf(rule.src_prefix) !== familyOf(rule.dst_prefix)) return Retval.invalidSrcAddress;
    if (rule.srcport_or_icmptype_first > rule.srcport_or_icmptype_last) return Retval.invalidValue2;
    if (rule.dstport_or_icmpcode_first > rule.dstport_or_icmpcode_last) return Retval.invalidValue2;
  }
  return undefined;
}

function readRule(rule: ApiRule): AclRule {
  return {
    action: rule.is_permit,
    source: addrPrefix(rule.src_prefix),
    target: addrPrefix(rule.dst_prefix),
    protocol: rule.proto,
    first: [rule.srcport_or_icmptype_first, rule.srcport_or_icmptype_last],
    second: [rule.dstport_or_icmpcode_first, rule.dstport_or_icmpcode_last],
    tcpFlagsMask: rule.tcp_flags_mask,
    tcpFlagsValue: rule.tcp_flags_value,
  };
}

function describeAcl(one: Acl): FieldsOf<'acl_details'> {
  return {
    acl_index: one.index,
    tag: one.tag,
    r: one.rules.map((rule) => ({
      is_permit: rule.action,
      src_prefix: prefixOf(ipFromAddr(rule.source.addr), rule.source.length),
      dst_prefix: prefixOf(ipFromAddr(rule.target.addr), rule.target.length),
      proto: rule.protocol,
      srcport_or_icmptype_first: rule.first[0],
      srcport_or_icmptype_last: rule.first[1],
      dstport_or_icmpcode_first: rule.second[0],
      dstport_or_icmpcode_last: rule.second[1],
      tcp_flags_mask: rule.tcpFlagsMask,
      tcp_flags_value: rule.tcpFlagsValue,
    })),
  };
}
