/** VPP 26.06: ip6_nd.api */
import { bool, dump, i32, ip6, prefix, reply, request, u8, u32 } from '../schema.ts';

/** Messages of ip6_nd.api, by name. */
export const ip6NdMessages = {
  sw_interface_ip6nd_ra_config: request(0x3eb00b1c, 'sw_interface_ip6nd_ra_config_reply', {
    sw_if_index: u32,
    suppress: u8,
    managed: u8,
    other: u8,
    ll_option: u8,
    send_unicast: u8,
    cease: u8,
    is_no: bool,
    default_router: u8,
    max_interval: u32,
    min_interval: u32,
    lifetime: u32,
    initial_count: u32,
    initial_interval: u32,
  }),
  sw_interface_ip6nd_ra_config_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_ip6nd_ra_prefix: request(0x82cc1b28, 'sw_interface_ip6nd_ra_prefix_reply', {
    sw_if_index: u32,
    prefix,
    use_default: bool,
    no_advertise: bool,
    off_link: bool,
    no_autoconfig: bool,
    no_onlink: bool,
    is_no: bool,
    val_lifetime: u32,
    pref_lifetime: u32,
  }),
  sw_interface_ip6nd_ra_prefix_reply: reply(0xe8d4e804, { retval: i32 }),
  ip6nd_proxy_enable_disable: request(0x7daa1e3a, 'ip6nd_proxy_enable_disable_reply', {
    sw_if_index: u32,
    is_enable: bool,
  }),
  ip6nd_proxy_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  ip6nd_proxy_add_del: request(0xc2e4a686, 'ip6nd_proxy_add_del_reply', {
    sw_if_index: u32,
    is_add: bool,
    ip: ip6,
  }),
  ip6nd_proxy_add_del_reply: reply(0xe8d4e804, { retval: i32 }),
  ip6nd_proxy_dump: dump(0x51077d14, 'ip6nd_proxy_details', {}),
  ip6nd_proxy_details: reply(0x30b9ff4a, { sw_if_index: u32, ip: ip6 }),
} as const;
