/** VPP 26.06: punt.api */
import {
  bool,
  dump,
  enumeration,
  i32,
  reply,
  request,
  string,
  struct,
  text,
  u16,
  u32,
  union,
} from '../schema.ts';

/** Values of `vl_api_punt_type_t`. */
export const punt_type = {
  PUNT_API_TYPE_L4: 0,
  PUNT_API_TYPE_IP_PROTO: 1,
  PUNT_API_TYPE_EXCEPTION: 2,
} as const;

/** `vl_api_punt_exception_t`. */
export const punt_exception = struct('punt_exception', { id: u32 });

/** `vl_api_punt_l4_t`. */
export const punt_l4 = struct('punt_l4', {
  af: enumeration('address_family', 'u8'),
  protocol: enumeration('ip_proto', 'u8'),
  port: u16,
});

/** `vl_api_punt_ip_proto_t`. */
export const punt_ip_proto = struct('punt_ip_proto', {
  af: enumeration('address_family', 'u8'),
  protocol: enumeration('ip_proto', 'u8'),
});

/** `vl_api_punt_union_t`. */
export const punt_union = union('punt_union', 'type', {
  exception: { when: 2, node: punt_exception },
  l4: { when: 0, node: punt_l4 },
  ip_proto: { when: 1, node: punt_ip_proto },
});

/** `vl_api_punt_t`. */
export const punt = struct('punt', { type: enumeration('punt_type', 'u32'), punt: punt_union });

/** `vl_api_punt_reason_t`. */
export const punt_reason = struct('punt_reason', { id: u32, name: text });

/** Messages of punt.api, by name. */
export const puntMessages = {
  set_punt: request(0x47d0e347, 'set_punt_reply', { is_add: bool, punt }),
  set_punt_reply: reply(0xe8d4e804, { retval: i32 }),
  punt_socket_register: request(0x7875badb, 'punt_socket_register_reply', {
    header_version: u32,
    punt,
    pathname: string(108),
  }),
  punt_socket_register_reply: reply(0xbd30ae90, { retval: i32, pathname: string(108) }),
  punt_socket_dump: dump(0x916fb004, 'punt_socket_details', {
    type: enumeration('punt_type', 'u32'),
  }),
  punt_socket_details: reply(0x330466e4, { punt, pathname: string(108) }),
  punt_socket_deregister: request(0x75afa766, 'punt_socket_deregister_reply', { punt }),
  punt_socket_deregister_reply: reply(0xe8d4e804, { retval: i32 }),
  punt_reason_dump: dump(0x5c0dd4fe, 'punt_reason_details', { reason: punt_reason }),
  punt_reason_details: reply(0x2c9d4a40, { reason: punt_reason }),
} as const;
