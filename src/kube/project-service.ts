import type { Ip } from '../core/ip.ts';
import type { Service, ServicePort } from '../model/facts.ts';
import { type JsonObject, listOf, objectOf, textOf } from './json.ts';
import {
  addressesOf,
  isBulkyAnnotation,
  isCidr,
  type Projected,
  type ProjectionContext,
  partsOf,
  portOf,
  protocolOf,
  timeOf,
  unusableReason,
} from './projection.ts';

/** Kubernetes' default of ClientIP affinity: three hours. */
const affinityDefaultSeconds = 10_800;

/** The API allows a day at most (core/v1 ClientIPConfig). */
const affinityLimitSeconds = 86_400;

const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;

/** core/v1 Service to fact. */
export function projectService(object: JsonObject, context: ProjectionContext): Projected<Service> {
  const { metadata, spec, status } = partsOf(object);
  const { interner } = context;
  const type = types.find((name) => name === (spec.type ?? 'ClusterIP'));
  if (type === undefined) {
    const text = `${JSON.stringify(spec.type)} is no Service type; the Service stays as it was`;
    context.report('spec.type', text);
    return 'keep';
  }
  const clusterIps = listOf(spec.clusterIPs);
  const ips =
    clusterIps.length > 0 ? clusterIps : [spec.clusterIP].filter((ip) => textOf(ip) !== '');
  const headless = ips[0] === 'None';
  const frontless = headless || type === 'ExternalName'; // KP-03
  const ingress = frontless ? [] : ingressOf(objectOf(status.loadBalancer), context);
  const isBalancer = type === 'LoadBalancer' || ingress.length > 0;
  return {
    key: context.key,
    uid: textOf(metadata.uid),
    labels: interner.labels(metadata.labels),
    annotations: interner.labels(metadata.annotations, isBulkyAnnotation),
    type,
    clusterIps: frontless ? noIps : addressesOf(ips, 'spec.clusterIPs', context),
    headless,
    externalIps: frontless ? noIps : usableIps(listOf(spec.externalIPs), context),
    ingress,
    ports: portsOf(listOf(spec.ports), context),
    sourceRanges: sourceRangesOf(listOf(spec.loadBalancerSourceRanges), context),
    internalTrafficPolicy: spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    externalTrafficPolicy: spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    loadBalancerClass: textOf(spec.loadBalancerClass),
    requestedIp: textOf(spec.loadBalancerIP),
    healthCheckNodePort: portOf(spec.healthCheckNodePort) ?? 0,
    affinitySeconds: affinityOf(spec, context),
    createdMs: timeOf(metadata.creationTimestamp),
    resourceVersion: isBalancer ? textOf(metadata.resourceVersion) : '',
  };
}

const noIps: readonly Ip[] = [];

function usableIps(values: readonly unknown[], context: ProjectionContext): readonly Ip[] {
  return addressesOf(values, 'spec.externalIPs', context).filter((address) => {
    const reason = unusableReason(address);
    if (reason !== undefined)
      context.report('spec.externalIPs', `${address} is ${reason}; ignored`);
    return reason === undefined;
  });
}

function ingressOf(loadBalancer: JsonObject, context: ProjectionContext): Service['ingress'] {
  return listOf(loadBalancer.ingress).flatMap((value, i) => {
    const entry = objectOf(value);
    const text = textOf(entry.ip);
    if (text === '') return []; // a host name: DNS is not ours
    const field = `status.loadBalancer.ingress[${i}].ip`;
    const [ip] = addressesOf([text], field, context);
    if (ip === undefined) return [];
    return [{ ip, mode: entry.ipMode === 'Proxy' ? ('Proxy' as const) : ('VIP' as const) }];
  });
}

function portsOf(values: readonly unknown[], context: ProjectionContext): readonly ServicePort[] {
  return values.flatMap((value, i) => {
    const entry = objectOf(value);
    const protocol = protocolOf(entry.protocol);
    const port = portOf(entry.port);
    const nodePort = entry.nodePort === undefined ? 0 : (portOf(entry.nodePort) ?? 0);
    const at = `spec.ports[${i}]`;
    if (protocol === undefined) {
      context.report(
        `${at}.protocol`,
        `${JSON.stringify(entry.protocol)} is unknown; port ignored`,
      );
      return [];
    }
    if (port === undefined) {
      context.report(`${at}.port`, `${JSON.stringify(entry.port)} is no port; port ignored`);
      return [];
    }
    if (nodePort === 0 && entry.nodePort !== undefined && entry.nodePort !== 0) {
      const text = `${JSON.stringify(entry.nodePort)} is no port; there is no node port`;
      context.report(`${at}.nodePort`, text);
    }
    return [{ name: context.interner.text(textOf(entry.name)), protocol, port, nodePort }];
  });
}

/** Ranges stay as written, bad ones too: a range that lets nobody in is safer than none. */
function sourceRangesOf(values: readonly unknown[], context: ProjectionContext): readonly string[] {
  return values.map((value, i) => {
    // kube-proxy trims them, too: the API allows surrounding spaces.
    const text = textOf(value).trim();
    if (!isCidr(text)) {
      const field = `spec.loadBalancerSourceRanges[${i}]`;
      context.report(field, `${JSON.stringify(value)} is no prefix; it lets nobody in`);
    }
    return text;
  });
}

function affinityOf(spec: JsonObject, context: ProjectionContext): number {
  if (spec.sessionAffinity !== 'ClientIP') return 0;
  const given = objectOf(objectOf(spec.sessionAffinityConfig).clientIP).timeoutSeconds;
  if (given === undefined || given === null) return affinityDefaultSeconds;
  if (typeof given === 'number' && given > 0 && given <= affinityLimitSeconds) return given;
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
  context.report(
    field,
    `${JSON.stringify(given)} is out of range; ${affinityDefaultSeconds} applies`,
  );
  return affinityDefaultSeconds;
}
