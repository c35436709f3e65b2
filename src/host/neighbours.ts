import { familyOf, type Ip, ipBytes, ipFromBytes } from '../core/ip.ts';
import { addressFamily } from './addresses.ts';
import type { Netlink } from './netlink.ts';
import {
  encodeAttributes,
  formatMac,
  macBytes,
  messageFlags,
  parseAttributes,
} from './netlink-wire.ts';

/** A permanent neighbour: the kernel never asks for its MAC. */
export interface Neighbour {
  readonly link: number;
  readonly ip: Ip;
  readonly mac: string;
}

const rtmNewNeighbour = 28;
const rtmGetNeighbour = 30;
const nda = { destination: 1, linkAddress: 2 } as const;
const statePermanent = 0x80;

/** Adds or replaces. */
export function putNeighbour(netlink: Netlink, neighbour: Neighbour): void {
  const header = neighbourHeader();
  header.writeUInt8(addressFamily(familyOf(neighbour.ip)), 0);
  header.writeInt32LE(neighbour.link, 4);
  header.writeUInt16LE(statePermanent, 8);
  netlink.request(`add neighbour ${neighbour.ip}`, rtmNewNeighbour, {
    flags: messageFlags.create | messageFlags.replace,
    payload: Buffer.concat([
      header,
      encodeAttributes([
        [nda.destination, ipBytes(neighbour.ip)],
        [nda.linkAddress, macBytes(neighbour.mac)],
      ]),
    ]),
  });
}

/** The permanent neighbours of one interface, both families. */
export function listNeighbours(netlink: Netlink, link: number): Neighbour[] {
  const all: Neighbour[] = [];
  for (const { payload } of netlink.dump('list neighbours', rtmGetNeighbour, neighbourHeader())) {
    const attributes = parseAttributes(payload.subarray(12));
    const ip = attributes.get(nda.destination);
    const mac = attributes.get(nda.linkAddress);
    const permanent = (payload.readUInt16LE(8) & statePermanent) !== 0;
    if (payload.readInt32LE(4) !== link || !permanent) continue;
    if (ip !== undefined && mac !== undefined) {
      all.push({ link, ip: ipFromBytes(ip), mac: formatMac(mac) });
    }
  }
  return all;
}

/** struct ndmsg: u8 family, pad, i32 index, u16 state, u8 flags, u8 type. */
function neighbourHeader(): Buffer {
  return Buffer.alloc(12);
}
