import { addToGroup } from '../core/groups.ts';
import type { Ip } from '../core/ip.ts';
import type { Config } from './config.ts';
import type {
  Attachment,
  ClusterNetworkPolicy,
  Departure,
  EndpointSlice,
  LearnedRoute,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  Service,
  Uplink,
} from './facts.ts';
import type { Gated, GateReason } from './gated.ts';
import { createIndexes, indexFact } from './indexes.ts';
import type { Outside } from './outside.ts';
import type { SelectionId, Selections } from './selections.ts';

/**
 * The store: the only mutable truth of the daemon.
 *
 * Sources commit facts; each commit marks its key as changed and wakes the loop, and nothing
 * else happens in reaction to an event. The loop takes a snapshot: a read-only view of the
 * facts plus the keys that changed since the last one. The view is live, not a copy (a copy
 * would cost the whole cluster for every change), so it is valid for one synchronous turn:
 * planners never await, therefore nothing can change under them.
 */
export interface FactTypes {
  readonly services: Service;
  readonly slices: EndpointSlice;
  readonly pods: Pod;
  readonly nodes: Node;
  readonly namespaces: Namespace;
  readonly policies: NetworkPolicy;
  readonly clusterPolicies: ClusterNetworkPolicy;
  readonly attachments: Attachment;
  /** Key: the prefix. */
  readonly learnedRoutes: LearnedRoute;
  /** How often a frontend forgot its clients. Key: `address port protocol`. Source: src/daemon. */
  readonly affinityEpochs: number;
  /** Digests of the passwords of BGP sessions. Key: as in the Secret. Source: src/config. */
  readonly passwords: string;
  /** Services whose routes are held down because they flap. Key: of the Service. Source: src/daemon. */
  readonly heldDown: true;
  /**
   * Neighbours that BFD saw up and then down. Key: their address. Routes by them go at once, their
   * BGP sessions when that is done (`written`): GoBGP may take its time. Source: src/daemon.
   */
  readonly bfdDown: 'new' | 'written';
  /** One entry, key `departure`; none until the daemon knows its node. */
  readonly departure: Departure;
  /** One entry, key `config`. */
  readonly config: Config;
  /** One entry, key `uplink`. */
  readonly uplink: Uplink;
}

export type FactKind = keyof FactTypes;

export const factKinds: readonly FactKind[] = [
  'services',
  'slices',
  'pods',
  'nodes',
  'namespaces',
  'policies',
  'clusterPolicies',
  'attachments',
  'learnedRoutes',
  'affinityEpochs',
  'passwords',
  'heldDown',
  'bfdDown',
  'departure',
  'config',
  'uplink',
];

export type Facts = { readonly [K in FactKind]: ReadonlyMap<string, FactTypes[K]> } & {
  /** Keys of the slices of each Service: an index of `slices`, kept by the store. */
  readonly slicesOf: ReadonlyMap<string, ReadonlySet<string>>;
  /** Keys of the NetworkPolicies of each namespace: an index of `policies`, kept by the store. */
  readonly policiesIn: ReadonlyMap<string, ReadonlySet<string>>;
  /** Key of the Node that has an InternalIP: an index of `nodes`, kept by the store. */
  readonly nodeOf: ReadonlyMap<Ip, string>;
  /** Services that let not everybody in: an index of `services`, kept by the store. */
  readonly gated: Gated;
  /** Services by address and node port: an index of `services`, kept by the store. */
  readonly outside: Outside;
  /** Which pods the peers of policies select: kept by the store. */
  readonly selections: Selections;
  /** Kinds whose source has delivered a first complete list, as it is now. */
  readonly complete: ReadonlySet<FactKind>;
};

export type ChangedKeys = { readonly [K in FactKind]?: ReadonlySet<string> } & {
  /** Keys of the Services that gained, lost or changed a slice. */
  readonly slicesOf?: ReadonlySet<string>;
  /** Parts of Nodes: see node-parts.ts. */
  readonly nodeParts?: ReadonlySet<string>;
  /** Addresses that became another Node's, or nobody's. */
  readonly nodeOf?: ReadonlySet<string>;
  /** Reasons for which another bucket of Services is gated, or one less. */
  readonly gated?: ReadonlySet<GateReason>;
  /** Addresses and node ports of Services that changed, before and after. */
  readonly outside?: ReadonlySet<string>;
  /** Selections whose buckets changed, and those that came or went. */
  readonly selections?: ReadonlySet<SelectionId>;
  /** Kinds that became complete. */
  readonly complete?: ReadonlySet<FactKind>;
};

