import {
  type Family,
  familyOf,
  type Ip,
  ipBytes,
  ipFromBytes,
  type Prefix,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../core/ip.ts';
import { addressFamily, scopeLink } from './addresses.ts';
import type { Netlink } from './netlink.ts';
import { isErrno } from './netlink-error.ts';
import {
  type Attribute,
  encodeAttributes,
  messageFlags,
  type NetlinkMessage,
  parseAttributes,
  u32,
} from './netlink-wire.ts';

/** A unicast route through one interface. */
export interface KernelRoute {
  readonly prefix: Prefix;
  readonly link: number;
  readonly gateway?: Ip;
  /** Preferred source address. */
  readonly source?: Ip;
  /** The gateway is on the link although no address of ours covers it. */
  readonly onLink?: boolean;
  /** 0 for IPv4's best; the kernel makes IPv6's 0 into 1024. */
  readonly metric?: number;
  /** Routing table; the main one when absent. */
  readonly table?: number;
}

/** What a dump tells beyond `KernelRoute`. */
export interface DumpedRoute extends KernelRoute {
  /** rtm_protocol: 2 kernel, 3 boot, 4 static, 9 router advertisement, 16 DHCP. */
  readonly protocol: number;
  /** rtm_scope: 0 universe, 253 link. */
  readonly scope: number;
}

const rtmNewRoute = 24;
const rtmDelRoute = 25;
const rtmGetRoute = 26;
const rta = { destination: 1, link: 4, gateway: 5, priority: 6, source: 7, table: 15 } as const;
const tableMain = 254;
const protocolStatic = 4;
const typeUnicast = 1;
const flagOnLink = 4; // RTNH_F_ONLINK

/** Adds or replaces. */
export function putRoute(netlink: Netlink, route: KernelRoute): void {
  netlink.request(`add route ${formatRoute(route)}`, rtmNewRoute, {
    flags: messageFlags.create | messageFlags.replace,
    payload: routePayload(route),
  });
}

/** Adds beside what others hold for the prefix; what is already there is not an error. */
export function addRoute(netlink: Netlink, route: KernelRoute): void {
  try {
    netlink.request(`add route ${formatRoute(route)}`, rtmNewRoute, {
      flags: messageFlags.create,
      payload: routePayload(route),
    });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** Deletes; what is not there is not an error. */
export function deleteRoute(netlink: Netlink, route: KernelRoute): void {
  try {
    netlink.request(`delete route ${formatRoute(route)}`, rtmDelRoute, {
      payload: routePayload(route),
    });
  } catch (error) {
    if (!isErrno(error, 'ESRCH', 'ENODEV')) throw error;
  }
}

/** A table's unicast routes with one path, through the interface `link` or through any. */
export function listRoutes(
  netlink: Netlink,
  family: Family,
  link: number | undefined,
  table: number = tableMain,
): DumpedRoute[] {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  const routes: DumpedRoute[] = [];
  for (const message of netlink.dump('list routes', rtmGetRoute, header)) {
    const route = parseRoute(message, family, table);
    if (route !== undefined && (link === undefined || route.link === link)) routes.push(route);
  }
  return routes;
}

function formatRoute(route: KernelRoute): string {
  return route.gateway === undefined ? route.prefix : `${route.prefix} via ${route.gateway}`;
}

/**
 * struct rtmsg: u8 family, destination length, source length, tos, table, protocol, scope,
 * type; u32 flags.
 */
function routePayload(route: KernelRoute): Buffer {
  const family = familyOf(route.prefix);
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  header.writeUInt8(prefixLength(route.prefix), 1);
  const table = route.table ?? tableMain;
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(protocolStatic, 5);
  if (family === 4 && route.gateway === undefined) header.writeUInt8(scopeLink, 6);
  header.writeUInt8(typeUnicast, 7);
  if (route.onLink === true) header.writeUInt32LE(flagOnLink, 8);
  const attributes: Attribute[] = [
    [rta.link, u32(route.link)],
    [rta.table, u32(table)],
  ];
  if (prefixLength(route.prefix) > 0) {
    attributes.push([rta.destination, ipBytes(prefixAddress(route.prefix))]);
  }
  if (route.gateway !== undefined) attributes.push([rta.gateway, ipBytes(route.gateway)]);
  if (route.source !== undefined) attributes.push([rta.source, ipBytes(route.source)]);
  if (route.metric !== undefined) attributes.push([rta.priority, u32(route.metric)]);
  return Buffer.concat([header, encodeAttributes(attributes)]);
}

function parseRoute(
  message: NetlinkMessage,
  family: Family,
  wantedTable: number,
): DumpedRoute | undefined {
  const { payload } = message;
  const attributes = parseAttributes(payload.subarray(12));
  const table = attributes.get(rta.table)?.readUInt32LE(0) ?? payload.readUInt8(4);
  const link = attributes.get(rta.link)?.readUInt32LE(0);
  if (table !== wantedTable || payload.readUInt8(7) !== typeUnicast || link === undefined) {
    return undefined;
  }
  const destination = attributes.get(rta.destination) ?? Buffer.alloc(family === 4 ? 4 : 16);
  const gateway = attributes.get(rta.gateway);
  const source = attributes.get(rta.source);
  const metric = attributes.get(rta.priority)?.readUInt32LE(0);
  return {
    prefix: prefixOf(ipFromBytes(destination), payload.readUInt8(1)),
    link,
    ...(gateway === undefined ? {} : { gateway: ipFromBytes(gateway) }),
    ...(source === undefined ? {} : { source: ipFromBytes(source) }),
    ...(metric === undefined ? {} : { metric }),
    onLink: (payload.readUInt32LE(8) & flagOnLink) !== 0,
    protocol: payload.readUInt8(5),
    scope: payload.readUInt8(6),
  };
}
