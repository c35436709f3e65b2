/** VPP 26.06: abf.api */
import { bool, count, dump, i32, list, reply, request, struct, u32 } from '../schema.ts';
import { fib_path } from './fib-types.ts';

/** `vl_api_abf_policy_t`. */
export const abf_policy = struct('abf_policy', {
  policy_id: u32,
  acl_index: u32,
  n_paths: count('u8', 'paths'),
  paths: list(fib_path, 'n_paths'),
});

/** `vl_api_abf_itf_attach_t`. */
export const abf_itf_attach = struct('abf_itf_attach', {
  policy_id: u32,
  sw_if_index: u32,
  priority: u32,
  is_ipv6: bool,
});

/** Messages of abf.api, by name. */
export const abfMessages = {
  abf_plugin_get_version: request(0x51077d14, 'abf_plugin_get_version_reply', {}),
  abf_plugin_get_version_reply: reply(0x9b32cf86, { major: u32, minor: u32 }),
  abf_policy_add_del: request(0xc6131197, 'abf_policy_add_del_reply', {
    is_add: bool,
    policy: abf_policy,
  }),
  abf_policy_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  abf_policy_details: reply(0xb7487fa4, { policy: abf_policy }),
  abf_policy_dump: dump(0x51077d14, 'abf_policy_details', {}),
  abf_itf_attach_add_del: request(0x25c8621b, 'abf_itf_attach_add_del_reply', {
    is_add: bool,
    attach: abf_itf_attach,
  }),
  abf_itf_attach_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  abf_itf_attach_details: reply(0x7819523e, { attach: abf_itf_attach }),
  abf_itf_attach_dump: dump(0x51077d14, 'abf_itf_attach_details', {}),
} as const;
