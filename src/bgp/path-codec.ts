import {
  addressBits,
  familyOf,
  type Ip,
  type Prefix,
  parseIp,
  prefixAddress,
  prefixLength,
  prefixOf,
} from '../core/ip.ts';
import { ReverseWriter, tagOf, WireReader, WireType } from './wire.ts';

/**
 * Paths on the wire, in both dialects.
 *
 * A full table is 100,000 paths in one message of 30 MB (version 3). The generated stubs need
 * 540 ms for its outer layer alone and 200 ms for version 4's 6 MB; this codec needs 110 and
 * 70 ms for all of it (measured on a busy machine with 2 cores). It reads only prefix, next hop,
 * neighbour and withdrawal and skips the rest without looking. The stubs stay the authority:
 * laws in the tests compare both, in both directions.
 *
 * The dialects differ in one thing: version 3 wraps NLRI and attributes in `Any`, version 4
 * in typed unions. Field numbers inside are the same.
 */
export type GobgpVersion = 3 | 4;

/** A path to add, or to withdraw (then the next hop does not matter). */
export interface PathChange {
  readonly prefix: Prefix;
  readonly nextHop: Ip;
  readonly withdraw: boolean;
}

/** What GoBGP says about one IPv4 or IPv6 unicast path. */
export interface PathNews {
  readonly prefix: Prefix;
  /** Undefined when the message has none, as some withdrawals do. */
  readonly nextHop: Ip | undefined;
  /** Undefined for a path that was added through the API: ours. */
  readonly neighbor: Ip | undefined;
  readonly withdrawn: boolean;
}

export type WatchEvent =
  | { readonly kind: 'paths'; readonly count: number; readonly paths: readonly PathNews[] }
  | {
      readonly kind: 'peer';
      readonly type: 'init' | 'endOfInit' | 'state' | 'unknown';
      readonly address: Ip | undefined;
      readonly established: boolean;
    };

const anyPrefix = 'type.googleapis.com/apipb.';
const anyUrls = {
  nlri: `${anyPrefix}IPAddressPrefix`,
  origin: `${anyPrefix}OriginAttribute`,
  nextHop: `${anyPrefix}NextHopAttribute`,
  mpReach: `${anyPrefix}MpReachNLRIAttribute`,
} as const;

/** Numbers of the members in version 4's unions `NLRI` and `Attribute`. */
const members = { nlri: 1, origin: 2, nextHop: 4, mpReach: 12 } as const;

const safiUnicast = 1;
const established = 6;
const internLimit = 4096;

/** An AddPathStreamRequest for the global table. */
export function encodeAddPaths(version: GobgpVersion, paths: readonly PathChange[]): Buffer {
  const writer = new ReverseWriter();
  for (let i = paths.length - 1; i >= 0; i--) {
    const path = paths[i];
    if (path !== undefined) writePath(writer, version, path);
  }
  // table_type: GLOBAL is 0 in version 3, 1 in version 4.
  writer.number(1, version === 3 ? 0 : 1);
  return writer.finish();
}

function writePath(writer: ReverseWriter, version: GobgpVersion, path: PathChange): void {
  const start = writer.size;
  const family = familyOf(path.prefix);
  writeFamily(writer, 9, family);
  writer.number(5, path.withdraw ? 1 : 0);
  if (family === 4 && familyOf(path.nextHop) === 4) {
    writeUnion(writer, version, 2, 'nextHop', () => writer.ascii(1, path.nextHop));
  } else {
    writeUnion(writer, version, 2, 'mpReach', () => {
      writeNlri(writer, version, 3, path.prefix); // GoBGP refuses an empty list of NLRI
      writer.ascii(2, path.nextHop);
      writeFamily(writer, 1, family);
    });
  }
  writeUnion(writer, version, 2, 'origin', () => undefined); // 0: IGP
  writeNlri(writer, version, 1, path.prefix);
  writer.close(3, start);
}

function writeNlri(writer: ReverseWriter, version: GobgpVersion, field: number, prefix: Prefix) {
  writeUnion(writer, version, field, 'nlri', () => {
    writer.ascii(2, prefixAddress(prefix));
    writer.number(1, prefixLength(prefix));
  });
}

function writeFamily(writer: ReverseWriter, field: number, family: 4 | 6): void {
  const start = writer.size;
  writer.number(2, safiUnicast);
  writer.number(1, family === 4 ? 1 : 2);
  writer.close(field, start);
}

function writeUnion(
  writer: ReverseWriter,
  version: GobgpVersion,
  field: number,
  member: keyof typeof members,
  content: () => void,
): void {
  const outer = writer.size;
  content();
  if (version === 4) {
    writer.close(members[member], outer);
  } else {
    if (writer.size > outer) writer.close(2, outer);
    writer.ascii(1, anyUrls[member]);
  }
  writer.close(field, outer);
}

