import type { Clock } from '../core/clock.ts';
import { compareText, familyOf, parseIp } from '../core/ip.ts';
import type { Api } from './api.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTexts,
  type JsonObject,
  jsonEqual,
  type KubeObject,
  objectKey,
} from './objects.ts';
import { type Resource, resourceOfKind } from './resources.ts';
import { matchesLabels } from './selectors.ts';
import type { Change } from './storage.ts';

/**
 * Keeps the EndpointSlices of Services with a selector equal to what their Pods are.
 *
 * A change of a Service, Pod or Node marks the Services that it can affect; once per turn of the
 * event loop the marked ones are planned from scratch (pure) and compared with their slices. An
 * endpoint stays in the slice where it is, new ones fill gaps, so that a change of one Pod writes
 * one slice. Slices of other origin (no label `managed-by` of ours) are never touched.
 */
export interface EndpointSlices {
  /** Writes what is marked now, without waiting for the next turn. */
  flush(): void;
  close(): void;
}

/** Kubernetes' default of --max-endpoints-per-slice. */
const endpointsPerSlice = 100;
const managedBy = 'endpointslice-controller.k8s.io';
const serviceLabel = 'kubernetes.io/service-name';
const managerLabel = 'endpointslice.kubernetes.io/managed-by';
const zoneLabel = 'topology.kubernetes.io/zone';
const headlessLabel = 'service.kubernetes.io/headless';
const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

const services = known('v1', 'Service');
const pods = known('v1', 'Pod');
const nodes = known('v1', 'Node');
const slices = known('discovery.k8s.io/v1', 'EndpointSlice');

/** What the slices of one family and one set of ports must hold together. */
interface SliceGroup {
  readonly addressType: 'IPv4' | 'IPv6';
  readonly ports: readonly JsonObject[];
  /** By address. */
  readonly endpoints: ReadonlyMap<string, JsonObject>;
}

/** Starts at once; plans everything that already exists. */
export function createEndpointSlices(api: Api, clock: Clock): EndpointSlices {
  const { storage } = api;
  const index = createIndex();
  const marked = new Set<string>();
  let scheduled: NodeJS.Immediate | undefined;

  function mark(key: string): void {
    marked.add(key);
    scheduled ??= setImmediate(flush);
  }

  function flush(): void {
    clearImmediate(scheduled);
    scheduled = undefined;
    const keys = [...marked];
    marked.clear();
    for (const key of keys) writeSlices(key);
  }

  function writeSlices(key: string): void {
    const service = storage.get(services, key);
    const existing = [...(index.slicesOf.get(key) ?? [])]
      .flatMap((sliceKey) => storage.get(slices, sliceKey) ?? [])
      .filter((slice) => slice.metadata.labels?.[managerLabel] === managedBy)
      .toSorted((a, b) => compareText(a.metadata.name, b.metadata.name));
    const selector = asObject(service?.spec?.selector);
    if (service === undefined || Object.keys(selector).length === 0) {
      for (const slice of existing) api.remove(slices, objectKey(slice));
      return;
    }
    const selected = [...(index.podsOf.get(pairsOf(service, selector)[0] ?? '') ?? [])]
      .flatMap((podKey) => storage.get(pods, podKey) ?? [])
      .filter((pod) => matchesLabels(selector, pod.metadata.labels));
    const zoneOf = (node: string) => storage.get(nodes, node)?.metadata.labels?.[zoneLabel];
    const groups = planGroups(service, selected, zoneOf);
    for (const write of planWrites(service, groups, existing)) applyWrite(api, write, clock);
  }

  const subscriptions = [
    storage.subscribe(services, (change) => {
      index.observeService(change);
      mark(objectKey(change.object));
    }),
    storage.subscribe(pods, (change) => {
      index.observePod(change);
      for (const key of index.servicesOf(change)) mark(key);
    }),
    storage.subscribe(slices, (change) => index.observeSlice(change)),
    storage.subscribe(nodes, (change) => {
      if (isSameZone(change)) return;
      for (const service of storage.list(services)) mark(objectKey(service));
    }),
  ];

  for (const pod of storage.list(pods)) index.observePod({ object: pod });
  for (const slice of storage.list(slices)) index.observeSlice({ object: slice });
  for (const service of storage.list(services)) {
    index.observeService({ object: service });
    mark(objectKey(service));
  }

  return {
    flush,
    close() {
      clearImmediate(scheduled);
      for (const unsubscribe of subscriptions) unsubscribe();
    },
  };
}

