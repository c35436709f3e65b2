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
  /** Several ways over the interface, instead of `gateway` and `onLink`. */
  readonly hops?: readonly Hop[];
  /** rtm_tos: only packets of that type of service; IPv4 alone has it. */
  readonly tos?: number;
  /** RTA_METRICS as hexadecimal text: MTU, window and what else `ip route` can set. */
  readonly options?: string;
  /** rtm_protocol: 2 kernel, 3 boot, 4 static (the default), 9 router advertisement, 16 DHCP. */
  readonly protocol?: number;
  /** rtm_scope: 0 universe, 253 link; by default as the gateway says. */
  readonly scope?: number;
}

/** One way of a route that has several. */
export interface Hop {
  readonly gateway?: Ip;
  readonly onLink?: boolean;
  /** 1 to 256. */
  readonly weight: number;
}

/** What a dump always tells. */
export interface DumpedRoute extends KernelRoute {
  readonly protocol: number;
  readonly scope: number;
}

const rtmNewRoute = 24;
const rtmDelRoute = 25;
const rtmGetRoute = 26;
const rta = {
  destination: 1,
  link: 4,
  gateway: 5,
  priority: 6,
  source: 7,
  options: 8,
  hops: 9,
  table: 15,
  encapsulation: 22,
} as const;
export const tableMain = 254;
/** The kernel's own, of local addresses. */
export const tableLocal = 255;
const hopHeaderBytes = 8;
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

/**
 * A table's unicast routes through the interface `link` alone, or with one path through any.
 * Of an IPv6 route that leads through others, too, the part through `link`.
 */
export function listRoutes(
  netlink: Netlink,
  family: Family,
  link: number | undefined,
  table: number | 'all' = tableMain,
): DumpedRoute[] {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  // The kernel leaves out the rest, which may be a hundred thousand (NETLINK_GET_STRICT_CHK).
  const filter: Attribute[] = link === undefined ? [] : [[rta.link, u32(link)]];
  if (link === undefined && table !== 'all') filter.push([rta.table, u32(table)]);
  const payload = Buffer.concat([header, encodeAttributes(filter)]);
  return dumpRoutes(netlink, payload).flatMap((message) => {
    const route = parseRoute(message, family, link);
    if (route === undefined || (link !== undefined && route.link !== link)) return [];
    return table === 'all' || (route.table ?? tableMain) === table ? [route] : [];
  });
}

function dumpRoutes(netlink: Netlink, payload: Buffer): NetlinkMessage[] {
  try {
    return netlink.dump('list routes', rtmGetRoute, payload);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return []; // No such table, no such interface.
    throw error;
  }
}

export function formatRoute(route: Omit<KernelRoute, 'link'>): string {
  const parts: string[] = [route.prefix];
  for (const { gateway } of route.hops ?? [route])
    if (gateway !== undefined) parts.push(`via ${gateway}`);
  if (route.metric !== undefined) parts.push(`metric ${route.metric}`);
  if (route.table !== undefined) parts.push(`table ${route.table}`);
  return parts.join(' ');
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
  header.writeUInt8(route.tos ?? 0, 3);
  const table = route.table ?? tableMain;
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(route.protocol ?? protocolStatic, 5);
  const isDirect = family === 4 && route.gateway === undefined && route.hops === undefined;
  header.writeUInt8(route.scope ?? (isDirect ? scopeLink : 0), 6);
  header.writeUInt8(typeUnicast, 7);
  if (route.onLink === true) header.writeUInt32LE(flagOnLink, 8);
  const attributes: Attribute[] = [[rta.table, u32(table)]];
  if (prefixLength(route.prefix) > 0) {
    attributes.push([rta.destination, ipBytes(prefixAddress(route.prefix))]);
  }
  if (route.hops !== undefined) attributes.push([rta.hops, hopsPayload(route.hops, route.link)]);
  else attributes.push([rta.link, u32(route.link)]);
  if (route.gateway !== undefined) attributes.push([rta.gateway, ipBytes(route.gateway)]);
  if (route.source !== undefined) attributes.push([rta.source, ipBytes(route.source)]);
  if (route.metric !== undefined) attributes.push([rta.priority, u32(route.metric)]);
  if (route.options !== undefined)
    attributes.push([rta.options, Buffer.from(route.options, 'hex')]);
  return Buffer.concat([header, encodeAttributes(attributes)]);
}

