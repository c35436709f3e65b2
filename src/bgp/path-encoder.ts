import { familyOf } from '../core/ip.ts';
import { type AttributeEncoder, createAttributeEncoder, encodeNlri } from './path-attributes.ts';
import { type GobgpVersion, type PathChange, safiUnicast } from './path-codec.ts';
import { ReverseWriter } from './wire.ts';

/** An AddPathStreamRequest for the global table. */
export function encodeAddPaths(version: GobgpVersion, paths: readonly PathChange[]): Buffer {
  const writer = new ReverseWriter();
  const encode = createAttributeEncoder();
  for (let i = paths.length - 1; i >= 0; i--) {
    const path = paths[i];
    if (path !== undefined) writePath(writer, path, encode);
  }
  // table_type: GLOBAL is 0 in version 3, 1 in version 4.
  writer.number(1, version === 3 ? 0 : 1);
  return writer.finish();
}

function writePath(writer: ReverseWriter, path: PathChange, encode: AttributeEncoder): void {
  const start = writer.size;
  const { prefix, nextHop, withdraw, communities = [], localPreference, med } = path;
  const family = familyOf(prefix);
  const attributes = encode(prefix, family, {
    nextHop,
    communities,
    localPreference,
    med,
  });
  for (let i = attributes.length - 1; i >= 0; i--) {
    const attribute = attributes[i];
    if (attribute !== undefined) writer.bytes(21, attribute);
  }
  writer.bytes(20, encodeNlri(prefix));
  writeFamily(writer, 9, family);
  writer.number(5, withdraw ? 1 : 0);
  writer.close(3, start);
}

function writeFamily(writer: ReverseWriter, field: number, family: 4 | 6): void {
  const start = writer.size;
  writer.number(2, safiUnicast);
  writer.number(1, family === 4 ? 1 : 2);
  writer.close(field, start);
}
