import { familyOf, type Prefix, prefixAddress, prefixContains, prefixLength } from '../core/ip.ts';
import type { LabelSelector, Labels, Pod, PodSelector, Protocol } from '../model/facts.ts';

/**
 * What surely lies inside what, by the texts of selectors, prefixes and ports alone: it holds for
 * every pod that may ever come. False means "not surely". Only labels of namespaces are looked up.
 */
export interface Traffic {
  /** Whom a rule names; `all`: everybody. */
  readonly peers: readonly Reach[] | 'all';
  /** `all`: every port of every protocol. */
  readonly ports: readonly PortSpan[] | 'all';
}

/** One peer. */
export type Reach =
  | { readonly kind: 'pods'; readonly pods: PodSelector }
  | { readonly kind: 'block'; readonly cidr: Prefix; readonly except: readonly Prefix[] }
  | { readonly kind: 'nodes'; readonly nodes: LabelSelector };

export interface PortSpan {
  /** Undefined: that of the container's port of this name. */
  readonly protocol: Protocol | undefined;
  /** A container port's name, or first and last number. */
  readonly port: string | readonly [number, number];
}

/** Labels of a namespace by its name. */
export type LabelsOf = (namespace: string) => Labels;

interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

export function trafficContains(outer: Traffic, inner: Traffic, labelsOf: LabelsOf): boolean {
  const { peers, ports } = outer;
  const peersIn =
    peers === 'all' ||
    (inner.peers !== 'all' &&
      inner.peers.every((one) => peers.some((other) => reachContains(other, one, labelsOf))));
  const portsIn =
    ports === 'all' ||
    (inner.ports !== 'all' &&
      inner.ports.every((one) => ports.some((other) => portContains(other, one))));
  return peersIn && portsIn;
}

export function reachContains(outer: Reach, inner: Reach, labelsOf: LabelsOf): boolean {
  if (outer.kind === 'pods')
    return inner.kind === 'pods' && podsContain(outer.pods, inner.pods, labelsOf);
  if (outer.kind === 'nodes')
    return inner.kind === 'nodes' && selectorContains(outer.nodes, inner.nodes);
  return inner.kind === 'block' && blockContains(outer, inner);
}

export function podsContain(outer: PodSelector, inner: PodSelector, labelsOf: LabelsOf): boolean {
  return (
    spaceContains(outer.namespace, inner.namespace, labelsOf) &&
    selectorContains(outer.pods, inner.pods)
  );
}

/** True when the pod is one of them. */
export function podsSelect(
  { namespace, pods }: PodSelector,
  pod: Pick<Pod, 'namespace' | 'labels'>,
  labelsOf: LabelsOf,
): boolean {
  return spaceContains(namespace, pod.namespace, labelsOf) && selects(pods, pod.labels);
}

/** True when no pod can be in both. */
export function podsExclude(a: PodSelector, b: PodSelector, labelsOf: LabelsOf): boolean {
  return spacesExclude(a.namespace, b.namespace, labelsOf) || selectorsExclude(a.pods, b.pods);
}

/** True when the selector selects these labels (NP-01). */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return requirementsOf(selector).every((one) => holds(one, labels[one.key]));
}

function holds({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function selectorContains(outer: LabelSelector, inner: LabelSelector): boolean {
  const given = requirementsOf(inner);
  return requirementsOf(outer).every((wanted) => given.some((one) => implies(one, wanted)));
}

function selectorsExclude(a: LabelSelector, b: LabelSelector): boolean {
  return requirementsOf(a).some((one) =>
    requirementsOf(b).some((other) => contradicts(one, other) || contradicts(other, one)),
  );
}

function requirementsOf(selector: LabelSelector): readonly Requirement[] {
  const known = requirements.get(selector);
  if (known !== undefined) return known;
  const labels = Object.entries(selector.matchLabels).map(
    ([key, value]) => ({ key, operator: 'In', values: [value] }) as const,
  );
  const found = [...labels, ...selector.matchExpressions];
  requirements.set(selector, found);
  return found;
}

/** Facts never change, and every pod is asked about a selector. */
const requirements = new WeakMap<LabelSelector, readonly Requirement[]>();

function implies(one: Requirement, wanted: Requirement): boolean {
  if (one.key !== wanted.key) return false;
  switch (wanted.operator) {
    case 'In':
      return one.operator === 'In' && one.values.every((value) => wanted.values.includes(value));
    case 'Exists':
      return one.operator === 'Exists' || one.operator === 'In';
    case 'DoesNotExist':
      return one.operator === 'DoesNotExist';
    case 'NotIn':
      return (
        one.operator === 'DoesNotExist' ||
        (one.operator === 'NotIn' && wanted.values.every((value) => one.values.includes(value))) ||
        (one.operator === 'In' && !one.values.some((value) => wanted.values.includes(value)))
      );
  }
}

function contradicts(one: Requirement, other: Requirement): boolean {
  if (one.key !== other.key) return false;
  if (other.operator === 'DoesNotExist') return one.operator === 'In' || one.operator === 'Exists';
  if (one.operator !== 'In') return false;
  if (other.operator === 'In') return !one.values.some((value) => other.values.includes(value));
  return other.operator === 'NotIn' && one.values.every((value) => other.values.includes(value));
}

type Spaces = PodSelector['namespace'];

function spaceContains(outer: Spaces, inner: Spaces, labelsOf: LabelsOf): boolean {
  if (typeof outer === 'string') return outer === nameOf(inner);
  return typeof inner === 'string'
    ? selects(outer, labelsOf(inner))
    : selectorContains(outer, inner);
}

function spacesExclude(a: Spaces, b: Spaces, labelsOf: LabelsOf): boolean {
  if (typeof a === 'string') return typeof b === 'string' ? a !== b : !selects(b, labelsOf(a));
  return typeof b === 'string' ? !selects(a, labelsOf(b)) : selectorsExclude(a, b);
}

/** NP-06: the label that every namespace has. */
export const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** The one namespace that is named; undefined when there may be more. */
function nameOf(spaces: Spaces): string | undefined {
  if (typeof spaces === 'string') return spaces;
  const named = requirementsOf(spaces).find(
    ({ key, operator, values }) =>
      key === namespaceNameLabel && operator === 'In' && values.length === 1,
  );
  return named?.values[0];
}

/** True when `inner` has no address outside `outer`. */
export function prefixInside(inner: Prefix, outer: Prefix): boolean {
  return (
    familyOf(inner) === familyOf(outer) &&
    prefixLength(outer) <= prefixLength(inner) &&
    prefixContains(outer, prefixAddress(inner))
  );
}

/** True when the prefixes share an address. */
export function prefixesMeet(a: Prefix, b: Prefix): boolean {
  return prefixInside(a, b) || prefixInside(b, a);
}

type Block = Extract<Reach, { kind: 'block' }>;

function blockContains(outer: Block, inner: Block): boolean {
  return (
    prefixInside(inner.cidr, outer.cidr) &&
    outer.except.every(
      (hole) =>
        !prefixesMeet(hole, inner.cidr) || inner.except.some((one) => prefixInside(hole, one)),
    )
  );
}

function portContains(outer: PortSpan, inner: PortSpan): boolean {
  if (outer.protocol !== undefined && outer.protocol !== inner.protocol) return false;
  if (typeof outer.port === 'string') return outer.port === inner.port;
  if (outer.port[0] === 0 && outer.port[1] === 65_535) return true;
  if (typeof inner.port === 'string') return false;
  return outer.port[0] <= inner.port[0] && inner.port[1] <= outer.port[1];
}
