/** VPP 26.06: ip.api */
import {
  address,
  addressWithPrefix,
  bool,
  count,
  dump,
  enumeration,
  i32,
  ip6,
  list,
  prefix,
  reply,
  request,
  stream,
  string,
  struct,
  u8,
  u16,
  u32,
} from '../schema.ts';
import { fib_path } from './fib-types.ts';

/** Values of `vl_api_ip_flow_hash_config_v2_t`. */
export const ip_flow_hash_config_v2 = {
  IP_API_V2_FLOW_HASH_SRC_IP: 1,
  IP_API_V2_FLOW_HASH_DST_IP: 2,
  IP_API_V2_FLOW_HASH_SRC_PORT: 4,
  IP_API_V2_FLOW_HASH_DST_PORT: 8,
  IP_API_V2_FLOW_HASH_PROTO: 16,
  IP_API_V2_FLOW_HASH_REVERSE: 32,
  IP_API_V2_FLOW_HASH_SYMETRIC: 64,
  IP_API_V2_FLOW_HASH_FLOW_LABEL: 128,
  IP_API_V2_FLOW_HASH_GTPV1_TEID: 256,
} as const;

/** Values of `vl_api_ip_reass_type_t`. */
export const ip_reass_type = { IP_REASS_TYPE_FULL: 0, IP_REASS_TYPE_SHALLOW_VIRTUAL: 1 } as const;

/** `vl_api_ip_table_t`. */
export const ip_table = struct('ip_table', { table_id: u32, is_ip6: bool, name: string(64) });

/** `vl_api_ip_route_v2_t`. */
export const ip_route_v2 = struct('ip_route_v2', {
  table_id: u32,
  stats_index: u32,
  prefix,
  n_paths: count('u8', 'paths'),
  src: u8,
  paths: list(fib_path, 'n_paths'),
});

/** `vl_api_punt_redirect_v2_t`. */
export const punt_redirect_v2 = struct('punt_redirect_v2', {
  rx_sw_if_index: u32,
  af: enumeration('address_family', 'u8'),
  n_paths: count('u32', 'paths'),
  paths: list(fib_path, 'n_paths'),
});

/** `vl_api_ip_path_mtu_t`. */
export const ip_path_mtu = struct('ip_path_mtu', {
  client_index: u32,
  context: u32,
  table_id: u32,
  nh: address,
  path_mtu: u16,
});