/** Endpoints of a Service by family and by the ports as its Pods number them. */
export function planGroups(
  service: KubeObject,
  selected: readonly KubeObject[],
  zoneOf: (node: string) => string | undefined,
): readonly SliceGroup[] {
  const publishAll = service.spec?.publishNotReadyAddresses === true;
  const families = asTexts(service.spec?.ipFamilies);
  const groups = new Map<string, SliceGroup & { endpoints: Map<string, JsonObject> }>();
  for (const pod of selected.toSorted((a, b) => compareText(objectKey(a), objectKey(b)))) {
    if (isFinished(pod)) continue;
    const ports = portsOf(service, pod);
    for (const text of podIps(pod)) {
      const address = parseIp(text);
      if (address === undefined) continue;
      const addressType = `IPv${familyOf(address)}` as const;
      if (!families.includes(addressType)) continue;
      const id = `${addressType} ${JSON.stringify(ports)}`;
      const group = groups.get(id) ?? { addressType, ports, endpoints: new Map() };
      groups.set(id, group);
      group.endpoints.set(address, endpointOf(pod, address, publishAll, zoneOf));
    }
  }
  return [...groups.values()];
}

type Write =
  | { readonly kind: 'create'; readonly slice: JsonObject; readonly namespace: string }
  | { readonly kind: 'update'; readonly slice: KubeObject }
  | { readonly kind: 'remove'; readonly slice: KubeObject };

/** The fewest writes that make `existing` hold exactly the groups. */
function planWrites(
  service: KubeObject,
  groups: readonly SliceGroup[],
  existing: readonly KubeObject[],
): readonly Write[] {
  const writes: Write[] = [];
  const unused = new Set(existing);
  for (const group of groups) {
    const missing = new Map(group.endpoints);
    const filled: { slice: KubeObject; endpoints: JsonObject[] }[] = [];
    for (const slice of existing) {
      if (slice.addressType !== group.addressType) continue;
      if (!jsonEqual(slice.ports, group.ports)) continue;
      const endpoints: JsonObject[] = [];
      for (const old of asObjects(slice.endpoints)) {
        const address = asTexts(old.addresses)[0] ?? '';
        const wanted = missing.get(address);
        if (wanted === undefined) continue;
        missing.delete(address);
        endpoints.push(wanted);
      }
      filled.push({ slice, endpoints });
    }
    const rest = [...missing.values()];
    for (const { slice, endpoints } of filled) {
      endpoints.push(...rest.splice(0, endpointsPerSlice - endpoints.length));
      if (endpoints.length === 0) continue;
      unused.delete(slice);
      const next = { ...slice, ...sliceHead(service, slice), endpoints } as KubeObject;
      if (!jsonEqual(next, slice)) writes.push({ kind: 'update', slice: next });
    }
    while (rest.length > 0) {
      const endpoints = rest.splice(0, endpointsPerSlice);
      const { addressType, ports } = group;
      const slice = { ...sliceHead(service), addressType, ports, endpoints };
      writes.push({ kind: 'create', slice, namespace: service.metadata.namespace ?? '' });
    }
  }
  return [...writes, ...[...unused].map((slice): Write => ({ kind: 'remove', slice }))];
}

/** apiVersion, kind and metadata of a slice: new, or of an existing one whose labels must follow. */
function sliceHead(service: KubeObject, slice?: KubeObject) {
  const { name, uid } = service.metadata;
  const headless = service.spec?.clusterIP === 'None' ? { [headlessLabel]: '' } : {};
  const own = { [serviceLabel]: name, [managerLabel]: managedBy, ...headless };
  const labels = { ...service.metadata.labels, ...own };
  const owner = { apiVersion: 'v1', kind: 'Service', name, uid, controller: true };
  const ownerReferences = [{ ...owner, blockOwnerDeletion: true }];
  const metadata =
    slice === undefined
      ? { generateName: `${name}-`, labels, ownerReferences }
      : { ...slice.metadata, labels };
  return { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata };
}

function applyWrite(api: Api, write: Write, clock: Clock): void {
  if (write.kind === 'remove') {
    api.remove(slices, objectKey(write.slice));
    return;
  }
  // Milliseconds, finer than the real one's seconds: our latency metric is measured against it.
  const annotations = { [triggerAnnotation]: new Date(clock.now()).toISOString() };
  const { slice } = write;
  const metadata = { ...asObject(slice.metadata), annotations };
  if (write.kind === 'create') api.create(slices, { ...slice, metadata }, write.namespace);
  else api.update(slices, objectKey(write.slice), { ...slice, metadata });
}

function endpointOf(
  pod: KubeObject,
  address: string,
  publishAll: boolean,
  zoneOf: (node: string) => string | undefined,
): JsonObject {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod) || publishAll;
  const { name, namespace, uid } = pod.metadata;
  const nodeName = asText(pod.spec?.nodeName);
  const zone = zoneOf(nodeName);
  const { hostname, subdomain } = pod.spec ?? {};
  return {
    addresses: [address],
    conditions: { ready: publishAll || (serving && !terminating), serving, terminating },
    ...(typeof hostname === 'string' && subdomain !== undefined ? { hostname } : {}),
    ...(nodeName === '' ? {} : { nodeName }),
    targetRef: { kind: 'Pod', name, namespace, uid },
    ...(zone === undefined ? {} : { zone }),
  };
}

