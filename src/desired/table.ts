/**
 * A table of rows: one kind of thing that a target shall hold.
 *
 * The key is chosen so that two rows that cannot coexist in the target have the same key
 * (a route's key is table and prefix, not prefix and interface). Moving something is then one
 * change, never a delete that races a put.
 */
export interface Table<Row> {
  readonly name: Stage;
  key(row: Row): string;
  equal(a: Row, b: Row): boolean;
  /** One line for people: `kvr show`, scenarios and logs. */
  format(row: Row): string;
}

/**
 * The order in which tables are written. Puts go first to last, then deletes last to first.
 * From this order alone follow: a link comes up only after what protects it is in place; a path
 * is announced after the translation behind it exists, and withdrawn before that goes.
 */
export const stages = [
  'interfaces',
  'tunnels',
  'addresses',
  'neighbours',
  'punts',
  'nat',
  'natExclusions',
  // Before the filters: a pod leaves the gate before its lists speak of endpoints.
  'natInterfaces',
  'filters',
  'filterLists',
  'sources',
  // Before the routes: one that moves from tunnel to tunnel finds the new one up.
  'tunnelStates',
  'routes',
  // Before the translations: what drains is protected before it loses its place.
  'sessionPauses',
  'translations',
  'linkStates',
  // Before BGP: what it learns may depend on who is alive.
  'bfdSessions',
  'bgpServer',
  // Before the paths: no neighbour hears of one that is not for it.
  'bgpPolicies',
  // Before the peers: a new GoBGP has all its paths when the first session tells that it has.
  'bgpPaths',
  'bgpPeers',
] as const;

export type Stage = (typeof stages)[number];

/** Structural equality for rows made of plain values, arrays and objects. */
export function equalRows(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => equalRows(item, b[i]));
  }
  const left = Object.entries(a);
  if (left.length !== Object.keys(b).length) return false;
  const right = b as Readonly<Record<string, unknown>>;
  return left.every(([name, value]) => name in right && equalRows(value, right[name]));
}
