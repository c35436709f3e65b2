import { allocatePacket } from '../packet/build.ts';
import { ip4HeaderBytes, writeIp4Checksum } from '../packet/headers.ts';

/** Cuts an IPv4 packet into fragments of at most `mtu` bytes (RFC 791 section 3.2). */
export function fragment4(l3: Buffer, mtu: number): Buffer[] {
  const step = (mtu - ip4HeaderBytes) & ~7;
  if (step <= 0) return [];
  const flags = l3.readUInt16BE(6);
  const firstOffset = flags & 0x1fff;
  const moreAfter = (flags & 0x2000) !== 0;
  const parts: Buffer[] = [];
  for (let at = ip4HeaderBytes; at < l3.length; at += step) {
    const end = Math.min(l3.length, at + step);
    const part = allocatePacket(ip4HeaderBytes + end - at);
    l3.copy(part, 0, 0, ip4HeaderBytes);
    l3.copy(part, ip4HeaderBytes, at, end);
    part.writeUInt16BE(part.length, 2);
    const more = end < l3.length || moreAfter ? 0x2000 : 0;
    part.writeUInt16BE(more | (firstOffset + (at - ip4HeaderBytes) / 8), 6);
    writeIp4Checksum(part);
    parts.push(part);
  }
  return parts;
}
