import { communityKind } from '../core/community.ts';
import {
  compareText,
  type Family,
  type Ip,
  ipBytes,
  ipFromBytes,
  type Prefix,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../core/ip.ts';
import { GobgpError, GrpcCode } from './error.ts';

/**
 * Attributes of a path as they stand in an UPDATE. Both versions of GoBGP take and give them in
 * this form, so there is no dialect here.
 * Source: RFC 4271 section 4.3, RFC 4760 section 3, RFC 1997, RFC 4360, RFC 8092.
 */
export interface PathAttributes {
  readonly nextHop: Ip;
  /** Canonical texts (src/core/community.ts). */
  readonly communities: readonly string[];
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
}

/** Attribute type codes: IANA, BGP Path Attributes. */
const type = {
  origin: 1,
  nextHop: 3,
  med: 4,
  localPreference: 5,
  standard: 8,
  mpReach: 14,
  extended: 16,
  large: 32,
} as const;

/** RFC 4271 section 4.3: the high bits of an attribute's flags. */
const flag = { optional: 0x80, transitive: 0x40, extendedLength: 0x10 } as const;

const safiUnicast = 1;

/** NLRI: the length in bits, and as many bytes as that needs. */
export function encodeNlri(prefix: Prefix): Buffer {
  const bits = prefixLength(prefix);
  const used = Math.ceil(bits / 8);
  const bytes = Buffer.allocUnsafe(1 + used);
  const address = ipBytes(prefixAddress(prefix));
  bytes[0] = bits;
  for (let i = 0; i < used; i++) bytes[1 + i] = address[i] ?? 0;
  return bytes;
}

export function decodeNlri(bytes: Buffer, family: Family): Prefix {
  const width = family === 4 ? 4 : 16;
  const bits = bytes[0] ?? 0xff;
  const used = Math.ceil(bits / 8);
  if (bits > width * 8 || bytes.length !== used + 1) throw malformed('NLRI');
  const address = new Uint8Array(width);
  address.set(bytes.subarray(1));
  return prefixOf(ipFromBytes(address), bits);
}

/** Encodes attributes; paths with the same ones share what does not name their prefix. */
export type AttributeEncoder = (
  prefix: Prefix,
  family: Family,
  path: PathAttributes,
) => readonly Buffer[];

const sharedMax = 1024;

/** One buffer for each attribute, in the order of their types, as RFC 4271 wants it. */
export function createAttributeEncoder(): AttributeEncoder {
  const shared = new Map<string, readonly Buffer[]>();
  return (prefix, family, path) => {
    const plain = family === 4 && !path.nextHop.includes(':');
    const { nextHop, communities, med, localPreference } = path;
    const key = `${plain ? nextHop : ''} ${communities.join()} ${med} ${localPreference}`;
    let same = shared.get(key);
    if (same === undefined) {
      same = encodeShared(path, plain);
      if (shared.size >= sharedMax) shared.clear();
      shared.set(key, same);
    }
    if (plain) return same;
    const reach = attribute(flag.optional, type.mpReach, mpReach(prefix, family, nextHop));
    const after = same.findIndex((one) => (one[1] ?? 0) > type.mpReach);
    return same.toSpliced(after < 0 ? same.length : after, 0, reach);
  };
}

function encodeShared(path: PathAttributes, plain: boolean): readonly Buffer[] {
  const wellKnown = flag.transitive;
  const shared = flag.optional | flag.transitive;
  const of = (kind: 'standard' | 'extended' | 'large') =>
    path.communities.filter((text) => communityKind(text) === kind);
  const attributes = [
    attribute(wellKnown, type.origin, Buffer.of(0)), // 0: IGP
    plain ? attribute(wellKnown, type.nextHop, ipBytes(path.nextHop)) : undefined,
    path.med === undefined ? undefined : attribute(flag.optional, type.med, u32(path.med)),
    path.localPreference === undefined
      ? undefined
      : attribute(wellKnown, type.localPreference, u32(path.localPreference)),
    list(shared, type.standard, of('standard').map(encodeStandard)),
    list(shared, type.extended, of('extended').map(encodeExtended)),
    list(shared, type.large, of('large').map(encodeLarge)),
  ];
  return attributes.filter((one) => one !== undefined);
}

function attribute(flags: number, code: number, value: Uint8Array): Buffer {
  if (value.length > 255) {
    const head = Buffer.of(flags | flag.extendedLength, code, value.length >> 8, value.length);
    return Buffer.concat([head, value]);
  }
  return Buffer.concat([Buffer.of(flags, code, value.length), value]);
}

function list(flags: number, code: number, items: readonly Buffer[]): Buffer | undefined {
  return items.length === 0 ? undefined : attribute(flags, code, Buffer.concat(items));
}

/** MP_REACH_NLRI: GoBGP refuses one without NLRI. */
function mpReach(prefix: Prefix, family: Family, nextHop: Ip): Buffer {
  const via = ipBytes(nextHop);
  const head = Buffer.of(0, family === 4 ? 1 : 2, safiUnicast, via.length);
  return Buffer.concat([head, via, Buffer.of(0), encodeNlri(prefix)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function encodeStandard(text: string): Buffer {
  const [asn = 0, value = 0] = text.split(':').map(Number);
  return Buffer.of(asn >> 8, asn, value >> 8, value);
}

function encodeLarge(text: string): Buffer {
  return Buffer.concat(text.split(':').map((part) => u32(Number(part))));
}

/** Subtypes of AS-specific extended communities: IANA, BGP Extended Communities. */
const subtypes = { rt: 2, soo: 3, lb: 4 } as const;
const twoByteAs = 0x00;
const fourByteAs = 0x02;
/** Link bandwidth is not transitive: type 0x40. */
const localTwoByteAs = 0x40;

function encodeExtended(text: string): Buffer {
  const [name = '', ...numbers] = text.split(':');
  const [asn = 0, value = 0] = numbers.map(Number);
  const bytes = Buffer.alloc(8);
  bytes[1] = subtypes[name as keyof typeof subtypes];
  if (name === 'lb') {
    bytes[0] = localTwoByteAs;
    bytes.writeUInt16BE(asn, 2);
    bytes.writeFloatBE(value, 4);
  } else if (asn <= 0xffff) {
    bytes[0] = twoByteAs;
    bytes.writeUInt16BE(asn, 2);
    bytes.writeUInt32BE(value, 4);
  } else {
    bytes[0] = fourByteAs;
    bytes.writeUInt32BE(asn, 2);
    bytes.writeUInt16BE(value, 6);
  }
  return bytes;
}

/** Undefined for a community that has no text here. */
function decodeExtended(bytes: Buffer): string | undefined {
  const [kind, subtype] = bytes;
  const name = subtype === subtypes.rt ? 'rt' : subtype === subtypes.soo ? 'soo' : undefined;
  if (kind === localTwoByteAs && subtype === subtypes.lb)
    return `lb:${bytes.readUInt16BE(2)}:${Math.round(bytes.readFloatBE(4))}`;
  if (name === undefined) return undefined;
  if (kind === twoByteAs) return `${name}:${bytes.readUInt16BE(2)}:${bytes.readUInt32BE(4)}`;
  if (kind === fourByteAs) return `${name}:${bytes.readUInt32BE(2)}:${bytes.readUInt16BE(6)}`;
  return undefined;
}

/**
 * A bandwidth travels as a float of 32 bits: what is left of a community's text after that.
 * Other communities stay as they are.
 */
export function communityOnWire(text: string): string {
  if (communityKind(text) !== 'extended') return text;
  return decodeExtended(encodeExtended(text)) ?? text;
}

/** What is not asked for here is passed over. Undefined without a next hop. */
export function decodeAttributes(attributes: readonly Buffer[]): PathAttributes | undefined {
  let nextHop: Ip | undefined;
  let localPreference: number | undefined;
  let med: number | undefined;
  const communities: string[] = [];
  for (const bytes of attributes) {
    const { code, value } = open(bytes);
    if (code === type.nextHop) nextHop = address(value);
    else if (code === type.mpReach) nextHop = address(mpNextHop(value));
    else if (code === type.med) med = readU32(value);
    else if (code === type.localPreference) localPreference = readU32(value);
    else communities.push(...decodeCommunities(code, value));
  }
  if (nextHop === undefined) return undefined;
  return { nextHop, communities: communities.toSorted(compareText), localPreference, med };
}

function open(bytes: Buffer): { readonly code: number; readonly value: Buffer } {
  const [flags = 0, code = 0] = bytes;
  const long = (flags & flag.extendedLength) !== 0;
  const start = long ? 4 : 3;
  if (bytes.length < start) throw malformed('attribute');
  const length = long ? bytes.readUInt16BE(2) : (bytes[2] ?? 0);
  if (bytes.length !== start + length) throw malformed('attribute');
  return { code, value: bytes.subarray(start) };
}

function readU32(value: Buffer): number {
  if (value.length !== 4) throw malformed('number');
  return value.readUInt32BE();
}

function address(value: Buffer): Ip {
  if (value.length !== 4 && value.length !== 16) throw malformed('next hop');
  return ipFromBytes(Uint8Array.from(value));
}

/** The first address counts: a second one is link-local (RFC 2545 section 3). */
function mpNextHop(value: Buffer): Buffer {
  const length = value[3] ?? 0;
  return value.subarray(4, 4 + (length === 32 ? 16 : length));
}

function decodeCommunities(code: number, value: Buffer): string[] {
  if (code === type.standard)
    return items(value, 4, (one) => `${one.readUInt16BE(0)}:${one.readUInt16BE(2)}`);
  if (code === type.large)
    return items(value, 12, (one) => [0, 4, 8].map((at) => one.readUInt32BE(at)).join(':'));
  if (code === type.extended) return items(value, 8, decodeExtended);
  return [];
}

function items(value: Buffer, size: number, read: (one: Buffer) => string | undefined): string[] {
  if (value.length % size !== 0) throw malformed('list of communities');
  const texts: string[] = [];
  for (let at = 0; at < value.length; at += size) {
    const text = read(value.subarray(at, at + size));
    if (text !== undefined) texts.push(text);
  }
  return texts;
}

function malformed(what: string): GobgpError {
  return new GobgpError('decode', GrpcCode.internal, `malformed ${what} in a path of GoBGP`);
}
