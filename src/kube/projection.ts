import { type Ip, parseIp, parsePrefix } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import type { ObjectKey, Protocol } from '../model/facts.ts';
import type { Interner } from './intern.ts';
import { type Json, type JsonObject, listOf, objectOf, textOf } from './json.ts';

/**
 * From a Kubernetes object to the compact fact that planners read.
 *
 * Nothing that a user can write throws. A list entry that makes no sense is left out and the rest
 * applies; an object that makes no sense as a whole keeps its last good fact. Both are reported.
 */
export interface ProjectionContext {
  readonly interner: Interner;
  readonly key: ObjectKey;
  report(field: string, reason: string): void;
}

/**
 * A fact; `undefined` when the object is none of ours (as if it did not exist); `keep` when it is
 * too broken to read, so that the last good fact stays.
 */
export type Projected<Fact> = Fact | undefined | 'keep';

export type Projection<Fact> = (object: JsonObject, context: ProjectionContext) => Projected<Fact>;

/** `namespace/name`, or `name`; '' when the object has no name. */
export function keyOfObject(object: JsonObject): ObjectKey {
  const metadata = objectOf(object.metadata);
  const name = textOf(metadata.name);
  const namespace = textOf(metadata.namespace);
  return namespace === '' || name === '' ? name : `${namespace}/${name}`;
}

/** What `projectObject` found. */
export interface ProjectedObject<Fact> {
  readonly fact: Projected<Fact>;
  readonly problems: readonly Problem[];
}

/** Problems told of one object; a thousand bad endpoints need not a thousand lines. */
const problemsPerObject = 8;

/** Runs a projection and collects what it reports. */
export function projectObject<Fact>(
  kind: string,
  key: ObjectKey,
  object: JsonObject,
  interner: Interner,
  project: Projection<Fact>,
): ProjectedObject<Fact> {
  let problems: Problem[] | undefined;
  const context: ProjectionContext = {
    interner,
    key,
    report(field, reason) {
      problems ??= [];
      if (problems.length < problemsPerObject) {
        problems.push({ object: `${kind}/${key}`, field, reason });
      }
    },
  };
  const fact = project(object, context);
  return { fact, problems: problems ?? noProblems };
}

const noProblems: readonly Problem[] = [];

/** Says after each reason what it leads to. */
export function withEffect(context: ProjectionContext, effect: string): ProjectionContext {
  return {
    ...context,
    report: (field, reason) => context.report(field, `${reason}; ${effect}`),
  };
}

/** An annotation that holds a copy of the whole object. */
export function isBulkyAnnotation(key: string): boolean {
  return key === 'kubectl.kubernetes.io/last-applied-configuration';
}

/** A port number from 1 to 65535; undefined for everything else. */
export function portOf(value: Json): number | undefined {
  const isPort = typeof value === 'number' && Number.isInteger(value) && value >= 1;
  return isPort && value <= 65_535 ? value : undefined;
}

/** The protocol; absent counts as TCP (KP-06); undefined when it is another one. */
export function protocolOf(value: Json): Protocol | undefined {
  switch (value) {
    case undefined:
    case null:
    case 'TCP':
      return 'TCP';
    case 'UDP':
    case 'SCTP':
      return value;
    default:
      return undefined;
  }
}

/** Milliseconds since the epoch of an RFC 3339 time; 0 when absent or malformed. */
export function timeOf(value: Json): number {
  const ms = Date.parse(textOf(value));
  return Number.isNaN(ms) ? 0 : ms;
}

/** The addresses in a list of texts; what is no address is reported and left out. */
export function addressesOf(
  values: readonly Json[],
  field: string,
  context: ProjectionContext,
): readonly Ip[] {
  const addresses: Ip[] = [];
  for (const [i, value] of values.entries()) {
    const address = parseIp(textOf(value));
    if (address === undefined) {
      context.report(`${field}[${i}]`, `${JSON.stringify(value)} is not an IP address; ignored`);
    } else addresses.push(context.interner.text(address) as Ip);
  }
  return addresses;
}

/**
 * Why an address cannot receive traffic of a Service; undefined when it can (Kubernetes'
 * ValidateEndpointIP; KP-09). Looks at the canonical text: this runs for every endpoint.
 */
export function unusableReason(address: Ip): string | undefined {
  if (address.includes(':')) {
    if (address === '::') return 'the unspecified address';
    if (address === '::1') return 'a loopback address';
    if (/^fe[89ab][0-9a-f]:/.test(address)) return 'a link-local address';
    return /^ff[0-9a-f]{2}:/.test(address) ? 'a multicast address' : undefined;
  }
  if (address === '0.0.0.0') return 'the unspecified address';
  if (address.startsWith('127.')) return 'a loopback address';
  if (address.startsWith('169.254.')) return 'a link-local address';
  return /^2(2[4-9]|3\d)\./.test(address) ? 'a multicast address' : undefined;
}

/** True for `address/length`, host bits allowed. */
export function isCidr(text: string): boolean {
  return parsePrefix(text) !== undefined;
}

/** `metadata` and `spec` of an object, empty where absent. */
export function partsOf(object: JsonObject): {
  readonly metadata: JsonObject;
  readonly spec: JsonObject;
  readonly status: JsonObject;
} {
  return {
    metadata: objectOf(object.metadata),
    spec: objectOf(object.spec),
    status: objectOf(object.status),
  };
}

/** True when one of the conditions has this type and status True. */
export function hasCondition(status: JsonObject, type: string): boolean {
  return listOf(status.conditions).some((value) => {
    const condition = objectOf(value);
    return condition.type === type && condition.status === 'True';
  });
}
