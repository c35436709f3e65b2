import type { Brand } from './brand.ts';

/**
 * IPv4 and IPv6 addresses and prefixes.
 *
 * Both are canonical text (RFC 5952 for IPv6), so equal values are equal strings and can be
 * map keys. Text from outside is parsed once, at the edge, by `parseIp` and `parsePrefix`.
 */
export type Ip = Brand<string, 'Ip'>;
export type Prefix = Brand<string, 'Prefix'>;
export type Family = 4 | 6;

/** Untrusted text: undefined when it is not an address. Zones (`fe80::1%eth0`) are not addresses. */
export function parseIp(text: string): Ip | undefined {
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text);
  return bytes === undefined ? undefined : ipFromBytes(bytes);
}

/** Literals in code and tests: throws when it is not an address. */
export function ip(text: string): Ip {
  const value = parseIp(text);
  if (value === undefined) throw new TypeError(`not an IP address: ${text}`);
  return value;
}

/** Untrusted `address/length`; host bits are cleared. Undefined when it is not a prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,3}$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > addressBits(familyOf(address))) return undefined;
  return prefixOf(address, length);
}

/** Literals in code and tests: throws when it is not a prefix. */
export function prefix(text: string): Prefix {
  const value = parsePrefix(text);
  if (value === undefined) throw new TypeError(`not an IP prefix: ${text}`);
  return value;
}

export function familyOf(value: Ip | Prefix): Family {
  return value.includes(':') ? 6 : 4;
}

/** Width of an address in bits: 32 or 128. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** `address` with the bits after `length` cleared. */
export function prefixOf(address: Ip, length: number): Prefix {
  if (length === addressBits(familyOf(address))) return `${address}/${length}` as Prefix;
  const bytes = ipBytes(address);
  clearHostBits(bytes, length);
  return `${ipFromBytes(bytes)}/${length}` as Prefix;
}

/** The /32 or /128 of one address. */
export function hostPrefix(address: Ip): Prefix {
  return `${address}/${addressBits(familyOf(address))}` as Prefix;
}

export function prefixAddress(value: Prefix): Ip {
  return value.slice(0, value.indexOf('/')) as Ip;
}

export function prefixLength(value: Prefix): number {
  return Number(value.slice(value.indexOf('/') + 1));
}

export function prefixContains(outer: Prefix, address: Ip): boolean {
  return familyOf(outer) === familyOf(address) && prefixOf(address, prefixLength(outer)) === outer;
}

/** 4 or 16 bytes in network order; a fresh array. */
export function ipBytes(address: Ip): Uint8Array {
  const bytes = address.includes(':') ? parseV6(address) : parseV4(address);
  if (bytes === undefined) throw new TypeError(`not an IP address: ${address}`);
  return bytes;
}

/** Canonical text of 4 or 16 bytes in network order. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip;
  if (bytes.length === 16) return formatV6(bytes) as Ip;
  throw new TypeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

/** The address as a number of its family's width. */
export function ipToBigInt(address: Ip): bigint {
  let value = 0n;
  for (const byte of ipBytes(address)) value = (value << 8n) | BigInt(byte);
  return value;
}

export function ipFromBigInt(value: bigint, family: Family): Ip {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return ipFromBytes(bytes);
}

/** Total order of text: for stable output, not numeric order. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function clearHostBits(bytes: Uint8Array, length: number): void {
  for (let i = 0; i < bytes.length; i++) {
    const keep = Math.min(8, Math.max(0, length - i * 8));
    bytes[i] = (bytes[i] ?? 0) & ((0xff00 >> keep) & 0xff);
  }
}

function parseV4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || part > 3) return undefined;
      bytes[part++] = value;
      digits = 0;
      value = 0;
      continue;
    }
    // A leading zero is refused: some readers take it for octal (RFC 6943 section 3.1.1).
    if (code < 48 || code > 57 || (digits > 0 && value === 0)) return undefined;
    value = value * 10 + code - 48;
    if (++digits > 3 || value > 255) return undefined;
  }
  return part === 4 ? bytes : undefined;
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '');
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '') : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (const [i, group] of groups.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  }
  return bytes;
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(((v4[0] ?? 0) << 8) | (v4[1] ?? 0), ((v4[2] ?? 0) << 8) | (v4[3] ?? 0));
      continue;
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}

function formatV6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const zeros = longestZeroRun(groups);
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  if (zeros.length < 2) return hex(0, 8);
  return `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length, 8)}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let run = { start: 0, length: 0 };
  for (const [i, group] of groups.entries()) {
    if (group !== 0) {
      run = { start: i + 1, length: 0 };
      continue;
    }
    run = { start: run.start, length: run.length + 1 };
    if (run.length > best.length) best = run;
  }
  return best;
}
