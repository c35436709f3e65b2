import { addressBits, familyOf, type Ip, type Prefix, parseIp, prefixOf } from '../core/ip.ts';
import {
  anyUrls,
  type GobgpVersion,
  members,
  type PathNews,
  safiUnicast,
  type WatchEvent,
} from './path-codec.ts';
import { readNested, tagOf, WireReader, WireType } from './wire.ts';

/** Value of SessionState in both versions. */
const established = 6;
/** Texts of addresses that are remembered. */
const internLimit = 4096;

/** Decodes what WatchEvent says. Keeps one copy of each neighbour and next hop. */
export interface PathDecoder {
  watchEvent(bytes: Buffer): WatchEvent;
}

/** What has been read of a path; the texts of the path before are kept to compare with. */
interface Draft {
  address: string;
  length: number;
  nextHop: string;
  neighbor: string;
  identifier: number;
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
    identifier: 0,
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
    draft.identifier = 0;
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
      identifier: draft.identifier,
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
      case tagOf(18, WireType.varint):
        draft.identifier = reader.varint();
        break;
      default:
        reader.skip(tag);
    }
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
  let reason = '';
  const readState = (tag: number): boolean => {
    if (tag === tagOf(13, WireType.varint)) state = reader.varint();
    else if (tag === tagOf(22, WireType.bytes)) reason = reader.ascii();
    else return false;
    return true;
  };
  const readConf = (tag: number): boolean => {
    if (tag !== tagOf(4, WireType.bytes)) return false;
    address = reader.ascii();
    return true;
  };
  const nested = (read: (tag: number) => boolean) => readNested(reader, read);
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
    reason,
  };
}
