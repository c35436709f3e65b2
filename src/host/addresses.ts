import { type Family, familyOf, type Ip, ipBytes, ipFromBytes } from '../core/ip.ts';
import type { Netlink } from './netlink.ts';
import { isErrno } from './netlink-error.ts';
import {
  type Attribute,
  encodeAttributes,
  messageFlags,
  parseAttributes,
  u32,
} from './netlink-wire.ts';

/** An address of an interface. */
export interface LinkAddress {
  readonly link: number;
  readonly ip: Ip;
  /** Length of the subnet. */
  readonly length: number;
  /** rt_scope: 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** IFA_F_*: `addressFlags`. */
  readonly flags: number;
  readonly broadcast?: Ip;
  /** Metric of the subnet's route that the kernel makes with the address. */
  readonly metric?: number;
}

/** IFA_F_*, linux/if_addr.h. */
export const addressFlags = {
  noDad: 0x2,
  /** Without a lifetime; what a DHCP client or a router advertisement makes has one. */
  permanent: 0x80,
  noPrefixRoute: 0x200,
} as const;

/** rt_scope of addresses that never are a packet's source beyond the link. */
export const scopeLink = 253;

const rtmNewAddr = 20;
const rtmDelAddr = 21;
const rtmGetAddr = 22;
const ifa = { address: 1, local: 2, broadcast: 4, lifetimes: 6, flags: 8, metric: 9 } as const;
const afInet = 2;
const afInet6 = 10;

/** Adds or replaces. IPv6 addresses are usable at once (no duplicate address detection). */
export function putAddress(
  netlink: Netlink,
  address: Pick<LinkAddress, 'link' | 'ip' | 'length' | 'broadcast' | 'metric'> & {
    readonly prefixRoute?: boolean;
    /** Only IPv4 asks: IPv6 reads it off the address. */
    readonly scope?: number;
    /** Never chosen as a source while there is another one (RFC 4862 section 5.5.4). */
    readonly deprecated?: boolean;
  },
): void {
  const noPrefixRoute = address.prefixRoute === true ? 0 : addressFlags.noPrefixRoute;
  const noDad = familyOf(address.ip) === 6 ? addressFlags.noDad : 0;
  const { broadcast, metric } = address;
  netlink.request(`add address ${address.ip}/${address.length}`, rtmNewAddr, {
    flags: messageFlags.create | messageFlags.replace,
    payload: addressPayload(address, [
      [ifa.flags, u32(noPrefixRoute | noDad)],
      ...(address.deprecated === true ? [[ifa.lifetimes, deprecatedForEver] as const] : []),
      ...(broadcast === undefined ? [] : [[ifa.broadcast, ipBytes(broadcast)] as const]),
      ...(metric === undefined ? [] : [[ifa.metric, u32(metric)] as const]),
    ]),
  });
}

/** struct ifa_cacheinfo: u32 preferred and valid lifetime (seconds), u32 two timestamps. */
const deprecatedForEver = Buffer.concat([u32(0), u32(0xffff_ffff), u32(0), u32(0)]);

/** Deletes; what is not there is not an error. */
export function deleteAddress(
  netlink: Netlink,
  address: Pick<LinkAddress, 'link' | 'ip' | 'length'>,
): void {
  try {
    netlink.request(`delete address ${address.ip}/${address.length}`, rtmDelAddr, {
      payload: addressPayload(address, []),
    });
  } catch (error) {
    if (!isErrno(error, 'EADDRNOTAVAIL', 'ENODEV')) throw error;
  }
}

/** The addresses of one interface, both families, in the kernel's order. */
export function listAddresses(netlink: Netlink, link: number): LinkAddress[] {
  const all: LinkAddress[] = [];
  for (const message of netlink.dump('list addresses', rtmGetAddr, Buffer.alloc(8))) {
    const { payload } = message;
    const attributes = parseAttributes(payload.subarray(8));
    const bytes = attributes.get(ifa.local) ?? attributes.get(ifa.address);
    if (bytes === undefined || payload.readUInt32LE(4) !== link) continue;
    const broadcast = attributes.get(ifa.broadcast);
    const metric = attributes.get(ifa.metric)?.readUInt32LE(0);
    all.push({
      link,
      ip: ipFromBytes(bytes),
      ...(broadcast === undefined ? {} : { broadcast: ipFromBytes(broadcast) }),
      ...(metric === undefined ? {} : { metric }),
      length: payload.readUInt8(1),
      scope: payload.readUInt8(3),
      flags: attributes.get(ifa.flags)?.readUInt32LE(0) ?? payload.readUInt8(2),
    });
  }
  return all;
}

/** AF_INET or AF_INET6. */
export function addressFamily(family: Family): number {
  return family === 4 ? afInet : afInet6;
}

/** struct ifaddrmsg: u8 family, u8 length, u8 flags, u8 scope, u32 index. */
function addressPayload(
  address: Pick<LinkAddress, 'link' | 'ip' | 'length'> & { readonly scope?: number },
  more: readonly Attribute[],
): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(addressFamily(familyOf(address.ip)), 0);
  header.writeUInt8(address.length, 1);
  header.writeUInt8(address.scope ?? 0, 3);
  header.writeUInt32LE(address.link, 4);
  const bytes = ipBytes(address.ip);
  const attributes: Attribute[] = [[ifa.local, bytes], [ifa.address, bytes], ...more];
  return Buffer.concat([header, encodeAttributes(attributes)]);
}
