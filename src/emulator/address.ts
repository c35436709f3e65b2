import type { Brand } from '../core/brand.ts';
import {
  type Ip,
  ipBytes,
  ipFromBytes,
  type Prefix,
  prefixAddress,
  prefixLength,
} from '../core/ip.ts';

/**
 * Addresses inside the data plane: the 4 or 16 bytes as a string of Latin-1 characters.
 *
 * Cheaper than canonical text for a packet (one slice, no formatting), and still a value that
 * can be compared and used as a map key. Text appears only at the API and in explanations.
 */
export type Addr = Brand<string, 'Addr'>;

export type Family = 4 | 6;

export function addrFromIp(ip: Ip): Addr {
  return Buffer.from(ipBytes(ip)).toString('latin1') as Addr;
}

export function ipFromAddr(addr: Addr): Ip {
  return ipFromBytes(addrBytes(addr));
}

export function addrBytes(addr: Addr): Buffer {
  return Buffer.from(addr, 'latin1');
}

export function addrFamily(addr: Addr): Family {
  return addr.length === 4 ? 4 : 6;
}

/** The address at `offset`; `length` is 4 or 16. */
export function readAddr(bytes: Buffer, offset: number, length: number): Addr {
  return bytes.toString('latin1', offset, offset + length) as Addr;
}

export function writeAddr(bytes: Buffer, offset: number, addr: Addr): void {
  for (let i = 0; i < addr.length; i++) bytes[offset + i] = addr.charCodeAt(i);
}

/** `0.0.0.0` or `::`. */
export function unspecifiedAddr(family: Family): Addr {
  return '\0'.repeat(family === 4 ? 4 : 16) as Addr;
}

export function isUnspecified(addr: Addr): boolean {
  for (let i = 0; i < addr.length; i++) if (addr.charCodeAt(i) !== 0) return false;
  return true;
}

/** The 32 bits that start at byte `at`, as VPP's little-endian host reads them. */
export function word32(addr: Addr, at: number): number {
  return (
    addr.charCodeAt(at) |
    (addr.charCodeAt(at + 1) << 8) |
    (addr.charCodeAt(at + 2) << 16) |
    (addr.charCodeAt(at + 3) << 24)
  );
}

/** `addr` with the bits after `length` cleared. */
export function maskAddr(addr: Addr, length: number): Addr {
  if (length === addr.length * 8) return addr;
  const whole = length >> 3;
  const rest = length & 7;
  let text = addr.slice(0, whole);
  if (rest > 0) text += String.fromCharCode(addr.charCodeAt(whole) & (0xff00 >> rest) & 0xff);
  return text.padEnd(addr.length, '\0') as Addr;
}

/** The IPv4 address of a prefix with all host bits set. */
export function lastAddr(addr: Addr, length: number): Addr {
  let text = '';
  for (let i = 0; i < addr.length; i++) {
    const host = 0xff >> Math.min(8, Math.max(0, length - i * 8));
    text += String.fromCharCode(addr.charCodeAt(i) | host);
  }
  return text as Addr;
}

export function addrInPrefix(addr: Addr, prefix: Addr, length: number): boolean {
  return addr.length === prefix.length && maskAddr(addr, length) === maskAddr(prefix, length);
}

export interface AddrPrefix {
  readonly addr: Addr;
  readonly length: number;
}

export function addrPrefix(prefix: Prefix): AddrPrefix {
  return { addr: addrFromIp(prefixAddress(prefix)), length: prefixLength(prefix) };
}

export function formatPrefix(addr: Addr, length: number): string {
  return `${ipFromAddr(addr)}/${length}`;
}

/** A MAC address: six Latin-1 characters. */
export type Mac = Brand<string, 'Mac'>;

export const macBroadcast = '\xff'.repeat(6) as Mac;

export function formatMac(mac: Mac): string {
  return [...mac].map((c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join(':');
}

export function macFromBytes(bytes: Uint8Array): Mac {
  return Buffer.from(bytes).toString('latin1', 0, 6) as Mac;
}

/** `02:fe:…` as text; throws when it is not a MAC address (literals and tests). */
export function mac(text: string): Mac {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) throw new TypeError(`not a MAC: ${text}`);
  return Buffer.from(text.replaceAll(':', ''), 'hex').toString('latin1') as Mac;
}

/** The link-local address made from a MAC (RFC 4291 appendix A). */
export function linkLocalFromMac(mac: Mac): Addr {
  const id = `${String.fromCharCode(mac.charCodeAt(0) ^ 2) + mac.slice(1, 3)}\xff\xfe${mac.slice(3, 6)}`;
  return `\xfe\x80\0\0\0\0\0\0${id}` as Addr;
}

export function isLinkLocal(addr: Addr): boolean {
  return addr.length === 16 && addr.charCodeAt(0) === 0xfe && (addr.charCodeAt(1) & 0xc0) === 0x80;
}

export function isMulticast(addr: Addr): boolean {
  const first = addr.charCodeAt(0);
  return addr.length === 4 ? first >= 224 && first < 240 : first === 0xff;
}

/** `ff02::1:ffXX:XXXX` of an address (RFC 4291 section 2.7.1). */
export function solicitedNode(addr: Addr): Addr {
  return `\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff${addr.slice(13)}` as Addr;
}

/** The MAC that carries an IPv6 multicast address (RFC 2464 section 7). */
export function multicastMac(addr: Addr): Mac {
  return `\x33\x33${addr.slice(12)}` as Mac;
}
