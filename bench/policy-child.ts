import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { resourceOfKind } from '../src/apiserver/resources.ts';
import { type ApiServer, createApiServer } from '../src/apiserver/server.ts';
import { realClock as clock } from '../src/core/clock.ts';
import { errorText } from '../src/core/error-text.ts';
import { prefix } from '../src/core/ip.ts';
import { type Loop, type Round, startLoop } from '../src/daemon/loop.ts';
import { planFacts } from '../src/daemon/planning.ts';
import { podInterfaceName } from '../src/desired/names.ts';
import type { FilterListRow, FilterRow } from '../src/desired/rows.ts';
import { loadKubeAccess } from '../src/kube/access.ts';
import { createInterner } from '../src/kube/intern.ts';
import type { JsonObject } from '../src/kube/json.ts';
import { type KubeKind, watchedKinds } from '../src/kube/kinds.ts';
import { keyOfObject, projectObject } from '../src/kube/projection.ts';
import { watchKube } from '../src/kube/watch-kube.ts';
import { createStore, type FactTypes, factKinds, type Store } from '../src/model/store.ts';
import { createVppTarget } from '../src/vpp/target.ts';
import { benchConfig, benchUplink } from './node.ts';
import { ownNode } from './objects.ts';
import {
  attachmentsHere,
  type KubeObject,
  namespaceCount,
  namespaceObject,
  podsEach,
  policiesEach,
  policyObject,
  runningPod,
} from './policy-objects.ts';

/** The other processes of bench/policy.ts: an API server, a daemon, and one that only compiles. */

const send = (message: object) => process.send?.(message);

/** What the parent asks of the API server. */
export interface PolicyOrder {
  readonly kind: 'put' | 'delete';
  readonly objects: readonly KubeObject[];
}

export async function servePolicyApi(socketPath: string): Promise<void> {
  const server = await createApiServer({
    socketPath,
    endpointSlices: false,
    serviceCidrs: [prefix('11.0.0.0/8')],
  });
  const put = (object: KubeObject) => server.api.upsert(object as never);
  for (const object of clusterObjects()) {
    put(object);
    // An object that is created does not have the status.
    if (object.status !== undefined) put(object);
  }
  process.on('message', (order: PolicyOrder) => {
    for (const object of order.objects)
      if (order.kind === 'put') put(object);
      else remove(server, object);
  });
  send({ kind: 'ready' });
}

function remove({ api }: ApiServer, { apiVersion, kind, metadata }: KubeObject): void {
  const resource = resourceOfKind(apiVersion, kind);
  if (resource === undefined) throw new Error(`no resource ${kind}`);
  api.remove(resource, `${metadata.namespace}/${metadata.name}`, 0);
}

function* clusterObjects(): Generator<KubeObject> {
  yield nodeObject;
  for (let space = 0; space < namespaceCount; space++) {
    yield namespaceObject(space);
    for (let number = 0; number < podsEach; number++) yield runningPod(space, number);
    for (let index = 0; index < policiesEach; index++) yield policyObject(space, index);
  }
}

const nodeObject: KubeObject = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: ownNode },
  spec: { podCIDRs: ['10.64.0.0/24', 'fd00:64::/64'] },
  status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
};

/**
 * Facts are there, and nothing else is: from the first fact in an empty store to the last row.
 * Resident memory has all of it, and Node itself.
 */
export function compileAlone(): void {
  const facts = projectCluster();
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  store.replace('uplink', new Map([['uplink', benchUplink]]));
  store.replace('attachments', attachmentsHere());
  for (const kind of factKinds) store.markSynced(kind);
  const startMs = performance.now();
  for (const kind of ['nodes', 'namespaces', 'pods', 'policies'] as const)
    store.replace(kind, facts[kind] as never);
  const indexedMs = performance.now() - startMs;
  const desired = planFacts(store.facts);
  const ms = performance.now() - startMs;
  const lists = [...desired.keys('filterLists')].map(
    (key) => desired.row('filterLists', key) as FilterListRow,
  );
  const sizes = new Map(
    [...desired.keys('filters')].map((key) => {
      const { name, rules } = desired.row('filters', key) as FilterRow;
      return [name, rules.length];
    }),
  );
  const rulesOf = ({ input, output }: FilterListRow) =>
    [...input, ...output].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  send({
    kind: 'done',
    ms,
    indexedMs,
    rssMb: process.memoryUsage.rss() / 1e6,
    lists: lists.length,
    filters: sizes.size,
    rules: [...sizes.values()].reduce((sum, one) => sum + one, 0),
    rulesOfList: Math.max(...lists.map(rulesOf)),
    filtersOfList: Math.max(...lists.map(({ input, output }) => input.length + output.length)),
  });
  // Until the parent ends it.
  setInterval(() => undefined, 60_000);
}

type KubeFacts = { readonly [K in KubeKind]: Map<string, FactTypes[K]> };

