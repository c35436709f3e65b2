/** VPP 26.06: ipip.api */
import { address, dump, enumeration, i32, reply, request, struct, u32 } from '../schema.ts';

/** `vl_api_ipip_tunnel_t`. */
export const ipip_tunnel = struct('ipip_tunnel', {
  instance: u32,
  src: address,
  dst: address,
  sw_if_index: u32,
  table_id: u32,
  flags: enumeration('tunnel_encap_decap_flags', 'u8'),
  mode: enumeration('tunnel_mode', 'u8'),
  dscp: enumeration('ip_dscp', 'u8'),
});

/** Messages of ipip.api, by name. */
export const ipipMessages = {
  ipip_add_tunnel: request(0x2ac399f5, 'ipip_add_tunnel_reply', { tunnel: ipip_tunnel }),
  ipip_add_tunnel_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  ipip_del_tunnel: request(0xf9e6675e, 'ipip_del_tunnel_reply', { sw_if_index: u32 }),
  ipip_del_tunnel_reply: reply(0xe8d4e804, { retval: i32 }),
  ipip_tunnel_dump: dump(0xf9e6675e, 'ipip_tunnel_details', { sw_if_index: u32 }),
  ipip_tunnel_details: reply(0xd31cb34e, { tunnel: ipip_tunnel }),
} as const;
