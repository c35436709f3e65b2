/** VPP 26.06: memclnt.api */
import { count, i32, list, reply, request, string, struct, text, u16, u32 } from '../schema.ts';

/** `vl_api_message_table_entry_t`. */
export const message_table_entry = struct('message_table_entry', { index: u16, name: string(64) });

/** `vl_api_module_version_t`. */
export const module_version = struct('module_version', {
  major: u32,
  minor: u32,
  patch: u32,
  name: string(64),
});

/** Messages of memclnt.api, by name. */
export const memclntMessages = {
  sockclnt_create: {
    ...request(0x455fb9c4, 'sockclnt_create_reply', { name: string(64) }),
    header: 'context',
  },
  sockclnt_create_reply: {
    ...reply(0x35166268, {
      response: i32,
      index: u32,
      count: count('u16', 'message_table'),
      message_table: list(message_table_entry, 'count'),
    }),
    header: 'client+context',
  },
  sockclnt_delete: request(0x8ac76db6, 'sockclnt_delete_reply', { index: u32 }),
  sockclnt_delete_reply: reply(0x8f38b1ee, { response: i32 }),
  control_ping: request(0x51077d14, 'control_ping_reply', {}),
  control_ping_reply: reply(0xf6b0b8ca, { retval: i32, client_index: u32, vpe_pid: u32 }),
  memclnt_keepalive: request(0x51077d14, 'memclnt_keepalive_reply', {}),
  memclnt_keepalive_reply: reply(0xe8d4e804, { retval: i32 }),
  api_versions: request(0x51077d14, 'api_versions_reply', {}),
  api_versions_reply: reply(0x5f0d99d6, {
    retval: i32,
    count: count('u32', 'api_versions'),
    api_versions: list(module_version, 'count'),
  }),
  get_first_msg_id: request(0xebf79a66, 'get_first_msg_id_reply', { name: string(64) }),
  get_first_msg_id_reply: reply(0x7d337472, { retval: i32, first_msg_id: u16 }),
  get_api_json: request(0x51077d14, 'get_api_json_reply', {}),
  get_api_json_reply: reply(0xea715b59, { retval: i32, json: text }),
} as const;
