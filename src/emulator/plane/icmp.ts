import { ipFromAddr, isMulticast, isUnspecified } from '../address.ts';
import { buildIp, icmpMessage } from '../packet/build.ts';
import {
  fragmentOffset,
  headerBytes,
  isIcmp4Error,
  Protocol,
  protocolOf,
  sourceOf,
  targetOf,
} from '../packet/headers.ts';
import { createPacket, note, type Packet } from './packet.ts';
import { drop, type Plane } from './plane.ts';

/** ICMP errors quote at most what fits here: VPP cuts IPv4 at 576 bytes, IPv6 at 1280. */
const errorBytesMax = { 4: 576, 6: 1280 } as const;

/**
 * Answers a packet with an ICMP error from the interface where it came in, as VPP's
 * `ip4-icmp-error` and `ip6-icmp-error` do. The packet ends here.
 */
export function icmpError(
  plane: Plane,
  packet: Packet,
  type: number,
  code: number,
  word = 0,
): void {
  const { family, l3, rx } = packet;
  const node = `ip${family}-icmp-error`;
  rx.counters.drops++;
  const peer = sourceOf(l3, family);
  const source = plane.interfaces.sourceFor(rx, peer);
  if (mustNotAnswer(packet) || source === undefined) {
    note(packet, node, 'no error is sent about this packet');
    return;
  }
  const header = family === 4 ? 28 : 48;
  const quoted = l3.subarray(0, errorBytesMax[family] - header);
  // "Frag needed" has the MTU in the lower half of the word, "too big" in the whole.
  const message = icmpMessage(type, code, word, quoted);
  const answer = buildIp({
    source,
    target: peer,
    protocol: family === 4 ? Protocol.icmp : Protocol.icmp6,
    hopLimit: 255,
    payload: message,
  });
  note(packet, node, `type ${type} code ${code} from ${ipFromAddr(source)} to ${ipFromAddr(peer)}`);
  const error = createPacket(answer, rx, packet.steps);
  error.local = true;
  error.depth = packet.depth + 1;
  if (error.depth > 4) {
    drop(error, node, 'an error about an error');
    return;
  }
  plane.next.ipLookup(error);
}

/** RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e). */
function mustNotAnswer(packet: Packet): boolean {
  const { family, l3 } = packet;
  const source = sourceOf(l3, family);
  if (isUnspecified(source) || isMulticast(source) || isMulticast(targetOf(l3, family)))
    return true;
  if (fragmentOffset(l3, family) !== 0) return true;
  const protocol = protocolOf(l3, family);
  const type = l3[headerBytes(l3, family)] ?? 0;
  if (family === 4) return protocol === Protocol.icmp && isIcmp4Error(type);
  return protocol === Protocol.icmp6 && type < 128;
}
