import { type Prefix, parsePrefix } from '../core/ip.ts';
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPort,
  ClusterRule,
  PodSelector,
  Protocol,
} from '../model/facts.ts';
import { isObject, type JsonObject, listOf, objectOf, textOf } from './json.ts';
import { selectorOf } from './project-selector.ts';
import {
  type Projected,
  type ProjectionContext,
  partsOf,
  portOf,
  withEffect,
} from './projection.ts';

/**
 * policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy to fact.
 *
 * A rule that cannot be read as a whole fails closed, as the API says of readers that are older
 * than the CRD: one that accepts is left out, and one that denies or passes denies everything. So
 * is one that nobody here can enforce, such as a rule about domain names.
 */
export function projectClusterPolicy(
  object: JsonObject,
  context: ProjectionContext,
): Projected<ClusterNetworkPolicy> {
  const { metadata, spec } = partsOf(object);
  const { priority } = spec;
  const keeping = withEffect(context, 'the policy stays as it was');
  const tier = tiers.find((one) => one === spec.tier);
  if (tier === undefined)
    keeping.report('spec.tier', `${JSON.stringify(spec.tier)} is neither Admin nor Baseline`);
  if (!isPriority(priority))
    keeping.report('spec.priority', `${JSON.stringify(priority)} is no number from 0 to 1000`);
  const subject = subjectOf(spec.subject, keeping);
  const ingress = rulesOf(spec.ingress, 'ingress', context);
  const egress = rulesOf(spec.egress, 'egress', context);
  if (tier === undefined || !isPriority(priority) || subject === undefined) return 'keep';
  if (ingress === undefined || egress === undefined) return 'keep';
  return { key: context.key, uid: textOf(metadata.uid), tier, priority, subject, ingress, egress };
}

const tiers = ['Admin', 'Baseline'] as const;
const actions = ['Accept', 'Deny', 'Pass'] as const;

function isPriority(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1000;
}

/** The pods that the policy is about; undefined when nobody can say. */
function subjectOf(value: unknown, context: ProjectionContext): PodSelector | undefined {
  const name = onlyField(value);
  if (name === 'namespaces' || name === 'pods')
    return podsOf(name, objectOf(value)[name], `spec.subject.${name}`, context);
  context.report('spec.subject', `${JSON.stringify(value)} names neither namespaces nor pods`);
  return undefined;
}

type Direction = 'ingress' | 'egress';

/** Undefined when an action cannot be read: nobody can say what the rules after it mean. */
function rulesOf(
  value: unknown,
  direction: Direction,
  context: ProjectionContext,
): readonly ClusterRule[] | undefined {
  const rules: ClusterRule[] = [];
  for (const [i, item] of listOf(value).entries()) {
    const rule = objectOf(item);
    const field = `spec.${direction}[${i}]`;
    const action = actions.find((one) => one === rule.action);
    if (action === undefined) {
      const text = `${JSON.stringify(rule.action)} is neither Accept, Deny nor Pass`;
      withEffect(context, 'the policy stays as it was').report(`${field}.action`, text);
      return undefined;
    }
    rules.push(...ruleOf(rule, action, { direction, field }, context));
  }
  return rules;
}

function ruleOf(
  rule: JsonObject,
  action: ClusterRule['action'],
  at: { readonly direction: Direction; readonly field: string },
  context: ProjectionContext,
): readonly ClusterRule[] {
  const effect = action === 'Accept' ? 'the rule accepts nothing' : 'the rule denies everything';
  let isWhole = true;
  const telling = withEffect(context, effect);
  const reading: ProjectionContext = {
    ...context,
    report(field, reason) {
      isWhole = false;
      telling.report(field, reason);
    },
  };
  const name = textOf(rule.name);
  const peers = peersOf(rule, at, reading);
  const ports = portsOf(rule.protocols, `${at.field}.protocols`, reading);
  if (ports.some((port) => port.protocol === undefined) && !peers.every((peer) => peer.pods))
    reading.report(`${at.field}.protocols`, 'names of ports are known of pods alone');
  if (isWhole) return [{ name, action, peers, ports }];
  return action === 'Accept' ? [] : [{ name, action: 'Deny', peers: [], ports: [] }];
}

/** Never empty without a report: nobody in a list would be everybody in a fact. */
function peersOf(
  rule: JsonObject,
  at: { readonly direction: Direction; readonly field: string },
  context: ProjectionContext,
): readonly ClusterPeer[] {
  const side = at.direction === 'ingress' ? 'from' : 'to';
  const values = listOf(rule[side]);
  if (values.length === 0) context.report(`${at.field}.${side}`, 'names nobody');
  return values.flatMap((value, i) => {
    const field = `${at.field}.${side}[${i}]`;
    const peer = peerOf(value, at.direction, field, context);
    return peer === undefined ? [] : [peer];
  });
}

