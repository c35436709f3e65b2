/** VPP 26.06: acl.api */
import { bool, count, dump, i32, list, reply, request, string, u8, u32, u64 } from '../schema.ts';
import { acl_rule, macip_acl_rule } from './acl-types.ts';

/** Messages of acl.api, by name. */
export const aclMessages = {
  acl_plugin_get_version: request(0x51077d14, 'acl_plugin_get_version_reply', {}),
  acl_plugin_get_version_reply: reply(0x9b32cf86, { major: u32, minor: u32 }),
  acl_add_replace: request(0xee5c2f18, 'acl_add_replace_reply', {
    acl_index: u32,
    tag: string(64),
    count: count('u32', 'r'),
    r: list(acl_rule, 'count'),
  }),
  acl_add_replace_reply: reply(0xac407b0c, { acl_index: u32, retval: i32 }),
  acl_del: request(0xef34fea4, 'acl_del_reply', { acl_index: u32 }),
  acl_del_reply: reply(0xe8d4e804, { retval: i32 }),
  acl_interface_add_del: request(0x4b54bebd, 'acl_interface_add_del_reply', {
    is_add: bool,
    is_input: bool,
    sw_if_index: u32,
    acl_index: u32,
  }),
  acl_interface_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  acl_interface_set_acl_list: request(0x473982bd, 'acl_interface_set_acl_list_reply', {
    sw_if_index: u32,
    count: count('u8', 'acls'),
    n_input: u8,
    acls: list(u32, 'count'),
  }),
  acl_interface_set_acl_list_reply: reply(0xe8d4e804, { retval: i32 }),
  acl_dump: dump(0xef34fea4, 'acl_details', { acl_index: u32 }),
  acl_details: reply(0x95babae0, {
    acl_index: u32,
    tag: string(64),
    count: count('u32', 'r'),
    r: list(acl_rule, 'count'),
  }),
  acl_interface_list_dump: dump(0xf9e6675e, 'acl_interface_list_details', { sw_if_index: u32 }),
  acl_interface_list_details: reply(0xe695d256, {
    sw_if_index: u32,
    count: count('u8', 'acls'),
    n_input: u8,
    acls: list(u32, 'count'),
  }),
  acl_stats_intf_counters_enable: request(0xb3e225d2, 'acl_stats_intf_counters_enable_reply', {
    enable: bool,
  }),
  acl_stats_intf_counters_enable_reply: reply(0xe8d4e804, { retval: i32 }),
  macip_acl_add_replace: request(0x2a461dd4, 'macip_acl_add_replace_reply', {
    acl_index: u32,
    tag: string(64),
    count: count('u32', 'r'),
    r: list(macip_acl_rule, 'count'),
  }),
  macip_acl_add_replace_reply: reply(0xac407b0c, { acl_index: u32, retval: i32 }),
  macip_acl_del: request(0xef34fea4, 'macip_acl_del_reply', { acl_index: u32 }),
  macip_acl_del_reply: reply(0xe8d4e804, { retval: i32 }),
  macip_acl_interface_add_del: request(0x4b8690b1, 'macip_acl_interface_add_del_reply', {
    is_add: bool,
    sw_if_index: u32,
    acl_index: u32,
  }),
  macip_acl_interface_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  macip_acl_dump: dump(0xef34fea4, 'macip_acl_details', { acl_index: u32 }),
  macip_acl_details: reply(0x27135b59, {
    acl_index: u32,
    tag: string(64),
    count: count('u32', 'r'),
    r: list(macip_acl_rule, 'count'),
  }),
  macip_acl_interface_list_dump: dump(0xf9e6675e, 'macip_acl_interface_list_details', {
    sw_if_index: u32,
  }),
  macip_acl_interface_list_details: reply(0xa0c5d56d, {
    sw_if_index: u32,
    count: count('u8', 'acls'),
    acls: list(u32, 'count'),
  }),
  acl_plugin_get_conn_table_max_entries: request(
    0x51077d14,
    'acl_plugin_get_conn_table_max_entries_reply',
    {},
  ),
  acl_plugin_get_conn_table_max_entries_reply: reply(0x7a096d3d, { conn_table_max_entries: u64 }),
} as const;