/** The Service's ports with the numbers that this Pod gives them; a name it lacks is left out. */
function portsOf(service: KubeObject, pod: KubeObject): readonly JsonObject[] {
  return asObjects(service.spec?.ports).flatMap((servicePort) => {
    const protocol = asText(servicePort.protocol) || 'TCP';
    const target = servicePort.targetPort;
    const port =
      typeof target === 'string'
        ? namedPort(pod, target, protocol)
        : asNumber(target) || asNumber(servicePort.port);
    if (port === undefined) return [];
    const { appProtocol } = servicePort;
    const name = asText(servicePort.name);
    return [{ name, protocol, port, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
}

function namedPort(pod: KubeObject, name: string, protocol: string): number | undefined {
  // Ports of restartable init containers ("sidecars") count, those of ordinary ones do not.
  const sidecars = asObjects(pod.spec?.initContainers).filter(
    (container) => container.restartPolicy === 'Always',
  );
  for (const container of [...asObjects(pod.spec?.containers), ...sidecars]) {
    for (const port of asObjects(container.ports)) {
      if (port.name === name && (asText(port.protocol) || 'TCP') === protocol) {
        return asNumber(port.containerPort);
      }
    }
  }
  return undefined;
}

function isFinished(pod: KubeObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function isReady(pod: KubeObject): boolean {
  const conditions = asObjects(pod.status?.conditions);
  return conditions.some((c) => c.type === 'Ready' && c.status === 'True');
}

function podIps(pod: KubeObject): readonly string[] {
  const all = asObjects(pod.status?.podIPs).map((entry) => asText(entry.ip));
  const single = asText(pod.status?.podIP);
  return all.length > 0 || single === '' ? all : [single];
}

function isSameZone(change: Change): boolean {
  const zone = (node: KubeObject | undefined) => node?.metadata.labels?.[zoneLabel];
  return change.type !== 'DELETED' && zone(change.object) === zone(change.previous);
}

/** A change, or an object that was there before the first change. */
type Observed = Pick<Change, 'object'> & Partial<Pick<Change, 'type' | 'previous'>>;

/**
 * Keys of Pods by each of their labels, of Services by the first pair of their selector, and of
 * slices by Service: so that a change of one Pod costs the same with 10 and 10,000 Services.
 */
function createIndex() {
  const podsOf = new Map<string, Set<string>>();
  const servicesBy = new Map<string, Set<string>>();
  const slicesOf = new Map<string, Set<string>>();

  function observe(
    sets: Map<string, Set<string>>,
    change: Observed,
    setsOf: (object: KubeObject) => readonly string[],
  ): void {
    const { object, previous, type } = change;
    const key = objectKey(object);
    for (const set of previous === undefined ? [] : setsOf(previous)) {
      setMember(sets, set, key, false);
    }
    for (const set of setsOf(object)) setMember(sets, set, key, type !== 'DELETED');
  }

  return {
    podsOf,
    slicesOf,
    observePod: (change: Observed) => observe(podsOf, change, labelPairs),
    observeSlice: (change: Observed) => observe(slicesOf, change, serviceOfSlice),
    observeService: (change: Observed) => observe(servicesBy, change, firstPair),
    /** Services whose first pair the Pod has or had; the rest of the selector is for the plan. */
    servicesOf({ object, previous }: Observed): ReadonlySet<string> {
      const pairs = [
        ...labelPairs(object),
        ...(previous === undefined ? [] : labelPairs(previous)),
      ];
      return new Set(pairs.flatMap((pair) => [...(servicesBy.get(pair) ?? [])]));
    },
  };
}

function labelPairs(pod: KubeObject): readonly string[] {
  return pairsOf(pod, pod.metadata.labels ?? {});
}

function firstPair(service: KubeObject): readonly string[] {
  return pairsOf(service, asObject(service.spec?.selector)).slice(0, 1);
}

function serviceOfSlice({ metadata }: KubeObject): readonly string[] {
  return [`${metadata.namespace ?? ''}/${metadata.labels?.[serviceLabel] ?? ''}`];
}

/** `namespace key=value` of each entry. */
function pairsOf(object: KubeObject, entries: JsonObject): readonly string[] {
  const { namespace = '' } = object.metadata;
  return Object.entries(entries).map(([key, value]) => `${namespace} ${key}=${String(value)}`);
}

function setMember(
  sets: Map<string, Set<string>>,
  set: string,
  member: string,
  present: boolean,
): void {
  const members = sets.get(set) ?? new Set();
  if (present) members.add(member);
  else members.delete(member);
  if (members.size === 0) sets.delete(set);
  else sets.set(set, members);
}

function known(apiVersion: string, kind: string): Resource {
  const resource = resourceOfKind(apiVersion, kind);
  if (resource === undefined) throw new TypeError(`unknown kind ${apiVersion} ${kind}`);
  return resource;
}
