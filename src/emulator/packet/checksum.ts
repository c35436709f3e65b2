/**
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * Sums are plain numbers: 64 KiB of 16-bit words stay far below 2^53, so one fold at the end is
 * enough. `~0` and `0` are the same value in one's complement arithmetic; a UDP checksum of zero
 * means "none", so writers of UDP send 0xffff instead (RFC 768, RFC 8200 section 8.1).
 */

/** Adds the 16-bit words of `bytes[from, to)` to `sum`; an odd last byte is padded with zero. */
export function sumWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum;
  let i = from;
  for (; i + 1 < to; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if (i < to) total += (bytes[i] as number) << 8;
  return total;
}

/** Folds the carries of a sum into 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

/** The checksum field for a sum. */
export function checksumOf(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** The checksum after words with sum `before` were replaced by words with sum `after`. */
export function updateChecksum(checksum: number, before: number, after: number): number {
  // RFC 1624 equation 3: HC' = ~(~HC + ~m + m')
  return ~fold((~checksum & 0xffff) + (~fold(before) & 0xffff) + after) & 0xffff;
}

/** Sum of the 16-bit words of an address given as Latin-1 characters. */
export function sumAddr(addr: string): number {
  let total = 0;
  for (let i = 0; i < addr.length; i += 2)
    total += (addr.charCodeAt(i) << 8) | addr.charCodeAt(i + 1);
  return total;
}

/** Sum of the pseudo header of RFC 793 or RFC 8200. */
export function sumPseudoHeader(
  source: string,
  target: string,
  protocol: number,
  length: number,
): number {
  return sumAddr(source) + sumAddr(target) + protocol + (length & 0xffff) + (length >>> 16);
}
