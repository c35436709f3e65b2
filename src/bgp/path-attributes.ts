import { communityKind } from '../core/community.ts';
import {
  type Family,
  type Ip,
  ipBytes,
  type Prefix,
  prefixAddress,
  prefixLength,
} from '../core/ip.ts';
import { flag, fourByteAs, localTwoByteAs, subtypes, twoByteAs, type } from './attribute-codes.ts';
import { decodeExtended } from './attribute-decoder.ts';
import { safiUnicast } from './path-codec.ts';

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

/**
 * A bandwidth travels as a float of 32 bits: what is left of a community's text after that.
 * Other communities stay as they are.
 */
export function communityOnWire(text: string): string {
  if (communityKind(text) !== 'extended') return text;
  return decodeExtended(encodeExtended(text)) ?? text;
}
