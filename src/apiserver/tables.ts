import { compareText } from '../core/ip.ts';
import {
  asNumber,
  asObject,
  asObjects,
  asText,
  asTexts,
  type JsonObject,
  type KubeObject,
} from './objects.ts';
import type { Resource } from './resources.ts';

/** One column of `kubectl get`: its title and how to read it from an object. */
interface Column {
  readonly name: string;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  readonly cell: (object: KubeObject, nowMs: number) => string | number;
}

const nameColumn: Column = { name: 'Name', cell: (o) => o.metadata.name };
const ageColumn: Column = {
  name: 'Age',
  cell: (o, nowMs) => formatAge(nowMs - Date.parse(asText(o.metadata.creationTimestamp))),
};

const columns: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    { name: 'Ready', cell: formatReadyContainers },
    { name: 'Status', cell: formatPodStatus },
    { name: 'IP', wide: true, cell: (o) => asText(o.status?.podIP) || '<none>' },
    { name: 'Node', wide: true, cell: (o) => asText(o.spec?.nodeName) || '<none>' },
  ],
  Service: [
    { name: 'Type', cell: (o) => asText(o.spec?.type) },
    { name: 'Cluster-IP', cell: (o) => asTexts(o.spec?.clusterIPs).join(',') || '<none>' },
    { name: 'External-IP', cell: formatExternalIps },
    { name: 'Port(s)', cell: formatPorts },
    { name: 'Selector', wide: true, cell: (o) => formatLabels(asObject(o.spec?.selector)) },
  ],
  Node: [
    { name: 'Status', cell: formatNodeStatus },
    {
      name: 'Internal-IP',
      wide: true,
      cell: (o) =>
        asObjects(o.status?.addresses)
          .filter((address) => address.type === 'InternalIP')
          .map((address) => asText(address.address))
          .join(',') || '<none>',
    },
    { name: 'Pod-CIDRs', wide: true, cell: (o) => asTexts(o.spec?.podCIDRs).join(',') },
  ],
  Namespace: [{ name: 'Status', cell: (o) => asText(o.status?.phase) }],
  EndpointSlice: [
    { name: 'AddressType', cell: (o) => asText(o.addressType) },
    {
      name: 'Ports',
      cell: (o) =>
        asObjects(o.ports)
          .map((p) => p.port)
          .join(','),
    },
    {
      name: 'Endpoints',
      cell: (o) =>
        asObjects(o.endpoints)
          .flatMap((e) => asTexts(e.addresses))
          .join(','),
    },
  ],
  NetworkPolicy: [
    {
      name: 'Pod-Selector',
      cell: (o) => formatLabels(asObject(asObject(o.spec?.podSelector).matchLabels)),
    },
  ],
  ClusterNetworkPolicy: [
    { name: 'Tier', cell: (o) => asText(o.spec?.tier) },
    { name: 'Priority', cell: (o) => asNumber(o.spec?.priority) },
  ],
  Deployment: [
    {
      name: 'Ready',
      cell: (o) => `${asNumber(o.status?.readyReplicas)}/${asNumber(o.spec?.replicas)}`,
    },
  ],
};

/** Objects as a meta.k8s.io Table, which is what `kubectl get` asks for. */
export function formatTable(
  resource: Resource,
  objects: readonly KubeObject[],
  metadata: JsonObject,
  nowMs: number,
): JsonObject {
  const all = [nameColumn, ...(columns[resource.kind] ?? []), ageColumn];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: all.map((column) => ({
      name: column.name,
      type: 'string',
      format: column.name === 'Name' ? 'name' : '',
      description: '',
      priority: column.wide === true ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: all.map((column) => column.cell(object, nowMs)),
      object: {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: object.metadata,
      },
    })),
  };
}

function formatReadyContainers(pod: KubeObject): string {
  const statuses = asObjects(pod.status?.containerStatuses);
  const ready = statuses.filter((status) => status.ready === true).length;
  return `${ready}/${asObjects(pod.spec?.containers).length}`;
}

function formatPodStatus(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return asText(pod.status?.phase) || 'Unknown';
}

function formatNodeStatus(node: KubeObject): string {
  const ready = asObjects(node.status?.conditions).find((c) => c.type === 'Ready');
  const text = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${text},SchedulingDisabled` : text;
}

function formatExternalIps(service: KubeObject): string {
  const ingress = asObjects(asObject(service.status?.loadBalancer).ingress);
  const ips = [...asTexts(service.spec?.externalIPs), ...ingress.map((i) => asText(i.ip))];
  return ips.join(',') || '<none>';
}

function formatPorts(service: KubeObject): string {
  const ports = asObjects(service.spec?.ports).map((port) => {
    const node = asNumber(port.nodePort) === 0 ? '' : `:${asNumber(port.nodePort)}`;
    return `${asNumber(port.port)}${node}/${asText(port.protocol)}`;
  });
  return ports.join(',') || '<none>';
}

function formatLabels(labels: JsonObject): string {
  const texts = Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`);
  return texts.toSorted(compareText).join(',') || '<none>';
}

/** As kubectl prints ages: the one or two largest units. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (Number.isNaN(seconds)) return '<unknown>';
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
