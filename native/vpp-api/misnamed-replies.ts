import type { MessageName } from './catalogue/index.ts';

/**
 * Replies that VPP 26.06 sends under the id of another message, by their requests. A VPP that
 * does it right is understood, too. Both messages have the same fields.
 *
 * `acl_stats_intf_counters_enable`: VPP, src/plugins/acl/acl.c, its handler replies with
 * VL_API_ACL_DEL_REPLY (observed).
 */
export const misnamedReplies: { readonly [N in MessageName]?: MessageName } = {
  acl_stats_intf_counters_enable: 'acl_del_reply',
};
