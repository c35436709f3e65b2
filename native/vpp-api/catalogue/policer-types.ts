/** VPP 26.06: policer_types.api */
import { bool, enumeration, struct, u8, u32, u64 } from '../schema.ts';

/** Values of `vl_api_sse2_qos_rate_type_t`. */
export const sse2_qos_rate_type = {
  SSE2_QOS_RATE_API_KBPS: 0,
  SSE2_QOS_RATE_API_PPS: 1,
  SSE2_QOS_RATE_API_INVALID: 2,
} as const;

/** Values of `vl_api_sse2_qos_round_type_t`. */
export const sse2_qos_round_type = {
  SSE2_QOS_ROUND_API_TO_CLOSEST: 0,
  SSE2_QOS_ROUND_API_TO_UP: 1,
  SSE2_QOS_ROUND_API_TO_DOWN: 2,
  SSE2_QOS_ROUND_API_INVALID: 3,
} as const;

/** Values of `vl_api_sse2_qos_policer_type_t`. */
export const sse2_qos_policer_type = {
  SSE2_QOS_POLICER_TYPE_API_1R2C: 0,
  SSE2_QOS_POLICER_TYPE_API_1R3C_RFC_2697: 1,
  SSE2_QOS_POLICER_TYPE_API_2R3C_RFC_2698: 2,
  SSE2_QOS_POLICER_TYPE_API_2R3C_RFC_4115: 3,
  SSE2_QOS_POLICER_TYPE_API_2R3C_RFC_MEF5CF1: 4,
  SSE2_QOS_POLICER_TYPE_API_MAX: 5,
} as const;

/** Values of `vl_api_sse2_qos_action_type_t`. */
export const sse2_qos_action_type = {
  SSE2_QOS_ACTION_API_DROP: 0,
  SSE2_QOS_ACTION_API_TRANSMIT: 1,
  SSE2_QOS_ACTION_API_MARK_AND_TRANSMIT: 2,
} as const;

/** `vl_api_sse2_qos_action_t`. */
export const sse2_qos_action = struct('sse2_qos_action', {
  type: enumeration('sse2_qos_action_type', 'u8'),
  dscp: u8,
});

/** `vl_api_policer_config_t`. */
export const policer_config = struct('policer_config', {
  cir: u32,
  eir: u32,
  cb: u64,
  eb: u64,
  rate_type: enumeration('sse2_qos_rate_type', 'u8'),
  round_type: enumeration('sse2_qos_round_type', 'u8'),
  type: enumeration('sse2_qos_policer_type', 'u8'),
  color_aware: bool,
  conform_action: sse2_qos_action,
  exceed_action: sse2_qos_action,
  violate_action: sse2_qos_action,
});
