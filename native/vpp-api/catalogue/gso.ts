/** VPP 26.06: gso.api */
import { bool, i32, reply, request, u32 } from '../schema.ts';

/** Messages of gso.api, by name. */
export const gsoMessages = {
  feature_gso_enable_disable: request(0x5501adee, 'feature_gso_enable_disable_reply', {
    sw_if_index: u32,
    enable_disable: bool,
  }),
  feature_gso_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
} as const;
