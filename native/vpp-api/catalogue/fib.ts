/** VPP 26.06: fib.api */
import { dump, i32, reply, request, string, struct, u8 } from '../schema.ts';

/** `vl_api_fib_source_t`. */
export const fib_source = struct('fib_source', { priority: u8, id: u8, name: string(64) });

/** Messages of fib.api, by name. */
export const fibMessages = {
  fib_source_add: request(0xb3ac2aec, 'fib_source_add_reply', { src: fib_source }),
  fib_source_add_reply: reply(0x604fd6f1, { retval: i32, id: u8 }),
  fib_source_dump: dump(0x51077d14, 'fib_source_details', {}),
  fib_source_details: reply(0x8668acdb, { src: fib_source }),
} as const;
