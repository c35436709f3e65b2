/** VPP 26.06: acl_types.api */
import { enumeration, mac, prefix, struct, u8, u16 } from '../schema.ts';

/** Values of `vl_api_acl_action_t`. */
export const acl_action = {
  ACL_ACTION_API_DENY: 0,
  ACL_ACTION_API_PERMIT: 1,
  ACL_ACTION_API_PERMIT_REFLECT: 2,
} as const;

/** `vl_api_acl_rule_t`. */
export const acl_rule = struct('acl_rule', {
  is_permit: enumeration('acl_action', 'u8'),
  src_prefix: prefix,
  dst_prefix: prefix,
  proto: enumeration('ip_proto', 'u8'),
  srcport_or_icmptype_first: u16,
  srcport_or_icmptype_last: u16,
  dstport_or_icmpcode_first: u16,
  dstport_or_icmpcode_last: u16,
  tcp_flags_mask: u8,
  tcp_flags_value: u8,
});

/** `vl_api_macip_acl_rule_t`. */
export const macip_acl_rule = struct('macip_acl_rule', {
  is_permit: enumeration('acl_action', 'u8'),
  src_mac: mac,
  src_mac_mask: mac,
  src_prefix: prefix,
});
