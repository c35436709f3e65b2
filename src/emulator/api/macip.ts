import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { prefixOf } from '../../core/ip.ts';
import { AclAction } from '../acl/acl.ts';
import type { SourceRule } from '../acl/macip.ts';
import { addrPrefix, ipFromAddr } from '../address.ts';
import { noInterface } from '../plane/interfaces.ts';
import { type Answers, Retval, type World } from './world.ts';

/** MACIP ACLs of the acl plugin. Source: VPP v26.06 `plugins/acl/acl.c`. */
export function macipAnswers(world: World): Answers {
  const { sources, interfaces } = world.plane;
  return {
    macip_acl_add_replace(fields) {
      const index = fields.acl_index === noInterface ? undefined : fields.acl_index;
      if (index !== undefined && !sources.all.has(index))
        return { acl_index: fields.acl_index, retval: Retval.noSuchEntry };
      if (fields.r.some((rule) => rule.src_mac_mask !== anyMac))
        return { acl_index: fields.acl_index, retval: Retval.invalidValue };
      const rules = fields.r.map((rule) => ({
        permits: rule.is_permit !== AclAction.deny,
        source: addrPrefix(rule.src_prefix),
      }));
      return { acl_index: sources.put(index, fields.tag, rules).index, retval: 0 };
    },
    macip_acl_del(fields) {
      if (!sources.all.has(fields.acl_index)) return { retval: Retval.noSuchEntry };
      sources.remove(fields.acl_index);
      return { retval: 0 };
    },
    *macip_acl_dump(fields) {
      for (const one of [...sources.all.values()].toSorted((a, b) => a.index - b.index))
        if (fields.acl_index === noInterface || fields.acl_index === one.index)
          yield { acl_index: one.index, tag: one.tag, r: one.rules.map(describeRule) };
    },
    macip_acl_interface_add_del(fields) {
      const { sw_if_index: on, acl_index: index, is_add: isAdd } = fields;
      if (interfaces.get(on) === undefined) return { retval: Retval.invalidSwIfIndex };
      if (!isAdd) return { retval: sources.unbind(on) ? 0 : Retval.noSuchEntry };
      if (!sources.all.has(index)) return { retval: Retval.noSuchEntry };
      sources.bind(on, index);
      return { retval: 0 };
    },
    *macip_acl_interface_list_dump(fields) {
      for (const [on, index] of [...sources.bindings].toSorted(([a], [b]) => a - b))
        if (fields.sw_if_index === noInterface || fields.sw_if_index === on)
          yield { sw_if_index: on, acls: [index] };
    },
  };
}

const anyMac = '00:00:00:00:00:00';

type ApiRule = FieldsOf<'macip_acl_add_replace'>['r'][number];

function describeRule({ permits, source }: SourceRule): ApiRule {
  return {
    is_permit: permits ? AclAction.permit : AclAction.deny,
    src_mac: anyMac,
    src_mac_mask: anyMac,
    src_prefix: prefixOf(ipFromAddr(source.addr), source.length),
  };
}
