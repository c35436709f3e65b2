/** VPP 26.06: lb_types.api */
import { addressWithPrefix, enumeration, struct, u16 } from '../schema.ts';

/** Values of `vl_api_lb_encap_type_t`. */
export const lb_encap_type = {
  LB_API_ENCAP_TYPE_GRE4: 0,
  LB_API_ENCAP_TYPE_GRE6: 1,
  LB_API_ENCAP_TYPE_L3DSR: 2,
  LB_API_ENCAP_TYPE_NAT4: 3,
  LB_API_ENCAP_TYPE_NAT6: 4,
  LB_API_ENCAP_N_TYPES: 5,
} as const;

/** Values of `vl_api_lb_srv_type_t`. */
export const lb_srv_type = {
  LB_API_SRV_TYPE_CLUSTERIP: 0,
  LB_API_SRV_TYPE_NODEPORT: 1,
  LB_API_SRV_N_TYPES: 2,
} as const;

/** `vl_api_lb_vip_t`. */
export const lb_vip = struct('lb_vip', {
  pfx: addressWithPrefix,
  protocol: enumeration('ip_proto', 'u8'),
  port: u16,
});
