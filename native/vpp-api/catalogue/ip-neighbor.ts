/** VPP 26.06: ip_neighbor.api */
import {
  address,
  bool,
  dump,
  enumeration,
  event,
  f64,
  i32,
  mac,
  reply,
  request,
  struct,
  u32,
} from '../schema.ts';

/** Values of `vl_api_ip_neighbor_flags_t`. */
export const ip_neighbor_flags = {
  IP_API_NEIGHBOR_FLAG_NONE: 0,
  IP_API_NEIGHBOR_FLAG_STATIC: 1,
  IP_API_NEIGHBOR_FLAG_NO_FIB_ENTRY: 2,
} as const;

/** Values of `vl_api_ip_neighbor_event_flags_t`. */
export const ip_neighbor_event_flags = {
  IP_NEIGHBOR_API_EVENT_FLAG_ADDED: 1,
  IP_NEIGHBOR_API_EVENT_FLAG_REMOVED: 2,
} as const;

/** `vl_api_ip_neighbor_t`. */
export const ip_neighbor = struct('ip_neighbor', {
  sw_if_index: u32,
  flags: enumeration('ip_neighbor_flags', 'u8'),
  mac_address: mac,
  ip_address: address,
});

/** Messages of ip_neighbor.api, by name. */
export const ipNeighborMessages = {
  ip_neighbor_add_del: request(0x0607c257, 'ip_neighbor_add_del_reply', {
    is_add: bool,
    neighbor: ip_neighbor,
  }),
  ip_neighbor_add_del_reply: reply(0x1992deab, { retval: i32, stats_index: u32 }),
  ip_neighbor_dump: dump(0xd817a484, 'ip_neighbor_details', {
    sw_if_index: u32,
    af: enumeration('address_family', 'u8'),
  }),
  ip_neighbor_details: reply(0xe29d79f0, { age: f64, neighbor: ip_neighbor }),
  ip_neighbor_config: request(0xf4a5cf44, 'ip_neighbor_config_reply', {
    af: enumeration('address_family', 'u8'),
    max_number: u32,
    max_age: u32,
    recycle: bool,
  }),
  ip_neighbor_config_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_neighbor_config_get: request(0xa5db7bf7, 'ip_neighbor_config_get_reply', {
    af: enumeration('address_family', 'u8'),
  }),
  ip_neighbor_config_get_reply: reply(0x798e6fdd, {
    retval: i32,
    af: enumeration('address_family', 'u8'),
    max_number: u32,
    max_age: u32,
    recycle: bool,
  }),
  ip_neighbor_flush: request(0x16aa35d2, 'ip_neighbor_flush_reply', {
    af: enumeration('address_family', 'u8'),
    sw_if_index: u32,
  }),
  ip_neighbor_flush_reply: reply(0xe8d4e804, { retval: i32 }),
  want_ip_neighbor_events_v2: request(0x73e70a86, 'want_ip_neighbor_events_v2_reply', {
    enable: bool,
    pid: u32,
    ip: address,
    sw_if_index: u32,
  }),
  want_ip_neighbor_events_v2_reply: reply(0xe8d4e804, { retval: i32 }),
  ip_neighbor_event_v2: event(0xc1d53dc0, {
    pid: u32,
    flags: enumeration('ip_neighbor_event_flags', 'u32'),
    neighbor: ip_neighbor,
  }),
} as const;
