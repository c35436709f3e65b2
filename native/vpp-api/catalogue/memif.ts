/** VPP 26.06: memif.api */
import {
  bool,
  dump,
  enumeration,
  i32,
  mac,
  reply,
  request,
  string,
  text,
  u8,
  u16,
  u32,
} from '../schema.ts';

/** Values of `vl_api_memif_role_t`. */
export const memif_role = { MEMIF_ROLE_API_MASTER: 0, MEMIF_ROLE_API_SLAVE: 1 } as const;

/** Values of `vl_api_memif_mode_t`. */
export const memif_mode = {
  MEMIF_MODE_API_ETHERNET: 0,
  MEMIF_MODE_API_IP: 1,
  MEMIF_MODE_API_PUNT_INJECT: 2,
} as const;

/** Messages of memif.api, by name. */
export const memifMessages = {
  memif_socket_filename_add_del_v2: request(0x34223bdf, 'memif_socket_filename_add_del_v2_reply', {
    is_add: bool,
    socket_id: u32,
    socket_filename: text,
  }),
  memif_socket_filename_add_del_v2_reply: reply(0x9f29bdb9, { retval: i32, socket_id: u32 }),
  memif_socket_filename_dump: dump(0x51077d14, 'memif_socket_filename_details', {}),
  memif_socket_filename_details: reply(0x7ff326f7, {
    socket_id: u32,
    socket_filename: string(108),
  }),
  memif_create_v2: request(0x8c7de5f7, 'memif_create_v2_reply', {
    role: enumeration('memif_role', 'u32'),
    mode: enumeration('memif_mode', 'u32'),
    rx_queues: u8,
    tx_queues: u8,
    id: u32,
    socket_id: u32,
    ring_size: u32,
    buffer_size: u16,
    no_zero_copy: bool,
    use_dma: bool,
    hw_addr: mac,
    secret: string(24),
  }),
  memif_create_v2_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  memif_delete: request(0xf9e6675e, 'memif_delete_reply', { sw_if_index: u32 }),
  memif_delete_reply: reply(0xe8d4e804, { retval: i32 }),
  memif_dump: dump(0x51077d14, 'memif_details', {}),
  memif_details: reply(0xda34feb9, {
    sw_if_index: u32,
    hw_addr: mac,
    id: u32,
    role: enumeration('memif_role', 'u32'),
    mode: enumeration('memif_mode', 'u32'),
    zero_copy: bool,
    socket_id: u32,
    ring_size: u32,
    buffer_size: u16,
    flags: enumeration('if_status_flags', 'u32'),
    if_name: string(64),
  }),
} as const;
