/** VPP 26.06: af_packet.api */
import { bool, dump, enumeration, i32, mac, reply, request, string, u16, u32 } from '../schema.ts';

/** Values of `vl_api_af_packet_mode_t`. */
export const af_packet_mode = { AF_PACKET_API_MODE_ETHERNET: 1, AF_PACKET_API_MODE_IP: 2 } as const;

/** Values of `vl_api_af_packet_flags_t`. */
export const af_packet_flags = {
  AF_PACKET_API_FLAG_QDISC_BYPASS: 1,
  AF_PACKET_API_FLAG_CKSUM_GSO: 2,
  AF_PACKET_API_FLAG_VERSION_2: 8,
} as const;

/** Messages of af_packet.api, by name. */
export const afPacketMessages = {
  af_packet_create_v3: request(0xb3a809d4, 'af_packet_create_v3_reply', {
    mode: enumeration('af_packet_mode', 'u32'),
    hw_addr: mac,
    use_random_hw_addr: bool,
    host_if_name: string(64),
    rx_frame_size: u32,
    tx_frame_size: u32,
    rx_frames_per_block: u32,
    tx_frames_per_block: u32,
    flags: enumeration('af_packet_flags', 'u32'),
    num_rx_queues: u16,
    num_tx_queues: u16,
  }),
  af_packet_create_v3_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  af_packet_delete: request(0x863fa648, 'af_packet_delete_reply', { host_if_name: string(64) }),
  af_packet_delete_reply: reply(0xe8d4e804, { retval: i32 }),
  af_packet_set_l4_cksum_offload: request(0x319cd5c8, 'af_packet_set_l4_cksum_offload_reply', {
    sw_if_index: u32,
    set: bool,
  }),
  af_packet_set_l4_cksum_offload_reply: reply(0xe8d4e804, { retval: i32 }),
  af_packet_dump: dump(0x51077d14, 'af_packet_details', {}),
  af_packet_details: reply(0x58c7c042, { sw_if_index: u32, host_if_name: string(64) }),
} as const;
