import {
  compareText,
  type Family,
  type Ip,
  ipFromBytes,
  type Prefix,
  prefixOf,
} from '../core/ip.ts';
import { flag, fourByteAs, localTwoByteAs, subtypes, twoByteAs, type } from './attribute-codes.ts';
import { GobgpError, GrpcCode } from './error.ts';

/**
 * Attributes of a path, read from the form that they have in an UPDATE, which both versions of
 * GoBGP give on request.
 * Source: RFC 4271 section 4.3, RFC 4760 section 3, RFC 1997, RFC 4360, RFC 4456, RFC 8092.
 */
export interface SeenAttributes {
  readonly nextHop: Ip | undefined;
  /** Nearest first; a set of ASes (RFC 4271 section 9.2.2.2) is one text: `{64512,64513}`. */
  readonly asPath: readonly string[];
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly localPreference: number | undefined;
  readonly med: number | undefined;
  /** Canonical texts (src/core/community.ts), sorted; kinds without a text are left out. */
  readonly communities: readonly string[];
  /** Router id of the node where a reflected route began; '' when it was not reflected. */
  readonly originatorId: string;
}

const origins = ['igp', 'egp', 'incomplete'] as const;
/** RFC 4271 section 4.3, path segment types. */
const asSet = 1;

/** One buffer an attribute; unknown attributes are passed over. Throws GobgpError when malformed. */
export function readAttributes(attributes: readonly Buffer[]): SeenAttributes {
  const byCode = new Map(attributes.map(open));
  const nextHop = byCode.get(type.nextHop) ?? mpNextHop(byCode.get(type.mpReach));
  const originatorId = byCode.get(type.originatorId);
  return {
    nextHop: nextHop === undefined ? undefined : address(nextHop),
    asPath: readAsPath(byCode.get(type.asPath) ?? Buffer.alloc(0)),
    origin: origins[byCode.get(type.origin)?.[0] ?? 2] ?? 'incomplete',
    localPreference: number(byCode.get(type.localPreference)),
    med: number(byCode.get(type.med)),
    communities: [
      ...chunks(byCode.get(type.standard), 4, (c) => `${c.readUInt16BE(0)}:${c.readUInt16BE(2)}`),
      ...chunks(byCode.get(type.extended), 8, decodeExtended),
      ...chunks(byCode.get(type.large), 12, (c) =>
        [0, 4, 8].map((at) => c.readUInt32BE(at)).join(':'),
      ),
    ].toSorted(compareText),
    originatorId: originatorId === undefined ? '' : address(originatorId),
  };
}

/** Type code and value of one attribute. */
function open(bytes: Buffer): readonly [number, Buffer] {
  const long = ((bytes[0] ?? 0) & flag.extendedLength) !== 0;
  const start = long ? 4 : 3;
  if (bytes.length < start) throw malformed('attribute');
  const length = long ? bytes.readUInt16BE(2) : (bytes[2] ?? 0);
  if (bytes.length !== start + length) throw malformed('attribute');
  return [bytes[1] ?? 0, bytes.subarray(start)];
}

/** GoBGP keeps ASes in four bytes whatever the neighbour speaks. */
function readAsPath(value: Buffer): string[] {
  const path: string[] = [];
  let at = 0;
  while (at < value.length) {
    const [kind, count] = [value[at] ?? 0, value[at + 1] ?? 0];
    const end = at + 2 + count * 4;
    if (end > value.length) throw malformed('AS path');
    const members = chunks(value.subarray(at + 2, end), 4, (c) => String(c.readUInt32BE(0)));
    if (kind === asSet) path.push(`{${members.join(',')}}`);
    else path.push(...members);
    at = end;
  }
  return path;
}

/** Of two addresses the second is link-local (RFC 2545 section 3). */
function mpNextHop(value: Buffer | undefined): Buffer | undefined {
  if (value === undefined) return undefined;
  const length = value[3] ?? 0;
  return value.subarray(4, 4 + (length === 32 ? 16 : length));
}

function address(value: Buffer): Ip {
  if (value.length !== 4 && value.length !== 16) throw malformed('address');
  return ipFromBytes(Uint8Array.from(value));
}

function number(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (value.length !== 4) throw malformed('number');
  return value.readUInt32BE(0);
}

/** Undefined for a community that has no text here. */
export function decodeExtended(bytes: Buffer): string | undefined {
  const [kind, subtype] = bytes;
  const name = subtype === subtypes.rt ? 'rt' : subtype === subtypes.soo ? 'soo' : undefined;
  // Transitive or not: both are in use (draft-ietf-idr-link-bandwidth).
  if ((kind === twoByteAs || kind === localTwoByteAs) && subtype === subtypes.lb)
    return `lb:${bytes.readUInt16BE(2)}:${Math.round(bytes.readFloatBE(4))}`;
  if (name === undefined) return undefined;
  if (kind === twoByteAs) return `${name}:${bytes.readUInt16BE(2)}:${bytes.readUInt32BE(4)}`;
  if (kind === fourByteAs) return `${name}:${bytes.readUInt32BE(2)}:${bytes.readUInt16BE(6)}`;
  return undefined;
}

function chunks(
  value: Buffer | undefined,
  size: number,
  read: (chunk: Buffer) => string | undefined,
): string[] {
  if (value === undefined) return [];
  if (value.length % size !== 0) throw malformed('list');
  return Array.from({ length: value.length / size }, (_, i) =>
    read(value.subarray(i * size, (i + 1) * size)),
  ).filter((text) => text !== undefined);
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

function malformed(what: string): GobgpError {
  return new GobgpError('decode', GrpcCode.internal, `malformed ${what} in a path of GoBGP`);
}
