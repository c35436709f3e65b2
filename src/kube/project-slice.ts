import { familyOf, type Ip, parseIp } from '../core/ip.ts';
import type { Endpoint, EndpointSlice } from '../model/facts.ts';
import { type JsonObject, listOf, objectOf, textOf } from './json.ts';
import {
  type Projected,
  type ProjectionContext,
  partsOf,
  portOf,
  protocolOf,
  timeOf,
  unusableReason,
} from './projection.ts';

/** The API's limit for one slice (discovery/v1 validation, maxEndpoints). */
const endpointsLimit = 1000;

const serviceLabel = 'kubernetes.io/service-name';
const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';
const noHints: readonly string[] = [];

/** discovery.k8s.io/v1 EndpointSlice to fact. */
export function projectSlice(
  object: JsonObject,
  context: ProjectionContext,
): Projected<EndpointSlice> {
  const { metadata } = partsOf(object);
  const { interner } = context;
  const service = textOf(objectOf(metadata.labels)[serviceLabel]);
  if (service === '' || object.addressType === 'FQDN') return undefined; // KP-08
  if (object.addressType !== 'IPv4' && object.addressType !== 'IPv6') {
    const text = `${JSON.stringify(object.addressType)} is unknown; the slice stays as it was`;
    context.report('addressType', text);
    return 'keep';
  }
  const values = listOf(object.endpoints);
  if (values.length > endpointsLimit) {
    const text = `${values.length} endpoints, over ${endpointsLimit}; the slice stays as it was`;
    context.report('endpoints', text);
    return 'keep';
  }
  const family = object.addressType === 'IPv4' ? 4 : 6;
  const annotations = objectOf(metadata.annotations);
  return {
    key: context.key,
    service: interner.text(`${textOf(metadata.namespace)}/${service}`),
    labels: interner.labels(metadata.labels),
    family,
    endpoints: endpointsOf(values, family, context),
    ports: portsOf(listOf(object.ports), context),
    triggerMs: timeOf(annotations[triggerAnnotation]),
  };
}

function endpointsOf(
  values: readonly unknown[],
  family: 4 | 6,
  context: ProjectionContext,
): readonly Endpoint[] {
  const { interner } = context;
  const endpoints: Endpoint[] = [];
  for (const [i, value] of values.entries()) {
    const entry = objectOf(value);
    // Addresses of one endpoint are interchangeable; as kube-proxy, only the first is used.
    const ip = addressOf(listOf(entry.addresses)[0], `endpoints[${i}]`, family, context);
    if (ip === undefined) continue;
    const conditions = objectOf(entry.conditions);
    const ready = conditions.ready !== false; // KP-12: nil counts as true
    const hints = objectOf(entry.hints);
    endpoints.push({
      ip,
      ready,
      serving: typeof conditions.serving === 'boolean' ? conditions.serving : ready,
      terminating: conditions.terminating === true,
      node: interner.text(textOf(entry.nodeName)),
      zone: interner.text(textOf(entry.zone)),
      zoneHints: namesOf(listOf(hints.forZones), context),
      nodeHints: namesOf(listOf(hints.forNodes), context),
    });
  }
  return endpoints;
}

function addressOf(
  value: unknown,
  field: string,
  family: 4 | 6,
  context: ProjectionContext,
): Ip | undefined {
  const address = parseIp(textOf(value));
  const reason =
    address === undefined
      ? 'is not an IP address'
      : familyOf(address) !== family
        ? `is not an IPv${family} address` // KP-08
        : describe(unusableReason(address));
  if (reason === undefined) return address;
  context.report(`${field}.addresses[0]`, `${JSON.stringify(value ?? null)} ${reason}; ignored`);
  return undefined;
}

function describe(reason: string | undefined): string | undefined {
  return reason === undefined ? undefined : `is ${reason}`; // KP-09
}

function namesOf(values: readonly unknown[], context: ProjectionContext): readonly string[] {
  if (values.length === 0) return noHints;
  return values.map((value) => context.interner.text(textOf(objectOf(value).name)));
}

/** KP-06: a port without a number ("all ports") or a name is no port of a Service. */
function portsOf(values: readonly unknown[], context: ProjectionContext): EndpointSlice['ports'] {
  return values.flatMap((value, i) => {
    const entry = objectOf(value);
    const port = portOf(entry.port);
    const protocol = protocolOf(entry.protocol);
    const missing =
      port === undefined
        ? 'port'
        : typeof entry.name !== 'string'
          ? 'name'
          : protocol === undefined
            ? 'protocol'
            : undefined;
    if (missing !== undefined) {
      const text = `${JSON.stringify(entry[missing] ?? null)} cannot be matched; port ignored`;
      context.report(`ports[${i}].${missing}`, text);
    }
    if (port === undefined || protocol === undefined || typeof entry.name !== 'string') return [];
    return [{ name: context.interner.text(entry.name), protocol, port }];
  });
}
