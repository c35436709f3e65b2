import { type Prefix, parsePrefix } from '../core/ip.ts';
import type { ContainerPort, Namespace, Node, Pod } from '../model/facts.ts';
import { type JsonObject, listOf, objectOf, textOf } from './json.ts';
import {
  addressesOf,
  hasCondition,
  isBulkyAnnotation,
  type Projected,
  type ProjectionContext,
  partsOf,
  portOf,
  protocolOf,
} from './projection.ts';

const phases = ['Pending', 'Running', 'Succeeded', 'Failed'] as const;

/** core/v1 Pod to fact. */
export function projectPod(object: JsonObject, context: ProjectionContext): Projected<Pod> {
  const { metadata, spec, status } = partsOf(object);
  const { interner } = context;
  const podIps = listOf(status.podIPs).map((entry) => objectOf(entry).ip);
  const single = textOf(status.podIP);
  const ips = podIps.length > 0 || single === '' ? podIps : [single];
  return {
    key: context.key,
    uid: textOf(metadata.uid),
    namespace: interner.text(textOf(metadata.namespace)),
    labels: interner.labels(metadata.labels),
    annotations: interner.labels(metadata.annotations, isBulkyAnnotation),
    node: interner.text(textOf(spec.nodeName)),
    hostNetwork: spec.hostNetwork === true,
    ips: addressesOf(ips, 'status.podIPs', context),
    phase: phases.find((phase) => phase === status.phase) ?? 'Unknown',
    ready: hasCondition(status, 'Ready'),
    terminating: textOf(metadata.deletionTimestamp) !== '',
    ports: containerPortsOf(spec, context),
  };
}

/** Ports of the containers and of restartable init containers ("sidecars", NP-11). */
function containerPortsOf(spec: JsonObject, context: ProjectionContext): readonly ContainerPort[] {
  const sidecars = listOf(spec.initContainers).filter(
    (container) => objectOf(container).restartPolicy === 'Always',
  );
  const containers = [...listOf(spec.containers), ...sidecars];
  return containers.flatMap((container) =>
    listOf(objectOf(container).ports).flatMap((value) => {
      const entry = objectOf(value);
      const protocol = protocolOf(entry.protocol);
      const containerPort = portOf(entry.containerPort);
      if (protocol === undefined || containerPort === undefined) {
        context.report('spec.containers.ports', `${JSON.stringify(entry)} is no port; ignored`);
        return [];
      }
      const name = context.interner.text(textOf(entry.name));
      const hostPort = portOf(entry.hostPort) ?? 0;
      return [{ name, protocol, containerPort, hostPort, hostIp: textOf(entry.hostIP) }];
    }),
  );
}

/** core/v1 Node to fact. */
export function projectNode(object: JsonObject, context: ProjectionContext): Projected<Node> {
  const { metadata, spec, status } = partsOf(object);
  const { interner } = context;
  const internal = listOf(status.addresses)
    .map(objectOf)
    .filter((address) => address.type === 'InternalIP')
    .map((address) => address.address);
  const single = textOf(spec.podCIDR);
  const cidrs = listOf(spec.podCIDRs);
  return {
    key: context.key,
    labels: interner.labels(metadata.labels),
    annotations: interner.labels(metadata.annotations, isBulkyAnnotation),
    internalIps: addressesOf(internal, 'status.addresses', context),
    podCidrs: podCidrsOf(cidrs.length > 0 || single === '' ? cidrs : [single], context),
    unschedulable: spec.unschedulable === true,
    taints: listOf(spec.taints).map((taint) => interner.text(textOf(objectOf(taint).key))),
    terminating: textOf(metadata.deletionTimestamp) !== '',
    networkUnavailable: hasCondition(status, 'NetworkUnavailable'),
    shuttingDown: isShuttingDown(status),
  };
}

/** kubelet's words in condition Ready (pkg/kubelet/nodeshutdown, KEP-2000); there is no other sign. */
function isShuttingDown(status: JsonObject): boolean {
  return listOf(status.conditions)
    .map(objectOf)
    .some(
      ({ type, status: state, message }) =>
        type === 'Ready' && state === 'False' && textOf(message).includes('node is shutting down'),
    );
}

function podCidrsOf(values: readonly unknown[], context: ProjectionContext): readonly Prefix[] {
  return values.flatMap((value, i) => {
    const cidr = parsePrefix(textOf(value));
    if (cidr !== undefined) return [cidr];
    context.report(`spec.podCIDRs[${i}]`, `${JSON.stringify(value)} is no prefix; ignored`);
    return [];
  });
}

/** core/v1 Namespace to fact. */
export function projectNamespace(
  object: JsonObject,
  context: ProjectionContext,
): Projected<Namespace> {
  const { metadata } = partsOf(object);
  // NP-06: the label is always there, also on a server that does not set it.
  const labels = { ...objectOf(metadata.labels), 'kubernetes.io/metadata.name': context.key };
  return { key: context.key, labels: context.interner.labels(labels) };
}
