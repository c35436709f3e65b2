/** VPP 26.06: nat_types.api */
import { struct, u32 } from '../schema.ts';

/** Values of `vl_api_nat_config_flags_t`. */
export const nat_config_flags = {
  NAT_IS_NONE: 0,
  NAT_IS_TWICE_NAT: 1,
  NAT_IS_SELF_TWICE_NAT: 2,
  NAT_IS_OUT2IN_ONLY: 4,
  NAT_IS_ADDR_ONLY: 8,
  NAT_IS_OUTSIDE: 16,
  NAT_IS_INSIDE: 32,
  NAT_IS_STATIC: 64,
  NAT_IS_EXT_HOST_VALID: 128,
} as const;

/** Values of `vl_api_nat_log_level_t`. */
export const nat_log_level = {
  NAT_LOG_NONE: 0,
  NAT_LOG_ERROR: 1,
  NAT_LOG_WARNING: 2,
  NAT_LOG_NOTICE: 3,
  NAT_LOG_INFO: 4,
  NAT_LOG_DEBUG: 5,
} as const;

/** `vl_api_nat_timeouts_t`. */
export const nat_timeouts = struct('nat_timeouts', {
  udp: u32,
  tcp_established: u32,
  tcp_transitory: u32,
  icmp: u32,
});