/** Messages of ip.api, by name. */
export const ipMessages = {
  ip_table_add_del: request(0x0ffdaec0, 'ip_table_add_del_reply', {
    is_add: bool,
    table: ip_table,
  }),
  ip_table_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_table_add_del_v2: request(0x14e5081f, 'ip_table_add_del_v2_reply', {
    table: ip_table,
    create_mfib: bool,
    is_add: bool,
  }),
  ip_table_add_del_v2_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_table_allocate: request(0xb9d2e09e, 'ip_table_allocate_reply', { table: ip_table }),
  ip_table_allocate_reply: reply(0x1728303a, { retval: i32, table: ip_table }),
  ip_table_dump: dump(0x51077d14, 'ip_table_details', {}),
  ip_table_details: reply(0xc79fca0f, { table: ip_table }),
  ip_table_flush: request(0xb9d2e09e, 'ip_table_flush_reply', { table: ip_table }),
  ip_table_flush_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_route_add_del_v2: request(0x521ef330, 'ip_route_add_del_v2_reply', {
    is_add: bool,
    is_multipath: bool,
    route: ip_route_v2,
  }),
  ip_route_add_del_v2_reply: reply(0x1992deab, { retval: i32, stats_index: u32 }),
  ip_route_v2_dump: dump(0xd16f72e6, 'ip_route_v2_details', { src: u8, table: ip_table }),
  ip_route_v2_details: reply(0xb09aa6c0, { route: ip_route_v2 }),
  ip_route_lookup_v2: request(0x710d6471, 'ip_route_lookup_v2_reply', {
    table_id: u32,
    exact: u8,
    prefix,
  }),
  ip_route_lookup_v2_reply: reply(0x84cc9e03, { retval: i32, route: ip_route_v2 }),
  set_ip_flow_hash_v3: request(0xb7876e07, 'set_ip_flow_hash_v3_reply', {
    table_id: u32,
    af: enumeration('address_family', 'u8'),
    flow_hash_config: enumeration('ip_flow_hash_config_v2', 'u32'),
  }),
  set_ip_flow_hash_v3_reply: reply(0xe8d4e804, { retval: i32 }),
  set_ip_flow_hash_router_id: request(0x03e4f48e, 'set_ip_flow_hash_router_id_reply', {
    router_id: u32,
  }),
  set_ip_flow_hash_router_id_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_ip6_enable_disable: request(0xae6cfcfb, 'sw_interface_ip6_enable_disable_reply', {
    sw_if_index: u32,
    enable: bool,
  }),
  sw_interface_ip6_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_ip4_enable_disable: request(0xae6cfcfb, 'sw_interface_ip4_enable_disable_reply', {
    sw_if_index: u32,
    enable: bool,
  }),
  sw_interface_ip4_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_address_dump: dump(0x2d033de4, 'ip_address_details', { sw_if_index: u32, is_ipv6: bool }),
  ip_address_details: reply(0xee29b797, { sw_if_index: u32, prefix: addressWithPrefix }),
  ip_unnumbered_dump: dump(0xf9e6675e, 'ip_unnumbered_details', { sw_if_index: u32 }),
  ip_unnumbered_details: reply(0xcc59bd42, { sw_if_index: u32, ip_sw_if_index: u32 }),
  ip_dump: dump(0x98d231ca, 'ip_details', { is_ipv6: bool }),
  ip_details: reply(0xeb152d07, { sw_if_index: u32, is_ipv6: bool }),
  add_del_ip_punt_redirect_v2: request(0x9e804227, 'add_del_ip_punt_redirect_v2_reply', {
    is_add: bool,
    punt: punt_redirect_v2,
  }),
  add_del_ip_punt_redirect_v2_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_punt_redirect_v2_dump: dump(0xd817a484, 'ip_punt_redirect_v2_details', {
    sw_if_index: u32,
    af: enumeration('address_family', 'u8'),
  }),
  ip_punt_redirect_v2_details: reply(0x7ba42e1d, { punt: punt_redirect_v2 }),
  sw_interface_ip6_set_link_local_address: request(
    0x1c10f15f,
    'sw_interface_ip6_set_link_local_address_reply',
    { sw_if_index: u32, ip: ip6 },
  ),
  sw_interface_ip6_set_link_local_address_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_ip6_get_link_local_address: request(
    0xf9e6675e,
    'sw_interface_ip6_get_link_local_address_reply',
    { sw_if_index: u32 },
  ),
  sw_interface_ip6_get_link_local_address_reply: reply(0xd16b7130, { retval: i32, ip: ip6 }),
  ip_reassembly_set: request(0x16467d25, 'ip_reassembly_set_reply', {
    timeout_ms: u32,
    max_reassemblies: u32,
    max_reassembly_length: u32,
    expire_walk_interval_ms: u32,
    is_ip6: bool,
    type: enumeration('ip_reass_type', 'u32'),
  }),
  ip_reassembly_set_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_reassembly_get: request(0xea13ff63, 'ip_reassembly_get_reply', {
    is_ip6: bool,
    type: enumeration('ip_reass_type', 'u32'),
  }),
  ip_reassembly_get_reply: reply(0xd5eb8d34, {
    retval: i32,
    timeout_ms: u32,
    max_reassemblies: u32,
    max_reassembly_length: u32,
    expire_walk_interval_ms: u32,
    is_ip6: bool,
  }),
  ip_reassembly_enable_disable: request(0xeb77968d, 'ip_reassembly_enable_disable_reply', {
    sw_if_index: u32,
    enable_ip4: bool,
    enable_ip6: bool,
    type: enumeration('ip_reass_type', 'u32'),
  }),
  ip_reassembly_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_local_reass_enable_disable: request(0x34e2ccc4, 'ip_local_reass_enable_disable_reply', {
    enable_ip4: bool,
    enable_ip6: bool,
  }),
  ip_local_reass_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_local_reass_get: request(0x51077d14, 'ip_local_reass_get_reply', {}),
  ip_local_reass_get_reply: reply(0x3e93a702, {
    retval: i32,
    ip4_is_enabled: bool,
    ip6_is_enabled: bool,
  }),
  ip_path_mtu_update: request(0x10bbe5cb, 'ip_path_mtu_update_reply', { pmtu: ip_path_mtu }),
  ip_path_mtu_update_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_path_mtu_get: stream(0xf75ba505, 'ip_path_mtu_get_reply', 'ip_path_mtu_details', {
    cursor: u32,
  }),
  ip_path_mtu_get_reply: reply(0x53b48f5d, { retval: i32, cursor: u32 }),
  ip_path_mtu_details: reply(0xac9539a7, { pmtu: ip_path_mtu }),
  ip_container_proxy_add_del: request(0x7df1dff1, 'ip_container_proxy_add_del_reply', {
    pfx: prefix,
    sw_if_index: u32,
    is_add: bool,
  }),
  ip_container_proxy_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_container_proxy_dump: dump(0x51077d14, 'ip_container_proxy_details', {}),
  ip_container_proxy_details: reply(0xa8085523, { sw_if_index: u32, prefix }),
} as const;
