/** VPP 26.06: vhost_user.api */
import { bool, dump, enumeration, i32, mac, reply, request, string, u32 } from '../schema.ts';

/** Messages of vhost_user.api, by name. */
export const vhostUserMessages = {
  create_vhost_user_if_v2: request(0xdba1cc1d, 'create_vhost_user_if_v2_reply', {
    is_server: bool,
    sock_filename: string(256),
    renumber: bool,
    disable_mrg_rxbuf: bool,
    disable_indirect_desc: bool,
    enable_gso: bool,
    enable_packed: bool,
    enable_event_idx: bool,
    custom_dev_instance: u32,
    use_custom_mac: bool,
    mac_address: mac,
    tag: string(64),
  }),
  create_vhost_user_if_v2_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  modify_vhost_user_if_v2: request(0xb2483771, 'modify_vhost_user_if_v2_reply', {
    sw_if_index: u32,
    is_server: bool,
    sock_filename: string(256),
    renumber: bool,
    enable_gso: bool,
    enable_packed: bool,
    enable_event_idx: bool,
    custom_dev_instance: u32,
  }),
  modify_vhost_user_if_v2_reply: reply(0xe8d4e804, { retval: i32 }),
  delete_vhost_user_if: request(0xf9e6675e, 'delete_vhost_user_if_reply', { sw_if_index: u32 }),
  delete_vhost_user_if_reply: reply(0xe8d4e804, { retval: i32 }),
  sw_interface_vhost_user_dump: dump(0xf9e6675e, 'sw_interface_vhost_user_details', {
    sw_if_index: u32,
  }),
  sw_interface_vhost_user_details: reply(0x0cee1e53, {
    sw_if_index: u32,
    interface_name: string(64),
    virtio_net_hdr_sz: u32,
    features_first_32: enumeration('virtio_net_features_first_32', 'u32'),
    features_last_32: enumeration('virtio_net_features_last_32', 'u32'),
    is_server: bool,
    sock_filename: string(256),
    num_regions: u32,
    sock_errno: i32,
  }),
} as const;
