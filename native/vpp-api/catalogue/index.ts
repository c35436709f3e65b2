/** Every message that we can speak: VPP 26.06, one file per module of VPP. */
import { abfMessages } from './abf.ts';
import { aclMessages } from './acl.ts';
import { afPacketMessages } from './af-packet.ts';
import { arpingMessages } from './arping.ts';
import { bfdMessages } from './bfd.ts';
import { cnatMessages } from './cnat.ts';
import { featureMessages } from './feature.ts';
import { fibMessages } from './fib.ts';
import { greMessages } from './gre.ts';
import { gsoMessages } from './gso.ts';
import { interfaceMessages } from './interface.ts';
import { ipMessages } from './ip.ts';
import { ipNeighborMessages } from './ip-neighbor.ts';
import { ip6NdMessages } from './ip6-nd.ts';
import { ipipMessages } from './ipip.ts';
import { l2Messages } from './l2.ts';
import { lbMessages } from './lb.ts';
import { memclntMessages } from './memclnt.ts';
import { memifMessages } from './memif.ts';
import { mssClampMessages } from './mss-clamp.ts';
import { nat44EdMessages } from './nat44-ed.ts';
import { pingMessages } from './ping.ts';
import { policerMessages } from './policer.ts';
import { puntMessages } from './punt.ts';
import { tapv2Messages } from './tapv2.ts';
import { teibMessages } from './teib.ts';
import { tracedumpMessages } from './tracedump.ts';
import { vhostUserMessages } from './vhost-user.ts';
import { vlibMessages } from './vlib.ts';
import { vpeMessages } from './vpe.ts';
import { vxlanMessages } from './vxlan.ts';
import { wireguardMessages } from './wireguard.ts';

/** All messages by name. */
export const catalogue = {
  ...memclntMessages,
  ...vpeMessages,
  ...vlibMessages,
  ...interfaceMessages,
  ...ipMessages,
  ...ip6NdMessages,
  ...ipNeighborMessages,
  ...fibMessages,
  ...afPacketMessages,
  ...tapv2Messages,
  ...memifMessages,
  ...vhostUserMessages,
  ...cnatMessages,
  ...aclMessages,
  ...greMessages,
  ...ipipMessages,
  ...vxlanMessages,
  ...teibMessages,
  ...lbMessages,
  ...nat44EdMessages,
  ...abfMessages,
  ...puntMessages,
  ...mssClampMessages,
  ...arpingMessages,
  ...pingMessages,
  ...bfdMessages,
  ...featureMessages,
  ...gsoMessages,
  ...tracedumpMessages,
  ...l2Messages,
  ...wireguardMessages,
  ...policerMessages,
} as const;

/** The catalogue with its inferred field types. */
export type Catalogue = typeof catalogue;
/** The name of any message. */
export type MessageName = keyof Catalogue;
/** The names of messages with exactly one reply. */
export type RequestName = {
  [N in MessageName]: Catalogue[N]['reply'] extends MessageName
    ? Catalogue[N]['details'] extends MessageName
      ? never
      : N
    : never;
}[MessageName];
/** The names of dumps, which end when a following `control_ping` is answered. */
export type DumpName = {
  [N in MessageName]: Catalogue[N]['details'] extends MessageName
    ? Catalogue[N]['reply'] extends MessageName
      ? never
      : N
    : never;
}[MessageName];
/** The names of streams: details, then a reply of their own. */
export type StreamName = {
  [N in MessageName]: Catalogue[N]['details'] extends MessageName
    ? Catalogue[N]['reply'] extends MessageName
      ? N
      : never
    : never;
}[MessageName];
/** The names of events. */
export type EventName = {
  [N in MessageName]: Catalogue[N]['header'] extends 'client' ? N : never;
}[MessageName];
/** The reply to a request. */
export type ReplyOf<N extends RequestName | StreamName> = Extract<
  Catalogue[N]['reply'],
  MessageName
>;
/** The details of a dump or stream. */
export type DetailsOf<N extends DumpName | StreamName> = Extract<
  Catalogue[N]['details'],
  MessageName
>;

/** Every message name, in the order of the catalogue. */
export const messageNames = Object.keys(catalogue) as readonly MessageName[];