/** Decodes what WatchEvent and ListPath say. Keeps one copy of each neighbour and next hop. */
export interface PathDecoder {
  watchEvent(bytes: Buffer): WatchEvent;
  /** The paths of a ListPathResponse. */
  listPath(bytes: Buffer): readonly PathNews[];
}

/** What has been read of a path; the texts of the path before are kept to compare with. */
interface Draft {
  address: string;
  length: number;
  nextHop: string;
  neighbor: string;
  withdrawn: boolean;
  safi: number;
  lastNextHop: string;
  lastNeighbor: string;
}

export function createPathDecoder(version: GobgpVersion): PathDecoder {
  const interned = new Map<string, Ip | undefined>();

  function intern(text: string): Ip | undefined {
    const known = interned.get(text);
    if (known !== undefined || interned.has(text)) return known;
    if (interned.size >= internLimit) interned.clear();
    const address = text === '' ? undefined : parseIp(text);
    interned.set(text, address);
    return address;
  }

  // One draft for all paths: neighbours and next hops mostly repeat.
  const draft: Draft = {
    address: '',
    length: 0,
    nextHop: '',
    neighbor: '',
    withdrawn: false,
    safi: safiUnicast,
    lastNextHop: '',
    lastNeighbor: '',
  };

  function readPath(reader: WireReader, into: PathNews[]): void {
    draft.address = '';
    draft.length = 0;
    draft.nextHop = '';
    draft.neighbor = '';
    draft.withdrawn = false;
    draft.safi = safiUnicast;
    readPathFields(reader, version, draft);
    if (draft.address === '' || draft.safi !== safiUnicast) return;
    const prefix = parseNlri(draft.address, draft.length);
    if (prefix === undefined) return;
    into.push({
      prefix,
      nextHop: intern(draft.nextHop),
      neighbor: intern(draft.neighbor),
      withdrawn: draft.withdrawn,
    });
  }

  /** `repeated Path paths = 2`, as in TableEvent and Destination. */
  function readPaths(reader: WireReader, into: PathNews[]): number {
    let count = 0;
    const outer = reader.enter();
    while (reader.at < reader.end) {
      const tag = reader.varint();
      if (tag !== tagOf(2, WireType.bytes)) {
        reader.skip(tag);
        continue;
      }
      count++;
      const end = reader.enter();
      readPath(reader, into);
      reader.leave(end);
    }
    reader.leave(outer);
    return count;
  }

  return {
    watchEvent(bytes) {
      const reader = new WireReader(bytes);
      const paths: PathNews[] = [];
      let count = 0;
      while (reader.at < reader.end) {
        const tag = reader.varint();
        if (tag === tagOf(3, WireType.bytes)) count += readPaths(reader, paths);
        else if (tag === tagOf(2, WireType.bytes)) return readPeerEvent(reader);
        else reader.skip(tag);
      }
      return { kind: 'paths', count, paths };
    },
    listPath(bytes) {
      const reader = new WireReader(bytes);
      const paths: PathNews[] = [];
      while (reader.at < reader.end) {
        const tag = reader.varint();
        if (tag === tagOf(1, WireType.bytes)) readPaths(reader, paths);
        else reader.skip(tag);
      }
      return paths;
    },
  };
}

function readPathFields(reader: WireReader, version: GobgpVersion, draft: Draft): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    switch (tag) {
      case tagOf(1, WireType.bytes):
      case tagOf(2, WireType.bytes): {
        const outer = reader.enter();
        if (version === 3) readAny(reader, draft);
        else readMember(reader, tag === tagOf(1, WireType.bytes), draft);
        reader.leave(outer);
        break;
      }
      case tagOf(5, WireType.varint):
        draft.withdrawn = reader.varint() !== 0;
        break;
      case tagOf(9, WireType.bytes): {
        const outer = reader.enter();
        draft.safi = 0;
        while (reader.at < reader.end) {
          const field = reader.varint();
          if (field === tagOf(2, WireType.varint)) draft.safi = reader.varint();
          else reader.skip(field);
        }
        reader.leave(outer);
        break;
      }
      case tagOf(15, WireType.bytes):
        draft.neighbor = reader.asciiLike(draft.lastNeighbor);
        draft.lastNeighbor = draft.neighbor;
        break;
      default:
        reader.skip(tag);
    }
  }
}

/** `read` returns false for a tag that it does not want; that field is skipped. */
function readFields(reader: WireReader, read: (tag: number) => boolean): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (!read(tag)) reader.skip(tag);
  }
}

