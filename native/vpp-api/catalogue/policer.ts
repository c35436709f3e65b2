/** VPP 26.06: policer.api */
import { bool, dump, enumeration, i32, reply, request, string, u32, u64 } from '../schema.ts';
import { policer_config, sse2_qos_action } from './policer-types.ts';

/** Messages of policer.api, by name. */
export const policerMessages = {
  policer_add: request(0x4d949e35, 'policer_add_reply', {
    name: string(64),
    infos: policer_config,
  }),
  policer_add_reply: reply(0xa177cef2, { retval: i32, policer_index: u32 }),
  policer_del: request(0x7ff7912e, 'policer_del_reply', { policer_index: u32 }),
  policer_del_reply: reply(0xe8d4e804, { retval: i32 }),
  policer_dump_v2: dump(0x7ff7912e, 'policer_details', { policer_index: u32 }),
  policer_details: reply(0x72d0e248, {
    name: string(64),
    cir: u32,
    eir: u32,
    cb: u64,
    eb: u64,
    rate_type: enumeration('sse2_qos_rate_type', 'u8'),
    round_type: enumeration('sse2_qos_round_type', 'u8'),
    type: enumeration('sse2_qos_policer_type', 'u8'),
    conform_action: sse2_qos_action,
    exceed_action: sse2_qos_action,
    violate_action: sse2_qos_action,
    single_rate: bool,
    color_aware: bool,
    scale: u32,
    cir_tokens_per_period: u32,
    pir_tokens_per_period: u32,
    current_limit: u32,
    current_bucket: u32,
    extended_limit: u32,
    extended_bucket: u32,
    last_update_time: u64,
  }),
  policer_input: request(0x233f0ef5, 'policer_input_reply', {
    name: string(64),
    sw_if_index: u32,
    apply: bool,
  }),
  policer_input_reply: reply(0xe8d4e804, { retval: i32 }),
  policer_output: request(0x233f0ef5, 'policer_output_reply', {
    name: string(64),
    sw_if_index: u32,
    apply: bool,
  }),
  policer_output_reply: reply(0xe8d4e804, { retval: i32 }),
} as const;
