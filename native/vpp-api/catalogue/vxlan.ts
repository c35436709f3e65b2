/** VPP 26.06: vxlan.api */
import { address, bool, dump, i32, reply, request, u16, u32 } from '../schema.ts';

/** Messages of vxlan.api, by name. */
export const vxlanMessages = {
  vxlan_add_del_tunnel_v3: request(0x0072b037, 'vxlan_add_del_tunnel_v3_reply', {
    is_add: bool,
    instance: u32,
    src_address: address,
    dst_address: address,
    src_port: u16,
    dst_port: u16,
    mcast_sw_if_index: u32,
    encap_vrf_id: u32,
    decap_next_index: u32,
    vni: u32,
    is_l3: bool,
  }),
  vxlan_add_del_tunnel_v3_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  vxlan_tunnel_v2_dump: dump(0xf9e6675e, 'vxlan_tunnel_v2_details', { sw_if_index: u32 }),
  vxlan_tunnel_v2_details: reply(0xd3bdd4d9, {
    sw_if_index: u32,
    instance: u32,
    src_address: address,
    dst_address: address,
    src_port: u16,
    dst_port: u16,
    mcast_sw_if_index: u32,
    encap_vrf_id: u32,
    decap_next_index: u32,
    vni: u32,
  }),
  sw_interface_set_vxlan_bypass: request(0x65247409, 'sw_interface_set_vxlan_bypass_reply', {
    sw_if_index: u32,
    is_ipv6: bool,
    enable: bool,
  }),
  sw_interface_set_vxlan_bypass_reply: reply(0xe8d4e804, { retval: i32 }),
} as const;
