import type { Stage } from '../desired/table.ts';
import type { FactKind } from '../model/store.ts';

/**
 * What must be known before rows may be written.
 *
 * After a start the sources become complete one after another, while the targets still hold what
 * the daemon before wrote. A row planned from half a picture would replace a right one: a Service
 * whose slices are not listed yet would be refused, and its open connections end (KP-49).
 */
type Synced = ReadonlySet<FactKind>;
type Needs = { readonly [S in Stage]?: readonly FactKind[] };

const always: readonly FactKind[] = ['config', 'uplink', 'nodes'];
/** What says who may talk to whom. */
const policy: readonly FactKind[] = ['policies', 'clusterPolicies', 'pods', 'namespaces'];
const filterNeeds: readonly FactKind[] = [
  ...always,
  'services',
  'slices',
  'attachments',
  ...policy,
];

/** Until these are complete absence means nothing. Other tables need what all need. */
const deleteNeeds: Needs = {
  interfaces: [...always, 'attachments', 'learnedRoutes', 'services'],
  // Gates have an address and a state, too.
  addresses: [...always, 'attachments', 'services'],
  neighbours: [...always, 'attachments'],
  natInterfaces: [...always, 'attachments', 'learnedRoutes', 'services'],
  linkStates: [...always, 'attachments', 'services'],
  routes: [...always, 'attachments', 'learnedRoutes', 'services'],
  filters: [...filterNeeds, 'learnedRoutes'],
  filterLists: [...filterNeeds, 'learnedRoutes'],
  sources: [...always, 'attachments'],
  sessionPauses: [...always, 'services', 'slices'],
  translations: [...always, 'services', 'slices', 'pods'],
  bgpPaths: [...always, 'services', 'slices'],
  bgpPeers: [...always, 'passwords'],
};

/** Until these are complete a row may be wrong. Other tables are written at once. */
const putNeeds: Needs = {
  sessionPauses: deleteNeeds.sessionPauses ?? [],
  translations: deleteNeeds.translations ?? [],
  bgpPolicies: always,
  bgpPeers: always,
};

/**
 * The same for rows that replace something. A new pod gets its interface without waiting for the
 * API server; the gate of an interface (src/proxy/gate.ts) stays while Services are not known.
 */
const changeNeeds: Needs = {
  natInterfaces: [...always, 'services', ...policy],
  // Where there are none yet, a pod gets those that let nothing through (src/policy/plan.ts).
  filters: filterNeeds,
  filterLists: filterNeeds,
  // Bandwidths count endpoints.
  bgpPaths: [...always, 'services', 'slices'],
};

/**
 * Whether rows of a table may be deleted. Without our own Node nobody knows what this speaker is:
 * a Node that is deleted and registers again must not end all sessions.
 */
export function mayDelete(synced: Synced, stage: Stage, hasNode: boolean): boolean {
  return (hasNode || !stage.startsWith('bgp')) && hasAll(synced, deleteNeeds[stage] ?? always);
}

/** Whether rows of a table may be written; `held`: where the target holds something already. */
export function mayPut(synced: Synced, stage: Stage, held: boolean): boolean {
  if (held && !hasAll(synced, changeNeeds[stage] ?? [])) return false;
  return hasAll(synced, putNeeds[stage] ?? []);
}

function hasAll(synced: Synced, needs: readonly FactKind[]): boolean {
  return needs.every((kind) => synced.has(kind));
}
