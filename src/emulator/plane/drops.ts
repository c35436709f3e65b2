import type { Mac } from '../address.ts';
import { buildFrame } from '../packet/build.ts';
import { EtherType, ethernetHeaderBytes } from '../packet/headers.ts';
import type { Packet } from './packet.ts';
import { drop, type Plane } from './plane.ts';

/** Nodes of the acl plugin that drop, by VPP's names. */
export const aclNodes = [
  'acl-plugin-in-ip4-fa',
  'acl-plugin-in-ip6-fa',
  'acl-plugin-out-ip4-fa',
  'acl-plugin-out-ip6-fa',
] as const;

/** Reason under which they count. Source: VPP v26.06 `plugins/acl/dataplane_node.c`. */
export const aclDenied = 'ACL deny packets';

/** One dropped packet of a capture. */
export interface CapturedPacket {
  /** Of the plane's clock. */
  readonly seconds: number;
  readonly bytes: Buffer;
  /** Before it was cut. */
  readonly length: number;
}

export interface Capture {
  readonly path: string;
  readonly packetsMax: number;
  readonly bytesMax: number;
  readonly packets: CapturedPacket[];
}

/** What became of dropped packets: counted, and kept while a capture runs. */
export interface Drops {
  readonly denied: Map<(typeof aclNodes)[number], number>;
  capture: Capture | undefined;
}

export function createDrops(): Drops {
  return { denied: new Map(aclNodes.map((node) => [node, 0])), capture: undefined };
}

/**
 * Drops what a filter denied. The embedded plane captures these alone; VPP every drop.
 *
 * On output `macs` are those of the header that VPP has written by then. VPP appends the node and
 * the reason to the packet. Source: v26.06 `vnet/interface_output.c`, `pcap_drop_trace`.
 */
export function dropDenied(
  plane: Plane,
  packet: Packet,
  direction: 'in' | 'out',
  macs?: { readonly target: Mac; readonly source: Mac },
): void {
  const node = `acl-plugin-${direction}-ip${packet.family}-fa` as const;
  plane.drops.denied.set(node, (plane.drops.denied.get(node) ?? 0) + 1);
  const { capture } = plane.drops;
  if (capture !== undefined && capture.packets.length < capture.packetsMax) {
    const said = Buffer.from(`${node}: ${aclDenied}`, 'latin1');
    const bytes = Buffer.concat([frameOf(packet, macs), said]);
    const length = bytes.length;
    capture.packets.push({
      seconds: plane.now(),
      bytes: bytes.subarray(0, capture.bytesMax),
      length,
    });
  }
  drop(packet, `acl-plugin-${direction}-ip${packet.family}`, 'denied');
}

/** With the header that it came with, which stands before it, or the one that it leaves with. */
function frameOf({ l3, family }: Packet, macs: Parameters<typeof dropDenied>[3]): Buffer {
  const etherType = family === 6 ? EtherType.ip6 : EtherType.ip4;
  if (macs !== undefined) return buildFrame(macs.target, macs.source, etherType, l3);
  const nobody = '\0'.repeat(6) as Mac;
  if (l3.byteOffset < ethernetHeaderBytes) return buildFrame(nobody, nobody, etherType, l3);
  const start = l3.byteOffset - ethernetHeaderBytes;
  return Buffer.from(Buffer.from(l3.buffer, start, l3.length + ethernetHeaderBytes));
}
