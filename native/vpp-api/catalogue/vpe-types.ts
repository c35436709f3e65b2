/** VPP 26.06: vpe_types.api */

/** Values of `vl_api_log_level_t`. */
export const log_level = {
  VPE_API_LOG_LEVEL_EMERG: 0,
  VPE_API_LOG_LEVEL_ALERT: 1,
  VPE_API_LOG_LEVEL_CRIT: 2,
  VPE_API_LOG_LEVEL_ERR: 3,
  VPE_API_LOG_LEVEL_WARNING: 4,
  VPE_API_LOG_LEVEL_NOTICE: 5,
  VPE_API_LOG_LEVEL_INFO: 6,
  VPE_API_LOG_LEVEL_DEBUG: 7,
  VPE_API_LOG_LEVEL_DISABLED: 8,
} as const;
