/** Addresses as VPP writes them, straight between canonical text and bytes. */
import type { Brand } from '../../src/core/brand.ts';
import {
  addressBits,
  familyOf,
  type Ip,
  ipFromBytes,
  type Prefix,
  prefixOf,
} from '../../src/core/ip.ts';
import { WireError } from './wire-error.ts';

/** An address together with the length of its subnet; the host bits count. */
export type AddressWithPrefix = Brand<string, 'AddressWithPrefix'>;

/** `address/length`, host bits kept. */
export function addressWithLength(address: Ip, length: number): AddressWithPrefix {
  if (!Number.isInteger(length) || length < 0 || length > addressBits(familyOf(address))) {
    throw new WireError(`${address} cannot have a prefix length of ${length}`);
  }
  return `${address}/${length}` as AddressWithPrefix;
}

/** The two parts of an address with prefix. */
export function splitAddressWithPrefix(value: AddressWithPrefix): { address: Ip; length: number } {
  const slash = value.indexOf('/');
  return { address: value.slice(0, slash) as Ip, length: Number(value.slice(slash + 1)) };
}

/** Writes `text` from its start up to `end` as 4 bytes. */
export function writeIp4(out: Uint8Array, at: number, text: string, end: number): void {
  let value = 0;
  let part = 0;
  let digits = 0;
  for (let i = 0; i <= end; i++) {
    const code = i === end ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || value > 255 || part > 3) refuse(text);
      out[at + part++] = value;
      value = 0;
      digits = 0;
    } else if (code >= 48 && code <= 57 && digits < 3) {
      value = value * 10 + code - 48;
      digits++;
    } else refuse(text);
  }
  if (part !== 4) refuse(text);
}

/** Writes canonical IPv6 text (RFC 5952, as `Ip` always is) up to `end` as 16 bytes. */
export function writeIp6(out: Uint8Array, at: number, text: string, end: number): void {
  let byte = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === 58) i = 1; // "::..." starts with a gap, not with an empty group
  while (i < end) {
    if (text.charCodeAt(i) === 58) {
      if (gap >= 0) refuse(text);
      gap = byte;
      i++;
      continue;
    }
    let group = 0;
    const start = i;
    for (; i < end; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      group = group * 16 + digit;
    }
    if (i === start || i - start > 4 || byte > 14) refuse(text);
    out[at + byte] = group >> 8;
    out[at + byte + 1] = group & 255;
    byte += 2;
    if (i < end && (text.charCodeAt(i++) !== 58 || i === end)) refuse(text);
  }
  if (gap < 0 ? byte !== 16 : byte > 14) refuse(text);
  if (gap >= 0) {
    out.copyWithin(at + 16 - (byte - gap), at + gap, at + byte);
    out.fill(0, at + gap, at + 16 - (byte - gap));
  }
}

/** `fill(0)` for the few bytes of a field: the call into Node costs more than the loop. */
export function clearBytes(out: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; at++) out[at] = 0;
}

/** Writes an address of either family as 16 bytes, an IPv4 address first; returns its family. */
export function writeAddressUnion(out: Uint8Array, at: number, text: string, end: number): 0 | 1 {
  if (text.includes(':')) {
    writeIp6(out, at, text, end);
    return 1;
  }
  writeIp4(out, at, text, end);
  clearBytes(out, at + 4, at + 16);
  return 0;
}

/** Reads 4 bytes. */
export function readIp4(from: Uint8Array, at: number): Ip {
  return `${from[at]}.${from[at + 1]}.${from[at + 2]}.${from[at + 3]}` as Ip;
}

/** Reads 16 bytes. */
export function readIp6(from: Uint8Array, at: number): Ip {
  return ipFromBytes(from.subarray(at, at + 16));
}

/** Reads the 16 bytes of a union: family 0 is IPv4 in the first four, everything else IPv6. */
export function readAddressUnion(from: Uint8Array, at: number, family: number): Ip {
  return family === 0 ? readIp4(from, at) : readIp6(from, at);
}

/** Reads `vl_api_address_t`: 17 bytes. */
export function readAddress(from: Uint8Array, at: number): Ip {
  const family = from[at] ?? 0;
  if (family > 1) throw new WireError(`address family ${family} is neither IPv4 (0) nor IPv6 (1)`);
  return readAddressUnion(from, at + 1, family);
}

/** The position of the slash and the length after it. */
export function prefixEnd(text: string): number {
  const slash = text.indexOf('/');
  if (slash < 0) refuse(text);
  return slash;
}

/** The length after the slash at `slash`. */
export function lengthAfter(text: string, slash: number): number {
  let length = 0;
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9 || i > slash + 3) refuse(text);
    length = length * 10 + digit;
  }
  if (slash + 1 === text.length || length > 128) refuse(text);
  if (length > 32 && !text.includes(':')) refuse(text);
  return length;
}

/** A prefix from the wire; its host bits are cleared. */
export function joinPrefix(address: Ip, length: number): Prefix {
  const bits = addressBits(familyOf(address));
  if (length > bits) throw new WireError(`${address} cannot have a prefix length of ${length}`);
  return prefixOf(address, length);
}

/** The prefix of an lb VIP from the wire: an IPv4 length is 96 + length. */
export function joinLbPrefix(address: Ip, length: number): Prefix {
  return joinPrefix(address, length >= 96 && familyOf(address) === 4 ? length - 96 : length);
}

/** Writes `02:00:00:00:00:01` as 6 bytes. */
export function writeMac(out: Uint8Array, at: number, value: string): void {
  if (value.length !== 17) refuse(value);
  for (let i = 0; i < 6; i++) {
    const high = hexDigit(value.charCodeAt(3 * i));
    const low = hexDigit(value.charCodeAt(3 * i + 1));
    if (high < 0 || low < 0 || (i < 5 && value.charCodeAt(3 * i + 2) !== 58)) refuse(value);
    out[at + i] = high * 16 + low;
  }
}

/** Reads 6 bytes. */
export function readMac(from: Uint8Array, at: number): string {
  let value = '';
  for (let i = 0; i < 6; i++) {
    const byte = (from[at + i] ?? 0).toString(16);
    value += i === 0 ? '' : ':';
    value += byte.length === 1 ? `0${byte}` : byte;
  }
  return value;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  if (code >= 65 && code <= 70) return code - 55;
  return -1;
}

function refuse(value: string): never {
  throw new WireError(
    `${JSON.stringify(value)} is not an address of the kind that the field holds`,
  );
}
