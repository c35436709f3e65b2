/** VPP 26.06: feature.api */
import { bool, i32, reply, request, string, u32 } from '../schema.ts';

/** Messages of feature.api, by name. */
export const featureMessages = {
  feature_enable_disable: request(0x7531c862, 'feature_enable_disable_reply', {
    sw_if_index: u32,
    enable: bool,
    arc_name: string(64),
    feature_name: string(64),
  }),
  feature_enable_disable_reply: reply(0xe8d4e804, { retval: i32 }),
  feature_is_enabled: request(0x55db09e2, 'feature_is_enabled_reply', {
    arc_name: string(64),
    feature_name: string(64),
    sw_if_index: u32,
  }),
  feature_is_enabled_reply: {
    ...reply(0x03f284b5, { retval: i32, is_enabled: bool }),
    header: 'client+context',
  },
} as const;