export interface Snapshot {
  /** Grows by one with every commit. */
  readonly revision: number;
  /** Since the snapshot before; a removed key is in here too. */
  readonly changed: ChangedKeys;
  readonly facts: Facts;
  /** Fact kinds whose source has delivered a first complete list. */
  readonly synced: ReadonlySet<FactKind>;
}

/** Facts of one kind that change together; undefined removes. */
export type Commit<K extends FactKind> = Iterable<
  readonly [key: string, fact: FactTypes[K] | undefined]
>;

export interface Store {
  readonly revision: number;
  readonly facts: Facts;
  readonly synced: ReadonlySet<FactKind>;
  commit<K extends FactKind>(kind: K, changes: Commit<K>): void;
  /** Makes `all` the whole truth of the kind (keys not in it are removed) and marks it synced. */
  replace<K extends FactKind>(kind: K, all: ReadonlyMap<string, FactTypes[K]>): void;
  /** The source has delivered everything that exists; from now on absence means deletion. */
  markSynced(kind: FactKind): void;
  /** How many keys changed since the last snapshot. */
  pending(kind: FactKind): number;
  /** Takes what changed since the last call. */
  takeSnapshot(): Snapshot;
  /** Resolves at the next commit, or at once when something changed since the last snapshot. */
  changed(): Promise<void>;
}

/** What has changed keys: facts of a kind, or an index. */
export type MarkedKind = keyof ChangedKeys;

type MutableFacts = { [K in FactKind]: Map<string, FactTypes[K]> };

export function createStore(): Store {
  const facts = Object.fromEntries(factKinds.map((kind) => [kind, new Map()])) as MutableFacts;
  const indexes = createIndexes(facts);
  const synced = new Set<FactKind>();
  let changed = new Map<MarkedKind, Set<string>>();
  let revision = 0;
  let takenRevision = 0;
  let wake: (() => void) | undefined;
  let waiting: Promise<void> | undefined;

  const view: Facts = { ...facts, ...indexes, complete: synced };

  function mark(kind: MarkedKind, key: string): void {
    addToGroup(changed, kind, key);
  }

  function put<K extends FactKind>(kind: K, key: string, fact: FactTypes[K] | undefined): void {
    const map: Map<string, FactTypes[K]> = facts[kind];
    const before = map.get(key);
    if (before === fact) return;
    if (fact === undefined) map.delete(key);
    else map.set(key, fact);
    indexFact(indexes, kind, key, [before, fact], mark);
    mark(kind, key);
  }

  function complete(kind: FactKind): void {
    if (!synced.has(kind)) mark('complete', kind);
    synced.add(kind);
  }

  function committed(): void {
    revision++;
    const callback = wake;
    wake = undefined;
    waiting = undefined;
    callback?.();
  }

  return {
    get revision() {
      return revision;
    },
    facts: view,
    synced,
    commit(kind, changes) {
      for (const [key, fact] of changes) put(kind, key, fact);
      committed();
    },
    replace(kind, all) {
      for (const key of facts[kind].keys()) if (!all.has(key)) put(kind, key, undefined);
      for (const [key, fact] of all) put(kind, key, fact);
      complete(kind);
      committed();
    },
    markSynced(kind) {
      complete(kind);
      committed();
    },
    pending: (kind) => changed.get(kind)?.size ?? 0,
    takeSnapshot() {
      // `synced` is a copy, unlike the facts: the round that uses it goes on after this turn, and
      // what is complete by then was not yet complete when the round was planned.
      const snapshot = {
        revision,
        changed: Object.fromEntries(changed),
        facts: view,
        synced: new Set(synced),
      };
      changed = new Map();
      takenRevision = revision;
      return snapshot;
    },
    changed() {
      if (revision !== takenRevision) return Promise.resolve();
      waiting ??= new Promise<void>((resolve) => {
        wake = resolve;
      });
      return waiting;
    },
  };
}
