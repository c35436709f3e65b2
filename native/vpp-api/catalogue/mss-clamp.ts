/** VPP 26.06: mss_clamp.api */
import { enumeration, i32, reply, request, stream, u16, u32 } from '../schema.ts';

/** Values of `vl_api_mss_clamp_dir_t`. */
export const mss_clamp_dir = {
  MSS_CLAMP_DIR_NONE: 0,
  MSS_CLAMP_DIR_RX: 1,
  MSS_CLAMP_DIR_TX: 2,
} as const;

/** Messages of mss_clamp.api, by name. */
export const mssClampMessages = {
  mss_clamp_enable_disable: request(0xd31b44e3, 'mss_clamp_enable_disable_reply', {
    sw_if_index: u32,
    ipv4_mss: u16,
    ipv6_mss: u16,
    ipv4_direction: enumeration('mss_clamp_dir', 'u8'),
    ipv6_direction: enumeration('mss_clamp_dir', 'u8'),
  }),
  mss_clamp_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  mss_clamp_get: stream(0x47250981, 'mss_clamp_get_reply', 'mss_clamp_details', {
    cursor: u32,
    sw_if_index: u32,
  }),
  mss_clamp_get_reply: reply(0x53b48f5d, { retval: i32, cursor: u32 }),
  mss_clamp_details: reply(0xd3a4de61, {
    sw_if_index: u32,
    ipv4_mss: u16,
    ipv6_mss: u16,
    ipv4_direction: enumeration('mss_clamp_dir', 'u8'),
    ipv6_direction: enumeration('mss_clamp_dir', 'u8'),
  }),
} as const;