/** Undefined, and reported, when it cannot be read. */
function peerOf(
  value: unknown,
  direction: Direction,
  field: string,
  context: ProjectionContext,
): ClusterPeer | undefined {
  const peer = objectOf(value);
  const name = onlyField(value);
  if (name === 'namespaces' || name === 'pods') {
    const pods = podsOf(name, peer[name], `${field}.${name}`, context);
    return pods && { pods };
  }
  if (name === 'networks' && direction === 'egress') {
    const networks = networksOf(listOf(peer.networks), `${field}.networks`, context);
    return networks && { networks };
  }
  if (name === 'nodes' && direction === 'egress' && isObject(peer.nodes)) {
    const nodes = selectorOf(peer.nodes, `${field}.nodes`, context);
    return nodes && { nodes };
  }
  if (name === undefined)
    context.report(field, `${JSON.stringify(value)} names not one kind of peer`);
  else context.report(`${field}.${name}`, 'is no peer that is known here');
  return undefined;
}

function podsOf(
  name: 'namespaces' | 'pods',
  value: unknown,
  field: string,
  context: ProjectionContext,
): PodSelector | undefined {
  const everything = { matchLabels: {}, matchExpressions: [] };
  if (isObject(value) && name === 'namespaces') {
    const namespace = selectorOf(value, field, context);
    return namespace && { namespace, pods: everything };
  }
  if (isObject(value) && isObject(value.podSelector)) {
    const namespace = selectorOf(value.namespaceSelector, `${field}.namespaceSelector`, context);
    const pods = selectorOf(value.podSelector, `${field}.podSelector`, context);
    return namespace && pods && { namespace, pods };
  }
  context.report(field, `${JSON.stringify(value)} selects nothing that can be read`);
  return undefined;
}

function networksOf(
  values: readonly unknown[],
  field: string,
  context: ProjectionContext,
): readonly Prefix[] | undefined {
  const networks: Prefix[] = [];
  for (const [i, value] of values.entries()) {
    const network = parsePrefix(textOf(value));
    if (network !== undefined) networks.push(network);
    else context.report(`${field}[${i}]`, `${JSON.stringify(value)} is no prefix`);
  }
  if (values.length === 0) context.report(field, 'names no prefix');
  return networks;
}

/** Absent: every port and protocol. */
function portsOf(
  value: unknown,
  field: string,
  context: ProjectionContext,
): readonly ClusterPort[] {
  if (value !== undefined && value !== null && !Array.isArray(value))
    context.report(field, `${JSON.stringify(value)} is no list`);
  return listOf(value).flatMap((item, i): readonly ClusterPort[] => {
    const at = `${field}[${i}]`;
    const entry = objectOf(item);
    const name = onlyField(item);
    if (name === 'destinationNamedPort' && textOf(entry[name]) !== '')
      return [{ port: textOf(entry[name]) }];
    const protocol = protocols.get(name ?? '');
    const destination = name && destinationOf(objectOf(entry[name]).destinationPort);
    if (protocol !== undefined && destination) return [{ protocol, ...destination }];
    context.report(name === undefined ? at : `${at}.${name}`, `${JSON.stringify(item)} is no port`);
    return [];
  });
}

const protocols: ReadonlyMap<string, Protocol> = new Map([
  ['tcp', 'TCP'],
  ['udp', 'UDP'],
  ['sctp', 'SCTP'],
]);

/** `{ number }` or `{ range: { start, end } }`. */
function destinationOf(value: unknown): Pick<ClusterPort, 'port' | 'endPort'> | undefined {
  const { number, range } = objectOf(value);
  const name = onlyField(value);
  if (name === 'number') {
    const port = portOf(number);
    return port === undefined ? undefined : { port };
  }
  if (name !== 'range') return undefined;
  const port = portOf(objectOf(range).start);
  const endPort = portOf(objectOf(range).end);
  if (port === undefined || endPort === undefined || endPort < port) return undefined;
  return { port, endPort };
}

/** The name of the one field that is set; undefined when there is none, or more than one. */
function onlyField(value: unknown): string | undefined {
  const names = Object.entries(objectOf(value)).filter(
    ([, item]) => item !== undefined && item !== null,
  );
  return names.length === 1 ? names[0]?.[0] : undefined;
}
