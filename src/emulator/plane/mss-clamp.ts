import { TcpFlag } from '../packet/build.ts';
import { updateChecksum } from '../packet/checksum.ts';
import { headerBytes, isFragment, Protocol, protocolOf } from '../packet/headers.ts';
import { byFamily, note, type Packet } from './packet.ts';

/** Lowers the maximum segment size of a SYN (RFC 9293 section 3.7.1), never raises it. */
export function clampMss(
  packet: Packet,
  limit: { readonly ip4: number; readonly ip6: number },
): void {
  const { l3, family } = packet;
  if (protocolOf(l3, family) !== Protocol.tcp || isFragment(l3, family)) return;
  const tcp = headerBytes(l3, family);
  if (l3.length < tcp + 20 || ((l3[tcp + 13] ?? 0) & TcpFlag.syn) === 0) return;
  const at = findMss(l3, tcp + 20, Math.min(l3.length, tcp + ((l3[tcp + 12] ?? 0) >> 4) * 4));
  const wanted = family === 4 ? limit.ip4 : limit.ip6;
  if (at === undefined || wanted === 0) return;
  const before = l3.readUInt16BE(at);
  if (before <= wanted) return;
  l3.writeUInt16BE(wanted, at);
  // An odd offset puts the value across two words of the sum: swap its bytes.
  const odd = (at - tcp) % 2 === 1;
  const word = (value: number) => (odd ? ((value & 0xff) << 8) | (value >> 8) : value);
  l3.writeUInt16BE(updateChecksum(l3.readUInt16BE(tcp + 16), word(before), word(wanted)), tcp + 16);
  note(packet, byFamily('tcp-mss-clamping', packet), `${before} becomes ${wanted}`);
}

function findMss(l3: Buffer, from: number, to: number): number | undefined {
  for (let at = from; at < to; ) {
    const kind = l3[at] ?? 0;
    if (kind === 0) return undefined;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = l3[at + 1] ?? 0;
    if (length < 2) return undefined;
    if (kind === 2 && length === 4 && at + 4 <= to) return at + 2;
    at += length;
  }
  return undefined;
}
