/** VPP 26.06: fib_types.api */
import { addressUnion, array, enumeration, struct, u8, u32 } from '../schema.ts';

/** Values of `vl_api_fib_path_type_t`. */
export const fib_path_type = {
  FIB_API_PATH_TYPE_NORMAL: 0,
  FIB_API_PATH_TYPE_LOCAL: 1,
  FIB_API_PATH_TYPE_DROP: 2,
  FIB_API_PATH_TYPE_UDP_ENCAP: 3,
  FIB_API_PATH_TYPE_BIER_IMP: 4,
  FIB_API_PATH_TYPE_ICMP_UNREACH: 5,
  FIB_API_PATH_TYPE_ICMP_PROHIBIT: 6,
  FIB_API_PATH_TYPE_SOURCE_LOOKUP: 7,
  FIB_API_PATH_TYPE_DVR: 8,
  FIB_API_PATH_TYPE_INTERFACE_RX: 9,
  FIB_API_PATH_TYPE_CLASSIFY: 10,
} as const;

/** Values of `vl_api_fib_path_flags_t`. */
export const fib_path_flags = {
  FIB_API_PATH_FLAG_NONE: 0,
  FIB_API_PATH_FLAG_RESOLVE_VIA_ATTACHED: 1,
  FIB_API_PATH_FLAG_RESOLVE_VIA_HOST: 2,
  FIB_API_PATH_FLAG_POP_PW_CW: 4,
} as const;

/** Values of `vl_api_fib_path_nh_proto_t`. */
export const fib_path_nh_proto = {
  FIB_API_PATH_NH_PROTO_IP4: 0,
  FIB_API_PATH_NH_PROTO_IP6: 1,
  FIB_API_PATH_NH_PROTO_MPLS: 2,
  FIB_API_PATH_NH_PROTO_ETHERNET: 3,
  FIB_API_PATH_NH_PROTO_BIER: 4,
} as const;

/** `vl_api_fib_path_nh_t`. */
export const fib_path_nh = struct('fib_path_nh', {
  address: addressUnion('proto'),
  via_label: u32,
  obj_id: u32,
  classify_table_index: u32,
});

/** `vl_api_fib_mpls_label_t`. */
export const fib_mpls_label = struct('fib_mpls_label', {
  is_uniform: u8,
  label: u32,
  ttl: u8,
  exp: u8,
});

/** `vl_api_fib_path_t`. */
export const fib_path = struct('fib_path', {
  sw_if_index: u32,
  table_id: u32,
  rpf_id: u32,
  weight: u8,
  preference: u8,
  type: enumeration('fib_path_type', 'u32'),
  flags: enumeration('fib_path_flags', 'u32'),
  proto: enumeration('fib_path_nh_proto', 'u32'),
  nh: fib_path_nh,
  n_labels: u8,
  label_stack: array(fib_mpls_label, 16),
});
