/** What the generated code calls: strings and the refusals. */
import {
  addressWithLength,
  clearBytes,
  joinLbPrefix,
  joinPrefix,
  lengthAfter,
  prefixEnd,
  readAddress,
  readAddressUnion,
  readIp4,
  readIp6,
  readMac,
  writeAddressUnion,
  writeIp4,
  writeIp6,
  writeMac,
} from './address.ts';
import { WireError } from './wire-error.ts';

/** Refuses a value that does not fit its field. */
function bad(field: string, value: unknown): never {
  const shown = typeof value === 'bigint' ? `${value}` : JSON.stringify(value);
  throw new WireError(`${field}: ${shown ?? String(value)} does not fit`);
}

/** Refuses a message that ends before its fields do. */
function short(needed: number, end: number): never {
  throw new WireError(`the message ends at byte ${end}, its fields at byte ${needed} or later`);
}

/** Writes a string padded with NUL; the last byte is always NUL because VPP reads C strings. */
function writeString(out: Buffer, at: number, size: number, value: string, field: string): void {
  if (typeof value !== 'string') bad(field, value);
  if (value.length >= size || value.includes('\0')) bad(field, value);
  let end = at;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 127) {
      writeUnicode(out, at, size, value, field);
      return;
    }
    out[end++] = code;
  }
  clearBytes(out, end, at + size);
}

function writeUnicode(out: Buffer, at: number, size: number, value: string, field: string): void {
  if (Buffer.byteLength(value) >= size) bad(field, value);
  out.fill(0, at + out.write(value, at), at + size);
}

/** Reads a string up to its first NUL. */
function readString(from: Buffer, at: number, size: number): string {
  if (from[at] === 0) return '';
  const nul = from.subarray(at, at + size).indexOf(0);
  return from.toString('utf8', at, at + (nul < 0 ? size : nul));
}

function copyBytes(from: Buffer, at: number, length: number): Uint8Array {
  return new Uint8Array(from.subarray(at, at + length));
}

/** Writes a family byte and an address of 16 bytes. */
function writeAddress(out: Buffer, at: number, text: string, end: number): 0 | 1 {
  const family = writeAddressUnion(out, at + 1, text, end);
  out[at] = family;
  return family;
}

/** Everything that generated code may name. */
export const runtime = {
  WireError,
  addressWithLength,
  bad,
  copyBytes,
  joinLbPrefix,
  joinPrefix,
  lengthAfter,
  prefixEnd,
  readAddress,
  readAddressUnion,
  readIp4,
  readIp6,
  readMac,
  readString,
  short,
  textLength: (value: string) => Buffer.byteLength(value),
  writeAddress,
  writeAddressUnion,
  writeIp4,
  writeIp6,
  writeMac,
  writeString,
};
