/** VPP 26.06: teib.api */
import { address, dump, i32, reply, request, struct, u8, u32 } from '../schema.ts';

/** `vl_api_teib_entry_t`. */
export const teib_entry = struct('teib_entry', {
  sw_if_index: u32,
  peer: address,
  nh: address,
  nh_table_id: u32,
});

/** Messages of teib.api, by name. */
export const teibMessages = {
  teib_entry_add_del: request(0x8016cfd2, 'teib_entry_add_del_reply', {
    is_add: u8,
    entry: teib_entry,
  }),
  teib_entry_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  teib_dump: dump(0x51077d14, 'teib_details', {}),
  teib_details: reply(0x981ee1a1, { entry: teib_entry }),
} as const;
