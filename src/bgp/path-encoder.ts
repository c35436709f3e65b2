import { familyOf, type Prefix, prefixAddress, prefixLength } from '../core/ip.ts';
import { anyUrls, type GobgpVersion, members, type PathChange, safiUnicast } from './path-codec.ts';
import { ReverseWriter } from './wire.ts';

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
