import { type Prefix, parseIp } from '../core/ip.ts';
import { pathRow } from '../desired/bgp.ts';
import type { BgpPathRow } from '../desired/rows.ts';
import { decodeNlri, readAttributes } from './attribute-decoder.ts';
import { safiUnicast } from './path-codec.ts';
import { readFields, readNested, tagOf, WireReader, WireType } from './wire.ts';

/** `row` undefined when it is none of ours after all: it has no next hop. */
export interface OwnPath {
  readonly prefix: Prefix;
  readonly row: BgpPathRow | undefined;
}

/**
 * The paths of a ListPathResponse that came through the API; asked for with
 * `enable_only_binary`. Alike in both versions.
 */
export function decodeOwnPaths(bytes: Buffer): readonly OwnPath[] {
  const reader = new WireReader(bytes);
  const paths: OwnPath[] = [];
  const readDestination = (tag: number): boolean => {
    if (tag !== tagOf(2, WireType.bytes)) return false;
    const outer = reader.enter();
    const path = readOwnPath(reader);
    if (path !== undefined) paths.push(path);
    reader.leave(outer);
    return true;
  };
  readFields(
    reader,
    (tag) => tag === tagOf(1, WireType.bytes) && readNested(reader, readDestination),
  );
  return paths;
}

/** Undefined for a path of a neighbour, and for what is not unicast. */
function readOwnPath(reader: WireReader): OwnPath | undefined {
  let nlri: Buffer | undefined;
  const attributes: Buffer[] = [];
  let neighbor = '';
  let withdrawn = false;
  let [afi, safi] = [0, 0];
  const readFamily = (tag: number): boolean => {
    if (tag === tagOf(1, WireType.varint)) afi = reader.varint();
    else if (tag === tagOf(2, WireType.varint)) safi = reader.varint();
    else return false;
    return true;
  };
  readFields(reader, (tag) => {
    if (tag === tagOf(20, WireType.bytes)) nlri = reader.raw();
    else if (tag === tagOf(21, WireType.bytes)) attributes.push(reader.raw());
    else if (tag === tagOf(15, WireType.bytes)) neighbor = reader.ascii();
    else if (tag === tagOf(5, WireType.varint)) withdrawn = reader.varint() !== 0;
    else return tag === tagOf(9, WireType.bytes) && readNested(reader, readFamily);
    return true;
  });
  if (nlri === undefined || withdrawn || parseIp(neighbor) !== undefined) return undefined;
  if (safi !== safiUnicast || (afi !== 1 && afi !== 2)) return undefined;
  const prefix = decodeNlri(nlri, afi === 1 ? 4 : 6);
  const { nextHop, communities, localPreference, med } = readAttributes(attributes);
  if (nextHop === undefined) return { prefix, row: undefined };
  return { prefix, row: pathRow(prefix, nextHop, { communities, localPreference, med }) };
}
