/** VPP 26.06: ip_types.api */
import { struct, u8 } from '../schema.ts';

/** Values of `vl_api_address_family_t`. */
export const address_family = { ADDRESS_IP4: 0, ADDRESS_IP6: 1 } as const;

/** Values of `vl_api_ip_proto_t`. */
export const ip_proto = {
  IP_API_PROTO_HOPOPT: 0,
  IP_API_PROTO_ICMP: 1,
  IP_API_PROTO_IGMP: 2,
  IP_API_PROTO_TCP: 6,
  IP_API_PROTO_UDP: 17,
  IP_API_PROTO_GRE: 47,
  IP_API_PROTO_ESP: 50,
  IP_API_PROTO_AH: 51,
  IP_API_PROTO_ICMP6: 58,
  IP_API_PROTO_EIGRP: 88,
  IP_API_PROTO_OSPF: 89,
  IP_API_PROTO_SCTP: 132,
  IP_API_PROTO_RESERVED: 255,
} as const;

/** Values of `vl_api_ip_dscp_t`. */
export const ip_dscp = {
  IP_API_DSCP_CS0: 0,
  IP_API_DSCP_CS1: 8,
  IP_API_DSCP_AF11: 10,
  IP_API_DSCP_AF12: 12,
  IP_API_DSCP_AF13: 14,
  IP_API_DSCP_CS2: 16,
  IP_API_DSCP_AF21: 18,
  IP_API_DSCP_AF22: 20,
  IP_API_DSCP_AF23: 22,
  IP_API_DSCP_CS3: 24,
  IP_API_DSCP_AF31: 26,
  IP_API_DSCP_AF32: 28,
  IP_API_DSCP_AF33: 30,
  IP_API_DSCP_CS4: 32,
  IP_API_DSCP_AF41: 34,
  IP_API_DSCP_AF42: 36,
  IP_API_DSCP_AF43: 38,
  IP_API_DSCP_CS5: 40,
  IP_API_DSCP_EF: 46,
  IP_API_DSCP_CS6: 48,
  IP_API_DSCP_CS7: 50,
} as const;

/** `vl_api_prefix_matcher_t`. */
export const prefix_matcher = struct('prefix_matcher', { le: u8, ge: u8 });
