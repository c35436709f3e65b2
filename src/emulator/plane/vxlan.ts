import { type Addr, addrFamily, ipFromAddr } from '../address.ts';
import { allocatePacket, writeIpHeader } from '../packet/build.ts';
import { flowHash } from '../packet/flow-hash.ts';
import {
  headerBytes,
  Protocol,
  sourceOf,
  targetOf,
  writeTransportChecksum,
} from '../packet/headers.ts';
import type { Interface, Tunnel } from './interfaces.ts';
import { note, type Packet, tunnelDepthMax } from './packet.ts';
import { drop, type Plane } from './plane.ts';
import { sendOuter } from './tunnel.ts';

/**
 * VXLAN (RFC 7348): frames in UDP. VPP routes over it when opened frames go to `ethernet-input`;
 * the node where they go by default takes them for a bridge and drops them.
 * Source: VPP v26.06 `plugins/vxlan/{encap,decap}.c`.
 */
const udpHeaderBytes = 8;
const vxlanHeaderBytes = 8;
/** The only flag of RFC 7348: the VNI is valid. */
const flagVni = 0x08;
/** VPP's default of the flow hash. */
const flowHashDefault = 0x9f;

/** Sends the frame of a packet into its tunnel; the packet has passed the output arc. */
export function vxlanOutput(
  plane: Plane,
  packet: Packet,
  { out, frame }: { readonly out: Interface; readonly frame: Buffer },
): void {
  const { tunnel } = out;
  const node = `vxlan${tunnel?.source.length === 16 ? 6 : 4}-encap`;
  if (tunnel?.vxlan === undefined || !out.adminUp) {
    drop(packet, node, `${out.name} is down`);
    return;
  }
  if (packet.depth >= tunnelDepthMax) {
    drop(packet, node, 'tunnels inside tunnels without end');
    return;
  }
  const { vni } = tunnel.vxlan;
  note(packet, node, `${out.name} wraps it towards ${ipFromAddr(tunnel.target)}, VNI ${vni}`);
  const sourcePort = flowHash(packet.l3, packet.family, flowHashDefault) & 0xffff;
  const l3 = wrapFrame(frame, { tunnel, sourcePort });
  out.counters.txPackets++;
  out.counters.txBytes += l3.length;
  // A defect of VPP 26.06 (observed): the outer UDP header is taken for the flow inside, and what
  // translates the source of that flow is applied to it once more.
  const { flowState } = packet;
  sendOuter(plane, packet, { l3, tableId: tunnel.tableId, flowState });
}

function wrapFrame(
  frame: Buffer,
  { tunnel, sourcePort }: { readonly tunnel: Tunnel; readonly sourcePort: number },
): Buffer {
  const family = addrFamily(tunnel.source);
  const udp = family === 4 ? 20 : 40;
  const vxlan = udp + udpHeaderBytes;
  const l3 = allocatePacket(vxlan + vxlanHeaderBytes + frame.length);
  frame.copy(l3, vxlan + vxlanHeaderBytes);
  l3[vxlan] = flagVni;
  l3.writeUInt32BE(((tunnel.vxlan?.vni ?? 0) << 8) >>> 0, vxlan + 4);
  l3.writeUInt16BE(sourcePort, udp);
  l3.writeUInt16BE(tunnel.vxlan?.targetPort ?? 0, udp + 2);
  l3.writeUInt16BE(l3.length - udp, udp + 4);
  writeIpHeader(l3, {
    source: tunnel.source,
    target: tunnel.target,
    protocol: Protocol.udp,
    hopLimit: family === 4 ? 254 : 255,
  });
  // Over IPv4 the checksum stays 0, over IPv6 there must be one.
  if (family === 6) writeTransportChecksum(l3, 6);
  return l3;
}

/** Opens a UDP packet for a port of VXLAN. False when no tunnel was ever opened on that port. */
export function vxlanInput(plane: Plane, packet: Packet): boolean {
  const { family, l3 } = packet;
  const udp = headerBytes(l3, family);
  if (l3.length < udp + udpHeaderBytes) return false;
  if (!plane.vxlanPorts[family].has(l3.readUInt16BE(udp + 2))) return false;
  const node = `vxlan${family}-input`;
  const rx = findVxlan(plane, packet, udp);
  if (typeof rx === 'string') {
    drop(packet, node, rx);
    return true;
  }
  if (rx.tunnel?.vxlan?.toEthernet !== true || packet.depth >= tunnelDepthMax) {
    drop(packet, node, `${rx.name} hands it to a bridge that is not there`);
    return true;
  }
  note(packet, node, `${rx.name} unwraps it`);
  const frame = l3.subarray(udp + udpHeaderBytes + vxlanHeaderBytes);
  plane.next.ethernetInput(rx, frame, packet.steps, packet.depth + 1);
  return true;
}

/** The tunnel of a packet, or why there is none. */
function findVxlan(plane: Plane, { l3, family }: Packet, udp: number): Interface | string {
  const at = udp + udpHeaderBytes;
  if (l3.length < at + vxlanHeaderBytes || l3[at] !== flagVni) return 'not the flags of VXLAN';
  const ownPort = l3.readUInt16BE(udp + 2);
  const vni = l3.readUInt32BE(at + 4) / 256;
  const peer: Addr = sourceOf(l3, family);
  const own: Addr = targetOf(l3, family);
  for (const one of plane.interfaces.all.values()) {
    const { tunnel } = one;
    const same = tunnel?.vxlan?.vni === vni && tunnel.vxlan.ownPort === ownPort;
    if (same && tunnel.source === own && tunnel.target === peer) return one;
  }
  return `no tunnel for VNI ${vni} from ${ipFromAddr(peer)}`;
}
