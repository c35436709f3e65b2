import { type Family, familyOf, type Ip, type Prefix, parseIp } from '../core/ip.ts';
import { decodeNlri, readAttributes, type SeenAttributes } from './attribute-decoder.ts';
import { type GobgpVersion, safiUnicast } from './path-codec.ts';
import { ReverseWriter, readFields, readNested, tagOf, WireReader, WireType } from './wire.ts';

/**
 * All that GoBGP knows about one prefix and the prefixes around it, for people: not a hot path.
 * Paths are asked for as bytes of BGP (`enable_only_binary`), which are the same in both versions.
 */
export interface Candidate extends SeenAttributes {
  readonly prefix: Prefix;
  /** Undefined for a path of ours. */
  readonly neighbor: Ip | undefined;
  /** Seconds since the epoch. */
  readonly sinceSeconds: number;
  /** The neighbour is away and its routes are kept (RFC 4724). */
  readonly stale: boolean;
  /** An import policy keeps it out of the table; told of Adj-RIB-In only. */
  readonly filtered: boolean;
  readonly nextHopInvalid: boolean;
}

/** Which table: what may be used, or what one neighbour says. */
export type LookupTable = { readonly kind: 'best' } | { readonly kind: 'from'; readonly peer: Ip };

// Numbers of the enums TableType and TableLookupPrefix.Type: version 4 counts from one.
const tableNumbers = { best: 0, from: 2 } as const;
const shorterNumber = 2;

/** Where a field stands: api/gobgp.proto of v3.10.0 and v4.8.0. */
const request = {
  tableType: 1,
  name: 2,
  family: 3,
  prefixes: 4,
  filtered: 6,
  onlyBinary: 9,
} as const;

/** A ListPathRequest for a prefix and all that contain it. */
export function encodeLookup(
  version: GobgpVersion,
  prefix: Prefix,
  table: LookupTable,
): Uint8Array {
  const first = version === 4 ? 1 : 0;
  const writer = new ReverseWriter();
  writer.number(request.onlyBinary, 1);
  if (table.kind === 'from') writer.number(request.filtered, 1);
  let mark = writer.size;
  writer.number(2, first + shorterNumber);
  writer.ascii(1, prefix);
  writer.close(request.prefixes, mark);
  mark = writer.size;
  writer.number(2, safiUnicast);
  writer.number(1, familyOf(prefix) === 4 ? 1 : 2);
  writer.close(request.family, mark);
  if (table.kind === 'from') writer.ascii(request.name, table.peer);
  writer.number(request.tableType, first + tableNumbers[table.kind]);
  return writer.finish();
}

/** The paths of a ListPathResponse, in GoBGP's order: the best one of a prefix comes first. */
export function decodeLookup(bytes: Buffer, family: Family): Candidate[] {
  const candidates: Candidate[] = [];
  const reader = new WireReader(bytes);
  readFields(reader, (outer) => {
    if (outer !== tagOf(1, WireType.bytes)) return false;
    return readNested(reader, (inner) => {
      if (inner !== tagOf(2, WireType.bytes)) return false;
      const path = readPath(reader, family);
      if (path !== undefined) candidates.push(path);
      return true;
    });
  });
  return candidates;
}

/** Numbers of Path's fields that are flags. */
const flags = { withdrawn: 5, filtered: 12, stale: 13, nextHopInvalid: 17 } as const;

function readPath(reader: WireReader, family: Family): Candidate | undefined {
  let nlri: Buffer | undefined;
  const attributes: Buffer[] = [];
  const set = new Set<number>();
  let neighbor = '';
  let sinceSeconds = 0;
  readNested(reader, (tag) => {
    if (tag === tagOf(20, WireType.bytes)) nlri = reader.raw();
    else if (tag === tagOf(21, WireType.bytes)) attributes.push(reader.raw());
    else if (tag === tagOf(15, WireType.bytes)) neighbor = reader.ascii();
    else if (tag === tagOf(3, WireType.bytes))
      readNested(reader, (field) => {
        if (field !== tagOf(1, WireType.varint)) return false;
        sinceSeconds = reader.varint();
        return true;
      });
    else if ((tag & 7) === WireType.varint) {
      if (reader.varint() !== 0) set.add(tag >> 3);
    } else return false;
    return true;
  });
  if (nlri === undefined || set.has(flags.withdrawn)) return undefined;
  return {
    prefix: decodeNlri(nlri, family),
    neighbor: parseIp(neighbor),
    sinceSeconds,
    stale: set.has(flags.stale),
    filtered: set.has(flags.filtered),
    nextHopInvalid: set.has(flags.nextHopInvalid),
    ...readAttributes(attributes),
  };
}
