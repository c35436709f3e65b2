/** VPP 26.06: ping.api */
import { address, event, f64, i32, reply, request, u32 } from '../schema.ts';

/** Messages of ping.api, by name. */
export const pingMessages = {
  want_ping_finished_events: request(0xe79ee58b, 'want_ping_finished_events_reply', {
    address,
    repeat: u32,
    interval: f64,
  }),
  want_ping_finished_events_reply: reply(0xe8d4e804, { retval: i32 }),
  ping_finished_event: event(0x397ccf72, { request_count: u32, reply_count: u32 }),
} as const;
