import type {
  LabelSelector,
  NetworkPolicy,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from '../model/facts.ts';
import { isObject, type JsonObject, listOf, objectOf, textOf } from './json.ts';
import { selectorOf } from './project-selector.ts';
import {
  isCidr,
  type Projected,
  type ProjectionContext,
  partsOf,
  portOf,
  protocolOf,
  withEffect,
} from './projection.ts';

/**
 * networking.k8s.io/v1 NetworkPolicy to fact.
 *
 * An empty list of peers or ports means *all* of them, so a part that cannot be read must never
 * leave an empty list behind: then the whole rule goes, which allows less and never more.
 */
export function projectPolicy(
  object: JsonObject,
  context: ProjectionContext,
): Projected<NetworkPolicy> {
  const { metadata, spec } = partsOf(object);
  const keeping = withEffect(context, 'the policy stays as it was');
  const podSelector = selectorOf(spec.podSelector, 'spec.podSelector', keeping);
  if (podSelector === undefined) return 'keep';
  const egress = listOf(spec.egress);
  const given = listOf(spec.policyTypes).filter((type) => type === 'Ingress' || type === 'Egress');
  // NP-02: the API server fills this in; an absent list is read as it would have been filled.
  const types = egress.length > 0 ? (['Ingress', 'Egress'] as const) : (['Ingress'] as const);
  return {
    key: context.key,
    uid: textOf(metadata.uid),
    namespace: context.interner.text(textOf(metadata.namespace)),
    podSelector,
    policyTypes: given.length > 0 ? given : types,
    ingress: rulesOf(listOf(spec.ingress), 'from', 'spec.ingress', context),
    egress: rulesOf(egress, 'to', 'spec.egress', context),
    mode: modeOf(metadata, context),
  };
}

const modeAnnotation = 'kube-vpp-router.io/policy-mode';

/** What is no mode is enforced: a slip of the pen must not let anybody in. */
function modeOf(metadata: JsonObject, context: ProjectionContext): NetworkPolicy['mode'] {
  const value = objectOf(metadata.annotations)[modeAnnotation];
  if (value === 'audit') return 'audit';
  if (value !== undefined && value !== 'enforce') {
    const text = `${JSON.stringify(value)} is neither enforce nor audit; the policy is enforced`;
    context.report(`metadata.annotations[${modeAnnotation}]`, text);
  }
  return 'enforce';
}

function rulesOf(
  values: readonly unknown[],
  peersField: 'from' | 'to',
  field: string,
  context: ProjectionContext,
): readonly PolicyRule[] {
  return values.flatMap((value, i) => {
    const rule = objectOf(value);
    const at = `${field}[${i}]`;
    const peerValues = listOf(rule[peersField]);
    const portValues = listOf(rule.ports);
    const peers = peerValues.flatMap((v, p) => peerOf(v, `${at}.${peersField}[${p}]`, context));
    const ports = portValues.flatMap((v, p) => policyPortOf(v, `${at}.ports[${p}]`, context));
    const isCut =
      (peers.length === 0 && peerValues.length > 0) ||
      (ports.length === 0 && portValues.length > 0);
    return isCut ? [] : [{ peers, ports }];
  });
}

function peerOf(value: unknown, field: string, context: ProjectionContext): readonly PolicyPeer[] {
  const peer = objectOf(value);
  if (isObject(peer.ipBlock)) {
    const cidr = textOf(peer.ipBlock.cidr);
    const except = listOf(peer.ipBlock.except).map(textOf);
    const bad = [cidr, ...except].find((text) => !isCidr(text));
    if (bad === undefined) return [{ ipBlock: { cidr, except } }];
    context.report(`${field}.ipBlock`, `${JSON.stringify(bad)} is no prefix; the peer is ignored`);
    return [];
  }
  const pods = optionalSelector(peer.podSelector, `${field}.podSelector`, context);
  const spaces = optionalSelector(peer.namespaceSelector, `${field}.namespaceSelector`, context);
  if (pods === undefined || spaces === undefined) return [];
  if (pods === 'absent' && spaces === 'absent') {
    context.report(field, 'names neither pods, namespaces nor addresses; the peer is ignored');
    return [];
  }
  return [
    {
      ...(pods === 'absent' ? {} : { podSelector: pods }),
      ...(spaces === 'absent' ? {} : { namespaceSelector: spaces }),
    },
  ];
}

function optionalSelector(
  value: unknown,
  field: string,
  context: ProjectionContext,
): LabelSelector | 'absent' | undefined {
  if (value === undefined || value === null) return 'absent';
  return selectorOf(value, field, withEffect(context, 'the peer is ignored'));
}

function policyPortOf(
  value: unknown,
  field: string,
  context: ProjectionContext,
): readonly PolicyPort[] {
  const entry = objectOf(value);
  const protocol = protocolOf(entry.protocol);
  const isNamed = typeof entry.port === 'string' && entry.port !== '';
  const port = isNamed ? textOf(entry.port) : portOf(entry.port);
  const endPort = portOf(entry.endPort);
  const isAny = entry.port === undefined || entry.port === null;
  const isRange = entry.endPort !== undefined && entry.endPort !== null;
  // NP-10: a range needs numbers, in order.
  const badRange = isRange && (endPort === undefined || typeof port !== 'number' || endPort < port);
  if (protocol === undefined || (port === undefined && !isAny) || badRange) {
    context.report(field, `${JSON.stringify(entry)} is no port; ignored`);
    return [];
  }
  return [
    {
      protocol,
      ...(port === undefined ? {} : { port }),
      ...(isRange && endPort !== undefined ? { endPort } : {}),
    },
  ];
}
