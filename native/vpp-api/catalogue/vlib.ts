/** VPP 26.06: vlib.api */
import { count, i32, list, reply, request, string, struct, text, u32 } from '../schema.ts';

/** `vl_api_thread_data_t`. */
export const thread_data = struct('thread_data', {
  id: u32,
  name: string(64),
  type: string(64),
  pid: u32,
  cpu_id: u32,
  core: u32,
  cpu_socket: u32,
});

/** Messages of vlib.api, by name. */
export const vlibMessages = {
  add_node_next: request(0x2457116d, 'add_node_next_reply', {
    node_name: string(64),
    next_name: string(64),
  }),
  add_node_next_reply: reply(0x2ed75f32, { retval: i32, next_index: u32 }),
  cli_inband: request(0xf8377302, 'cli_inband_reply', { cmd: text }),
  cli_inband_reply: reply(0x05879051, { retval: i32, reply: text }),
  show_threads: request(0x51077d14, 'show_threads_reply', {}),
  show_threads_reply: reply(0xefd78e83, {
    retval: i32,
    count: count('u32', 'thread_data'),
    thread_data: list(thread_data, 'count'),
  }),
} as const;
