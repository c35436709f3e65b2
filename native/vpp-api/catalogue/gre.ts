/** VPP 26.06: gre.api */
import {
  address,
  bool,
  dump,
  enumeration,
  i32,
  reply,
  request,
  struct,
  u16,
  u32,
} from '../schema.ts';

/** Values of `vl_api_gre_tunnel_type_t`. */
export const gre_tunnel_type = {
  GRE_API_TUNNEL_TYPE_L3: 0,
  GRE_API_TUNNEL_TYPE_TEB: 1,
  GRE_API_TUNNEL_TYPE_ERSPAN: 2,
} as const;

/** `vl_api_gre_tunnel_v2_t`. */
export const gre_tunnel_v2 = struct('gre_tunnel_v2', {
  type: enumeration('gre_tunnel_type', 'u8'),
  mode: enumeration('tunnel_mode', 'u8'),
  flags: enumeration('tunnel_encap_decap_flags', 'u8'),
  session_id: u16,
  instance: u32,
  outer_table_id: u32,
  sw_if_index: u32,
  src: address,
  dst: address,
  key: u32,
});

/** `vl_api_gre_tunnel_t`. */
export const gre_tunnel = struct('gre_tunnel', {
  type: enumeration('gre_tunnel_type', 'u8'),
  mode: enumeration('tunnel_mode', 'u8'),
  flags: enumeration('tunnel_encap_decap_flags', 'u8'),
  session_id: u16,
  instance: u32,
  outer_table_id: u32,
  sw_if_index: u32,
  src: address,
  dst: address,
});

/** Messages of gre.api, by name. */
export const greMessages = {
  gre_tunnel_add_del_v2: request(0x7d9576de, 'gre_tunnel_add_del_v2_reply', {
    is_add: bool,
    tunnel: gre_tunnel_v2,
  }),
  gre_tunnel_add_del_v2_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  gre_tunnel_v2_dump: dump(0xf9e6675e, 'gre_tunnel_v2_details', { sw_if_index: u32 }),
  gre_tunnel_v2_details: reply(0x65521177, { tunnel: gre_tunnel_v2 }),
  gre_tunnel_add_del: request(0xa27d7f17, 'gre_tunnel_add_del_reply', {
    is_add: bool,
    tunnel: gre_tunnel,
  }),
  gre_tunnel_add_del_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  gre_tunnel_dump: dump(0xf9e6675e, 'gre_tunnel_details', { sw_if_index: u32 }),
  gre_tunnel_details: reply(0x24435433, { tunnel: gre_tunnel }),
} as const;