function readAny(reader: WireReader, draft: Draft): void {
  let url = '';
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === tagOf(1, WireType.bytes)) {
      url = readUrl(reader);
    } else if (tag === tagOf(2, WireType.bytes) && url !== '') {
      const outer = reader.enter();
      if (url === anyUrls.nlri) readNlri(reader, draft);
      else readNextHop(reader, url === anyUrls.nextHop ? 1 : 2, draft);
      reader.leave(outer);
    } else {
      reader.skip(tag);
    }
  }
}

const wantedUrls = [anyUrls.nlri, anyUrls.nextHop, anyUrls.mpReach] as const;

/** One of the wanted type names, or '' for another; never makes a string. */
function readUrl(reader: WireReader): string {
  const start = reader.at;
  for (const url of wantedUrls) {
    reader.at = start;
    if (reader.accept(url)) return url;
  }
  reader.at = start;
  reader.skip(tagOf(1, WireType.bytes));
  return '';
}

/**
 * GoBGP writes addresses in canonical form. An IPv4 address without host bits, the usual case,
 * is taken as it stands once that is verified; everything else goes the general way.
 */
function parseNlri(text: string, length: number): Prefix | undefined {
  const bits = length <= 32 ? canonicalV4(text) : -1;
  if (bits >= 0 && bits % 2 ** (32 - length) === 0) return `${text}/${length}` as Prefix;
  const address = parseIp(text);
  if (address === undefined || length > addressBits(familyOf(address))) return undefined;
  return prefixOf(address, length);
}

/** The 32 bits of a dotted address without superfluous zeros; -1 for any other text. */
function canonicalV4(text: string): number {
  let bits = 0;
  let part = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      if (part < 0) return -1;
      bits = bits * 256 + part;
      part = -1;
      dots++;
    } else if (code >= 48 && code <= 57 && part !== 0) {
      part = (part < 0 ? 0 : part * 10) + code - 48;
      if (part > 255) return -1;
    } else {
      return -1;
    }
  }
  return dots === 3 && part >= 0 ? bits * 256 + part : -1;
}

function readMember(reader: WireReader, isNlri: boolean, draft: Draft): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if ((tag & 7) !== WireType.bytes) {
      reader.skip(tag);
      continue;
    }
    const member = tag >> 3;
    const outer = reader.enter();
    if (isNlri) {
      if (member === members.nlri) readNlri(reader, draft);
    } else if (member === members.nextHop) {
      readNextHop(reader, 1, draft);
    } else if (member === members.mpReach) {
      readNextHop(reader, 2, draft);
    }
    reader.leave(outer);
  }
}

function readNlri(reader: WireReader, draft: Draft): void {
  draft.length = 0;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === tagOf(1, WireType.varint)) draft.length = reader.varint();
    else if (tag === tagOf(2, WireType.bytes)) draft.address = reader.ascii();
    else reader.skip(tag);
  }
}

/** The first address wins: a second one in MP_REACH is link-local (RFC 2545 section 3). */
function readNextHop(reader: WireReader, field: number, draft: Draft): void {
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag !== tagOf(field, WireType.bytes)) {
      reader.skip(tag);
      continue;
    }
    const text = reader.asciiLike(draft.lastNextHop);
    draft.lastNextHop = text;
    if (draft.nextHop === '') draft.nextHop = text;
  }
}

const peerEventTypes = ['unknown', 'init', 'endOfInit', 'state'] as const;

function readPeerEvent(reader: WireReader): WatchEvent {
  let type = 0;
  let address = '';
  let state = 0;
  const readState = (tag: number): boolean => {
    if (tag !== tagOf(13, WireType.varint)) return false;
    state = reader.varint();
    return true;
  };
  const readConf = (tag: number): boolean => {
    if (tag !== tagOf(4, WireType.bytes)) return false;
    address = reader.ascii();
    return true;
  };
  const nested = (read: (tag: number) => boolean): true => {
    const outer = reader.enter();
    readFields(reader, read);
    reader.leave(outer);
    return true;
  };
  nested((tag) => {
    if (tag === tagOf(1, WireType.varint)) {
      type = reader.varint();
      return true;
    }
    if (tag !== tagOf(2, WireType.bytes)) return false;
    return nested((inner) => {
      if (inner === tagOf(2, WireType.bytes)) return nested(readConf);
      return inner === tagOf(5, WireType.bytes) && nested(readState);
    });
  });
  return {
    kind: 'peer',
    type: peerEventTypes[type] ?? 'unknown',
    address: parseIp(address),
    established: state === established,
  };
}