/** struct rtnexthop: u16 length, u8 flags, u8 weight - 1, i32 index; then attributes. */
function hopsPayload(hops: readonly Hop[], link: number): Buffer {
  return Buffer.concat(
    hops.map(({ gateway, onLink, weight }) => {
      const header = Buffer.alloc(hopHeaderBytes);
      const way: Attribute[] = gateway === undefined ? [] : [[rta.gateway, ipBytes(gateway)]];
      const attributes = encodeAttributes(way);
      header.writeUInt16LE(hopHeaderBytes + attributes.length, 0);
      header.writeUInt8(onLink === true ? flagOnLink : 0, 2);
      header.writeUInt8(weight - 1, 3);
      header.writeInt32LE(link, 4);
      return Buffer.concat([header, attributes]);
    }),
  );
}

function parseRoute(
  { payload }: NetlinkMessage,
  family: Family,
  wantedLink: number | undefined,
): DumpedRoute | undefined {
  const attributes = parseAttributes(payload.subarray(12));
  if (payload.readUInt8(7) !== typeUnicast || attributes.has(rta.encapsulation)) return undefined;
  const way = parseWay(payload, attributes, family, wantedLink);
  if (way === undefined) return undefined;
  const destination = attributes.get(rta.destination) ?? Buffer.alloc(family === 4 ? 4 : 16);
  const source = attributes.get(rta.source);
  const metric = attributes.get(rta.priority)?.readUInt32LE(0);
  const table = attributes.get(rta.table)?.readUInt32LE(0) ?? payload.readUInt8(4);
  const tos = payload.readUInt8(3);
  const options = attributes.get(rta.options)?.toString('hex') ?? '';
  return {
    prefix: prefixOf(ipFromBytes(destination), payload.readUInt8(1)),
    ...way,
    ...(source === undefined ? {} : { source: ipFromBytes(source) }),
    ...(metric === undefined ? {} : { metric }),
    ...(table === tableMain ? {} : { table }),
    ...(tos === 0 ? {} : { tos }),
    ...(options === '' ? {} : { options }),
    protocol: payload.readUInt8(5),
    scope: payload.readUInt8(6),
  };
}

type Way = Pick<KernelRoute, 'link' | 'gateway' | 'onLink' | 'hops'>;

function parseWay(
  payload: Buffer,
  attributes: ReadonlyMap<number, Buffer>,
  family: Family,
  wantedLink: number | undefined,
): Way | undefined {
  const link = attributes.get(rta.link)?.readUInt32LE(0);
  if (link !== undefined) {
    const gateway = attributes.get(rta.gateway);
    return {
      link,
      ...(gateway === undefined ? {} : { gateway: ipFromBytes(gateway) }),
      onLink: (payload.readUInt32LE(8) & flagOnLink) !== 0,
    };
  }
  const ways = attributes.get(rta.hops);
  if (ways === undefined || wantedLink === undefined) return undefined;
  const all = parseHops(ways);
  const hops = all.filter((hop) => hop.link === wantedLink);
  // IPv4 holds such a route as one, and revives its dead parts itself (fib_sync_up).
  if (hops.length === 0 || (family === 4 && hops.length < all.length)) return undefined;
  const [first] = hops;
  if (hops.length > 1 || first === undefined)
    return { link: wantedLink, hops: hops.map(({ link: _link, ...hop }) => hop) };
  const { weight: _weight, ...way } = first;
  return way;
}

function parseHops(bytes: Buffer): (Hop & { readonly link: number })[] {
  const hops: (Hop & { readonly link: number })[] = [];
  for (let at = 0; at + hopHeaderBytes <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < hopHeaderBytes || at + length > bytes.length) break;
    const attributes = parseAttributes(bytes.subarray(at + hopHeaderBytes, at + length));
    const gateway = attributes.get(rta.gateway);
    hops.push({
      link: bytes.readInt32LE(at + 4),
      ...(gateway === undefined ? {} : { gateway: ipFromBytes(gateway) }),
      onLink: (bytes.readUInt8(at + 2) & flagOnLink) !== 0,
      weight: bytes.readUInt8(at + 3) + 1,
    });
    at += (length + 3) & ~3;
  }
  return hops;
}
