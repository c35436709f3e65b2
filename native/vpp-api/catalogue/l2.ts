/** VPP 26.06: l2.api */
import {
  bool,
  count,
  dump,
  enumeration,
  i32,
  list,
  mac,
  reply,
  request,
  string,
  struct,
  u8,
  u32,
} from '../schema.ts';

/** Values of `vl_api_l2_port_type_t`. */
export const l2_port_type = {
  L2_API_PORT_TYPE_NORMAL: 0,
  L2_API_PORT_TYPE_BVI: 1,
  L2_API_PORT_TYPE_UU_FWD: 2,
} as const;

/** `vl_api_bridge_domain_sw_if_t`. */
export const bridge_domain_sw_if = struct('bridge_domain_sw_if', {
  context: u32,
  sw_if_index: u32,
  shg: u8,
});

/** Messages of l2.api, by name. */
export const l2Messages = {
  bridge_domain_add_del_v2: request(0x600b7170, 'bridge_domain_add_del_v2_reply', {
    bd_id: u32,
    flood: bool,
    uu_flood: bool,
    forward: bool,
    learn: bool,
    arp_term: bool,
    arp_ufwd: bool,
    mac_age: u8,
    bd_tag: string(64),
    is_add: bool,
  }),
  bridge_domain_add_del_v2_reply: reply(0xfcb1e980, { retval: i32, bd_id: u32 }),
  bridge_domain_dump: dump(0x74396a43, 'bridge_domain_details', { bd_id: u32, sw_if_index: u32 }),
  bridge_domain_details: reply(0x0fa506fd, {
    bd_id: u32,
    flood: bool,
    uu_flood: bool,
    forward: bool,
    learn: bool,
    arp_term: bool,
    arp_ufwd: bool,
    mac_age: u8,
    bd_tag: string(64),
    bvi_sw_if_index: u32,
    uu_fwd_sw_if_index: u32,
    n_sw_ifs: count('u32', 'sw_if_details'),
    sw_if_details: list(bridge_domain_sw_if, 'n_sw_ifs'),
  }),
  sw_interface_set_l2_bridge: request(0xd0678b13, 'sw_interface_set_l2_bridge_reply', {
    rx_sw_if_index: u32,
    bd_id: u32,
    port_type: enumeration('l2_port_type', 'u32'),
    shg: u8,
    enable: bool,
  }),
  sw_interface_set_l2_bridge_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_set_l2_xconnect: request(0x4fa28a85, 'sw_interface_set_l2_xconnect_reply', {
    rx_sw_if_index: u32,
    tx_sw_if_index: u32,
    enable: bool,
  }),
  sw_interface_set_l2_xconnect_reply: reply(0xe8d4e804, { retval: i32 }),
  l2_xconnect_dump: dump(0x51077d14, 'l2_xconnect_details', {}),
  l2_xconnect_details: reply(0x472b6b67, { rx_sw_if_index: u32, tx_sw_if_index: u32 }),
  bvi_create: request(0xf5398559, 'bvi_create_reply', { mac, user_instance: u32 }),
  bvi_create_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  bvi_delete: request(0xf9e6675e, 'bvi_delete_reply', { sw_if_index: u32 }),
  bvi_delete_reply: reply(0xe8d4e804, { retval: i32 }),
  l2fib_add_del: request(0xeddda487, 'l2fib_add_del_reply', {
    mac,
    bd_id: u32,
    sw_if_index: u32,
    is_add: bool,
    static_mac: bool,
    filter_mac: bool,
    bvi_mac: bool,
  }),
  l2fib_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
} as const;
