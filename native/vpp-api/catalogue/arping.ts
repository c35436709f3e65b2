/** VPP 26.06: arping.api */
import { address, bool, f64, i32, mac, reply, request, u32 } from '../schema.ts';

/** Messages of arping.api, by name. */
export const arpingMessages = {
  arping: request(0x48817482, 'arping_reply', {
    address,
    sw_if_index: u32,
    is_garp: bool,
    repeat: u32,
    interval: f64,
  }),
  arping_reply: reply(0xbb9d1cbd, { retval: i32, reply_count: u32 }),
  arping_acd: request(0x48817482, 'arping_acd_reply', {
    address,
    sw_if_index: u32,
    is_garp: bool,
    repeat: u32,
    interval: f64,
  }),
  arping_acd_reply: reply(0xe08c3b05, { retval: i32, reply_count: u32, mac_address: mac }),
} as const;
