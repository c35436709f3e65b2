import { closeSync, openSync } from 'node:fs';
import type { Netlink } from './netlink.ts';
import { isErrno, NetlinkError } from './netlink-error.ts';
import {
  type Attribute,
  attributeText,
  encodeAttributes,
  formatMac,
  macBytes,
  messageFlags,
  type NetlinkMessage,
  parseAttributes,
  text,
  u32,
} from './netlink-wire.ts';

/** A network interface as the kernel shows it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** '' when it has none. */
  readonly mac: string;
  /** Bytes of an L3 packet. */
  readonly mtu: number;
  readonly flags: number;
  /** rtnl_link_ops name such as `veth`; '' for hardware. */
  readonly kind: string;
}

/** net_device flags, linux/if.h. */
export const linkFlags = {
  up: 0x1,
  loopback: 0x8,
  /** The kernel neither asks nor answers ARP. */
  noArp: 0x80,
  promiscuous: 0x100,
  allMulticast: 0x200,
} as const;

/** Longest name of an interface in bytes (IFNAMSIZ without its zero). */
export const linkNameMaxBytes = 15;

const rtmNewLink = 16;
const rtmDelLink = 17;
const rtmGetLink = 18;
const ifla = { address: 1, name: 3, mtu: 4, linkInfo: 18, namespaceFd: 28 } as const;
const iflaInfo = { kind: 1, data: 2 } as const;
const vethInfoPeer = 1;

export interface LinkSettings {
  readonly name?: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly noArp?: boolean;
  readonly allMulticast?: boolean;
  /** Path of the namespace to move to. */
  readonly namespace?: string;
}

export interface VethEnd {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
}

/**
 * Creates a veth pair; the peer is created directly in the namespace at `peerNamespace`, so
 * nothing half-made ever shows up on the host. The name is taken there at once: EEXIST.
 */
export function createVethPair(
  netlink: Netlink,
  end: VethEnd,
  options: { readonly peer: VethEnd; readonly peerNamespace?: string },
): void {
  const namespaceFd =
    options.peerNamespace === undefined ? undefined : openSync(options.peerNamespace, 'r');
  try {
    const peer: Attribute[] = endAttributes(options.peer);
    if (namespaceFd !== undefined) peer.push([ifla.namespaceFd, u32(namespaceFd)]);
    const peerBytes = Buffer.concat([interfaceHeader({}), encodeAttributes(peer)]);
    const info: Attribute[] = [
      [iflaInfo.kind, text('veth')],
      [iflaInfo.data, [[vethInfoPeer, peerBytes]]],
    ];
    netlink.request(`create veth ${end.name}`, rtmNewLink, {
      flags: messageFlags.create | messageFlags.exclusive,
      payload: Buffer.concat([
        interfaceHeader({}),
        encodeAttributes([...endAttributes(end), [ifla.linkInfo, info]]),
      ]),
    });
  } finally {
    if (namespaceFd !== undefined) closeSync(namespaceFd);
  }
}

/** Changes only what is given. */
export function setLink(netlink: Netlink, index: number, settings: LinkSettings): void {
  const attributes: Attribute[] = [];
  const { name, mac, mtu, namespace } = settings;
  if (name !== undefined) attributes.push([ifla.name, text(name)]);
  if (mac !== undefined) attributes.push([ifla.address, macBytes(mac)]);
  if (mtu !== undefined) attributes.push([ifla.mtu, u32(mtu)]);
  const namespaceFd = namespace === undefined ? undefined : openSync(namespace, 'r');
  if (namespaceFd !== undefined) attributes.push([ifla.namespaceFd, u32(namespaceFd)]);
  const wanted = [
    [linkFlags.up, settings.up],
    [linkFlags.noArp, settings.noArp],
    [linkFlags.allMulticast, settings.allMulticast],
  ] as const;
  let flags = 0;
  let change = 0;
  for (const [flag, on] of wanted) {
    if (on === undefined) continue;
    change |= flag;
    if (on) flags |= flag;
  }
  try {
    netlink.request(`change link ${index}`, rtmNewLink, {
      payload: Buffer.concat([
        interfaceHeader({ index, flags, change }),
        encodeAttributes(attributes),
      ]),
    });
  } finally {
    if (namespaceFd !== undefined) closeSync(namespaceFd);
  }
}

/** Deletes by name; what is not there is not an error. */
export function deleteLink(netlink: Netlink, name: string): void {
  try {
    netlink.request(`delete link ${name}`, rtmDelLink, { payload: namePayload(name) });
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
  }
}

/** The same while the event loop goes on; nothing else may use the socket meanwhile. */
export async function deleteLinkAside(netlink: Netlink, name: string): Promise<void> {
  try {
    await netlink.requestAside(`delete link ${name}`, rtmDelLink, namePayload(name));
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
  }
}

export function listLinks(netlink: Netlink): Link[] {
  return netlink.dump('list links', rtmGetLink, interfaceHeader({})).map(parseLink);
}

/** Undefined when there is no such interface. */
export function findLink(netlink: Netlink, name: string): Link | undefined {
  return listLinks(netlink).find((link) => link.name === name);
}

/** Like `findLink`, for one that must exist. */
export function requireLink(netlink: Netlink, name: string): Link {
  const link = findLink(netlink, name);
  if (link === undefined) throw new NetlinkError(`find link ${name}`, 19, ''); // ENODEV
  return link;
}

function namePayload(name: string): Buffer {
  return Buffer.concat([interfaceHeader({}), encodeAttributes([[ifla.name, text(name)]])]);
}

function endAttributes(end: VethEnd): Attribute[] {
  return [
    [ifla.name, text(end.name)],
    [ifla.address, macBytes(end.mac)],
    [ifla.mtu, u32(end.mtu)],
  ];
}

/** struct ifinfomsg: u8 family, pad, u16 type, i32 index, u32 flags, u32 change. */
function interfaceHeader(fields: { index?: number; flags?: number; change?: number }): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(fields.index ?? 0, 4);
  bytes.writeUInt32LE(fields.flags ?? 0, 8);
  bytes.writeUInt32LE(fields.change ?? 0, 12);
  return bytes;
}

function parseLink(message: NetlinkMessage): Link {
  const { payload } = message;
  const attributes = parseAttributes(payload.subarray(16));
  const info = parseAttributes(attributes.get(ifla.linkInfo) ?? Buffer.alloc(0));
  return {
    index: payload.readInt32LE(4),
    flags: payload.readUInt32LE(8),
    name: attributeText(attributes.get(ifla.name)),
    mac: formatMac(attributes.get(ifla.address) ?? Buffer.alloc(0)),
    mtu: attributes.get(ifla.mtu)?.readUInt32LE(0) ?? 0,
    kind: attributeText(info.get(iflaInfo.kind)),
  };
}
