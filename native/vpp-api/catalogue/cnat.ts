/** VPP 26.06: cnat.api */
import {
  address,
  array,
  bool,
  count,
  dump,
  enumeration,
  i32,
  ip4,
  ip6,
  list,
  prefix,
  reply,
  request,
  struct,
  u8,
  u16,
  u32,
} from '../schema.ts';

/** Values of `vl_api_cnat_lb_type_t`. */
export const cnat_lb_type = { CNAT_LB_TYPE_DEFAULT: 0, CNAT_LB_TYPE_MAGLEV: 1 } as const;

/** Values of `vl_api_cnat_snat_policy_flags_t`. */
export const cnat_snat_policy_flags = {
  CNAT_SNAT_POLICY_F_NONE: 0,
  CNAT_SNAT_POLICY_F_BUFFER_NEXT: 1,
  CNAT_SNAT_POLICY_F_NO_CLIENT: 2,
  CNAT_SNAT_POLICY_F_USE_AS_DEFAULT: 4,
} as const;

/** Values of `vl_api_cnat_snat_policy_table_t`. */
export const cnat_snat_policy_table = {
  CNAT_POLICY_INCLUDE_V4: 0,
  CNAT_POLICY_INCLUDE_V6: 1,
  CNAT_POLICY_POD: 2,
  CNAT_POLICY_HOST: 3,
} as const;

/** Values of `vl_api_cnat_snat_policies_t`. */
export const cnat_snat_policies = {
  CNAT_POLICY_NONE: 0,
  CNAT_POLICY_IF_PFX: 1,
  CNAT_POLICY_K8S: 2,
  CNAT_POLICY_DNAT: 3,
} as const;

/** `vl_api_cnat_endpoint_t`. */
export const cnat_endpoint = struct('cnat_endpoint', {
  addr: address,
  sw_if_index: u32,
  if_af: enumeration('address_family', 'u8'),
  port: u16,
});

/** `vl_api_cnat_endpoint_tuple_t`. */
export const cnat_endpoint_tuple = struct('cnat_endpoint_tuple', {
  dst_ep: cnat_endpoint,
  src_ep: cnat_endpoint,
  flags: u8,
});

/** `vl_api_cnat_translation_t`. */
export const cnat_translation = struct('cnat_translation', {
  vip: cnat_endpoint,
  id: u32,
  ip_proto: enumeration('ip_proto', 'u8'),
  is_real_ip: u8,
  flags: u8,
  lb_type: enumeration('cnat_lb_type', 'u8'),
  n_paths: count('u32', 'paths'),
  flow_hash_config: enumeration('ip_flow_hash_config_v2', 'u32'),
  paths: list(cnat_endpoint_tuple, 'n_paths'),
});

/** `vl_api_cnat_5tuple_t`. */
export const cnat_5tuple = struct('cnat_5tuple', {
  addr: array(address, 2),
  port: array(u16, 2),
  ip_proto: enumeration('ip_proto', 'u8'),
});

/** `vl_api_cnat_session_t`. */
export const cnat_session = struct('cnat_session', {
  tuple: cnat_5tuple,
  ts_index: u32,
  flags: u32,
});

/** Messages of cnat.api, by name. */
export const cnatMessages = {
  cnat_translation_update: request(0xf8d40bc5, 'cnat_translation_update_reply', {
    translation: cnat_translation,
  }),
  cnat_translation_update_reply: reply(0xe2fc8294, { retval: i32, id: u32 }),
  cnat_translation_del: request(0x3a91bde5, 'cnat_translation_del_reply', { id: u32 }),
  cnat_translation_del_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_translation_details: reply(0x1a5140b7, { translation: cnat_translation }),
  cnat_translation_dump: dump(0x51077d14, 'cnat_translation_details', {}),
  cnat_session_purge: request(0x51077d14, 'cnat_session_purge_reply', {}),
  cnat_session_purge_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_session_details: reply(0x7a78bf3f, { session: cnat_session }),
  cnat_session_dump: dump(0x51077d14, 'cnat_session_details', {}),
  cnat_set_snat_addresses: request(0xd997e96c, 'cnat_set_snat_addresses_reply', {
    snat_ip4: ip4,
    snat_ip6: ip6,
    sw_if_index: u32,
  }),
  cnat_set_snat_addresses_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_set_snat_addresses_v2: request(0xc0125c26, 'cnat_set_snat_addresses_v2_reply', {
    fwd_fib_index: u32,
    ret_fib_index: u32,
    snat_ip4: ip4,
    snat_ip6: ip6,
    sw_if_index: u32,
    flags: enumeration('cnat_snat_policy_flags', 'u8'),
  }),
  cnat_set_snat_addresses_v2_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_get_snat_addresses: request(0x51077d14, 'cnat_get_snat_addresses_reply', {}),
  cnat_get_snat_addresses_reply: reply(0x879513c1, {
    retval: i32,
    id: u32,
    snat_ip4: ip4,
    snat_ip6: ip6,
    sw_if_index: u32,
  }),
  cnat_snat_addresses_dump: dump(0x51077d14, 'cnat_snat_addresses_details', {}),
  cnat_snat_addresses_details: reply(0x09ae6b38, {
    retval: i32,
    fwd_table_id4: u32,
    fwd_table_id6: u32,
    ret_table_id4: u32,
    ret_table_id6: u32,
    snat_ip4: ip4,
    snat_ip6: ip6,
    sw_if_index: u32,
  }),
  cnat_snat_policy_add_del_exclude_pfx: request(
    0xe26dd79a,
    'cnat_snat_policy_add_del_exclude_pfx_reply',
    { is_add: u8, prefix },
  ),
  cnat_snat_policy_add_del_exclude_pfx_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_snat_policy_add_del_if: request(0x4ebb8d02, 'cnat_snat_policy_add_del_if_reply', {
    sw_if_index: u32,
    is_add: u8,
    table: enumeration('cnat_snat_policy_table', 'u8'),
  }),
  cnat_snat_policy_add_del_if_reply: reply(0xe8d4e804, { retval: i32 }),
  cnat_set_snat_policy: request(0x37a3ce23, 'cnat_set_snat_policy_reply', {
    policy: enumeration('cnat_snat_policies', 'u8'),
  }),
  cnat_set_snat_policy_reply: reply(0xe8d4e804, { retval: i32 }),
  feature_cnat_enable_disable: request(0x5501adee, 'feature_cnat_enable_disable_reply', {
    sw_if_index: u32,
    enable_disable: bool,
  }),
  feature_cnat_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
} as const;