function projectCluster(): KubeFacts {
  const interner = createInterner();
  const facts = Object.fromEntries(
    Object.keys(watchedKinds).map((kind) => [kind, new Map()]),
  ) as unknown as KubeFacts;
  for (const given of clusterObjects()) {
    const object = given as unknown as JsonObject;
    const watched = Object.values(watchedKinds).find((one) => one.objectKind === given.kind);
    if (watched === undefined) throw new Error(`nobody watches ${given.kind}`);
    const key = keyOfObject(object);
    const { fact, problems } = projectObject<unknown>(
      given.kind,
      key,
      object,
      interner,
      watched.project,
    );
    if (problems.length > 0 || fact === undefined) throw new Error(JSON.stringify(problems));
    (facts[watched.kind] as Map<string, unknown>).set(key, fact);
  }
  return facts;
}

/** What the daemon tells of one change: how long, and how many rows it wrote. */
export interface InForce {
  readonly kind: 'inForce';
  readonly key: string;
  /** From the event on the watch to VPP's last reply. */
  readonly ms: number;
  /** Rows written. */
  readonly changes: number;
  /** Monotonic, of the machine: when VPP replied. */
  readonly atMs: number;
}

/** Kinds of facts of which each event is told when it is in force. */
const told = ['pods', 'namespaces', 'policies'] as const;

export async function runPolicyDaemon(socket: string, vppSocket: string): Promise<void> {
  const { signal } = new AbortController();
  const store = createStore();
  store.replace('config', new Map([['config', benchConfig]]));
  for (const kind of ['uplink', 'attachments', 'learnedRoutes'] as const) store.markSynced(kind);
  store.commit('uplink', [['uplink', benchUplink]]);
  const vpp = createVppTarget({ connect: vppSocket, clock, signal });
  while (vpp.session === undefined) await vpp.sessionChanged();
  const received = new Map<string, number>();
  const loop = startLoop({
    store,
    targets: [vpp],
    clock,
    signal,
    onFailure: ({ stage, key, error }) => console.error(`${stage} ${key}: ${errorText(error)}`),
    onStage: (e) => {
      if (process.env.KVR_DEBUG) console.error(JSON.stringify(e));
    },
    onRound: (round) => tellRound(round, received),
  });
  const access = await loadKubeAccess({ kubeconfig: '', server: `unix:${socket}` });
  const watch = (kinds: readonly KubeKind[]) =>
    watchKube({
      store,
      access,
      clock,
      signal,
      kinds,
      log: { info: () => undefined, warn: console.error },
      onProblems: (problems) => {
        if (problems.length > 0) console.error(problems);
      },
      onReceived: (kind, key, atMs) => {
        received.set(`${kind} ${key}`, atMs);
      },
    });
  await watch(['nodes', 'services', 'slices']).synced;
  await attachPods(store, loop);
  // The pods are closed, and everything else is there: from here on it is policies.
  const startMs = performance.now();
  await watch(['pods', 'namespaces', 'policies', 'clusterPolicies']).synced;
  await loop.whenApplied(store.revision, AbortSignal.timeout(120_000));
  const ms = performance.now() - startMs;
  // Of a node on which something is missing the times say nothing.
  const wrong = [...loop.desired.problems(), ...loop.reconciler.failures()];
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong.slice(0, 10)));
  received.clear();
  process.on('message', () => {
    const rssMb = process.memoryUsage.rss() / 1e6;
    send({ kind: 'memory', rssMb, liveMb: liveHeapMb() });
  });
  send({ kind: 'applied', ms, rssMb: process.memoryUsage.rss() / 1e6 });
}

/** Few at a time, as pods come: VPP needs 40 ms and more for each, and a call is given 5 s. */
const attachedAtOnce = 10;

async function attachPods(store: Store, loop: Loop): Promise<void> {
  const attachments = [...attachmentsHere()];
  for (let at = 0; at < attachments.length; at += attachedAtOnce) {
    const some = attachments.slice(at, at + attachedAtOnce);
    store.commit('attachments', some);
    const isUp = () =>
      some.every(([, { hostInterface }]) =>
        loop.reconciler.applied('linkStates', podInterfaceName(hostInterface)),
      );
    await loop.whenApplied(store.revision, AbortSignal.timeout(60_000), isUp);
  }
}

function tellRound({ snapshot, changes }: Round, received: Map<string, number>): void {
  const nowMs = clock.monotonic();
  for (const kind of told)
    for (const key of snapshot.changed[kind] ?? []) {
      const atMs = received.get(`${kind} ${key}`);
      if (atMs === undefined) continue;
      received.delete(`${kind} ${key}`);
      send({ kind: 'inForce', key: `${kind} ${key}`, ms: nowMs - atMs, changes, atMs: nowMs });
    }
}

function liveHeapMb(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed / 1e6;
}
