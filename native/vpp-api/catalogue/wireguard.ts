/** VPP 26.06: wireguard.api */
import {
  address,
  bool,
  bytes,
  count,
  dump,
  enumeration,
  event,
  i32,
  list,
  prefix,
  reply,
  request,
  struct,
  u16,
  u32,
} from '../schema.ts';

/** Values of `vl_api_wireguard_peer_flags_t`. */
export const wireguard_peer_flags = {
  WIREGUARD_PEER_STATUS_DEAD: 1,
  WIREGUARD_PEER_ESTABLISHED: 2,
} as const;

/** `vl_api_wireguard_interface_t`. */
export const wireguard_interface = struct('wireguard_interface', {
  user_instance: u32,
  sw_if_index: u32,
  private_key: bytes(32),
  public_key: bytes(32),
  port: u16,
  src_ip: address,
});

/** `vl_api_wireguard_peer_v2_t`. */
export const wireguard_peer_v2 = struct('wireguard_peer_v2', {
  peer_index: u32,
  preshared_key: bytes(32),
  preshared_key_set: bool,
  public_key: bytes(32),
  port: u16,
  persistent_keepalive: u16,
  table_id: u32,
  endpoint: address,
  sw_if_index: u32,
  flags: enumeration('wireguard_peer_flags', 'u8'),
  n_allowed_ips: count('u8', 'allowed_ips'),
  allowed_ips: list(prefix, 'n_allowed_ips'),
});

/** Messages of wireguard.api, by name. */
export const wireguardMessages = {
  wireguard_interface_create: request(0xa530137e, 'wireguard_interface_create_reply', {
    interface: wireguard_interface,
    generate_key: bool,
  }),
  wireguard_interface_create_reply: reply(0x5383d31f, { retval: i32, sw_if_index: u32 }),
  wireguard_interface_delete: request(0xf9e6675e, 'wireguard_interface_delete_reply', {
    sw_if_index: u32,
  }),
  wireguard_interface_delete_reply: reply(0xe8d4e804, { retval: i32 }),
  wireguard_interface_dump: dump(0x2c954158, 'wireguard_interface_details', {
    show_private_key: bool,
    sw_if_index: u32,
  }),
  wireguard_interface_details: reply(0x0dd4865d, { interface: wireguard_interface }),
  wireguard_peer_add_v2: request(0x4a07ba90, 'wireguard_peer_add_v2_reply', {
    peer: wireguard_peer_v2,
  }),
  wireguard_peer_add_v2_reply: reply(0x084a0cd3, { retval: i32, peer_index: u32 }),
  wireguard_peer_remove: request(0x3b74607a, 'wireguard_peer_remove_reply', { peer_index: u32 }),
  wireguard_peer_remove_reply: reply(0xe8d4e804, { retval: i32 }),
  wireguard_peers_v2_dump: dump(0x3b74607a, 'wireguard_peers_v2_details', { peer_index: u32 }),
  wireguard_peers_v2_details: reply(0xf5b86f42, { peer: wireguard_peer_v2 }),
  want_wireguard_peer_events: request(0x3bc666c8, 'want_wireguard_peer_events_reply', {
    sw_if_index: u32,
    peer_index: u32,
    enable_disable: u32,
    pid: u32,
  }),
  want_wireguard_peer_events_reply: reply(0xe8d4e804, { retval: i32 }),
  wireguard_peer_event: event(0x4e1b5d67, {
    pid: u32,
    peer_index: u32,
    flags: enumeration('wireguard_peer_flags', 'u8'),
  }),
} as const;
