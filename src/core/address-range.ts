import {
  addressBits,
  familyOf,
  type Ip,
  ipFromBigInt,
  ipToBigInt,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixAddress,
  prefixLength,
  prefixOf,
} from './ip.ts';
import { type Parsed, parsed, rejected } from './parsed.ts';

/** First and last address that may be given out. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** The fewest prefixes that hold exactly the addresses of a range. */
export function prefixesOf({ family, first, last }: AddressRange): Prefix[] {
  const bits = addressBits(family);
  const found: Prefix[] = [];
  for (let at = first; at <= last; ) {
    let host = 0;
    while (host < bits && isWhole(at, host + 1) && at + (1n << BigInt(host + 1)) - 1n <= last)
      host++;
    found.push(prefixOf(ipFromBigInt(at, family), bits - host));
    at += 1n << BigInt(host);
  }
  return found;
}

/** Whether an address is the first of a block of 2^`host` addresses. */
function isWhole(address: bigint, host: number): boolean {
  return address % (1n << BigInt(host)) === 0n;
}

/**
 * `203.0.113.0/24` or `203.0.113.10-203.0.113.20`. Of a prefix the network address and the
 * broadcast address are left out (IPv4 shorter than /31, RFC 3021), and the subnet router anycast
 * address (IPv6 shorter than /127, RFC 4291 section 2.6.1, RFC 6164).
 */
export function parseRange(text: string): Parsed<AddressRange> {
  const [from = '', to] = text.split('-').map((part) => part.trim());
  if (to !== undefined) {
    const first = parseIp(from);
    const last = parseIp(to);
    if (first === undefined || last === undefined || familyOf(first) !== familyOf(last))
      return rejected(`not a range of addresses: ${JSON.stringify(text)}`);
    const range = { family: familyOf(first), first: ipToBigInt(first), last: ipToBigInt(last) };
    return range.first <= range.last ? parsed(range) : rejected(`${text} ends before it begins`);
  }
  const prefix = parsePrefix(from);
  if (prefix === undefined) return rejected(`not a prefix or a range: ${JSON.stringify(text)}`);
  const family = familyOf(prefix);
  const hostBits = addressBits(family) - prefixLength(prefix);
  const network = ipToBigInt(prefixAddress(prefix));
  const end = network + (1n << BigInt(hostBits)) - 1n;
  if (hostBits < 2) return parsed({ family, first: network, last: end });
  return parsed({ family, first: network + 1n, last: family === 4 ? end - 1n : end });
}

/** First and last address of a prefix, the network's own included. */
export function rangeOfPrefix(prefix: Prefix): AddressRange {
  const family = familyOf(prefix);
  const first = ipToBigInt(prefixAddress(prefix));
  const size = 1n << BigInt(addressBits(family) - prefixLength(prefix));
  return { family, first, last: first + size - 1n };
}

/** Whether one of the ranges has the address. */
export function rangesContain(ranges: readonly AddressRange[], address: Ip): boolean {
  const family = familyOf(address);
  const value = ipToBigInt(address);
  return ranges.some((one) => one.family === family && one.first <= value && value <= one.last);
}

/** Whether two ranges have an address in common. */
export function rangesOverlap(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}
