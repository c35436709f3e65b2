import { type Prefix, prefixLength } from '../core/ip.ts';
import type { LabelSelector, PodSelector } from '../model/facts.ts';
import { everyPod } from '../model/selections.ts';
import { namespaceNameLabel, prefixesMeet, prefixInside, type Reach } from './contains.ts';
import {
  type LintPolicy,
  type LintRule,
  podsWords,
  type Report,
  selectorWords,
  type World,
} from './lint-world.ts';

/** Mistakes in whom policies and their rules select. */
export function lintPeers(world: World, policy: LintPolicy, report: Report): void {
  lintSubject(world, policy, report);
  for (const rule of policy.rules) {
    const told = lintItems(world, policy, rule, report);
    for (const { field, reach } of rule.peers) {
      if (reach.kind === 'pods') {
        if (!told.has(field)) lintPodPeer(world, policy, { field, reach }, report);
      } else if (reach.kind === 'block') lintBlock(world, policy, rule, { field, reach }, report);
    }
  }
}

type PodReach = Extract<Reach, { kind: 'pods' }>;
type BlockReach = Extract<Reach, { kind: 'block' }>;

function lintSubject(world: World, { subject, subjectField }: LintPolicy, report: Report): void {
  if (typeof subject.namespace !== 'string')
    if (lintNamespaces(world, namespacesField(subjectField, subject), subject.namespace, report))
      return;
  if (world.podsOf(subject).length > 0) return;
  // A policy for all pods of a namespace may come before the first of them.
  if (selectorWords(subject.pods) === 'everything') return;
  report('warning', 'selects-nothing', {
    field: subjectField,
    written: `the policy is for ${podsWords(subject)}: there is none`,
    meant: 'labels that pods have',
  });
}

/**
 * NP-05: `- namespaceSelector` and `- podSelector` are two peers, one with both is another thing.
 * The fields of peers that it told about.
 */
function lintItems(
  world: World,
  policy: LintPolicy,
  rule: LintRule,
  report: Report,
): ReadonlySet<string> {
  const told = new Set<string>();
  if (policy.source.kind !== 'namespaced') return told;
  const { namespace: own, [rule.direction]: facts } = policy.source.policy;
  const peers = facts[Number(/\d+/.exec(rule.field)?.[0])]?.peers ?? [];
  for (const [i, peer] of peers.entries()) {
    const field = rule.peers[i]?.field ?? rule.field;
    if (peer.podSelector !== undefined && peer.namespaceSelector !== undefined) {
      const [pods, namespace] = [peer.podSelector, peer.namespaceSelector];
      if (lintOneItem(world, own, { field, pods, namespace }, report)) told.add(field);
    }
    const next = peers[i + 1];
    if (next === undefined) continue;
    const both = [peer, next];
    const spaces = both.find((one) => one.namespaceSelector && !one.podSelector);
    const pods = both.find((one) => one.podSelector && !one.namespaceSelector);
    if (spaces?.namespaceSelector === undefined || pods?.podSelector === undefined) continue;
    const found = { field, pods: pods.podSelector, namespace: spaces.namespaceSelector };
    if (!lintTwoItems(world, own, found, report)) continue;
    for (const one of [field, rule.peers[i + 1]?.field]) if (one !== undefined) told.add(one);
  }
  return told;
}

interface Item {
  readonly field: string;
  readonly pods: LabelSelector;
  readonly namespace: LabelSelector;
}

function lintTwoItems(
  world: World,
  own: string,
  { field, pods, namespace }: Item,
  report: Report,
): boolean {
  const here = { namespace: own, pods };
  const there = { namespace, pods };
  const together = world.podsOf(there).length;
  if (together === 0 || selectorWords(pods) === 'everything') return false;
  const none = world.podsOf(here).length === 0;
  const inside = world.namespacesOf(namespace).some(({ key }) => key === own);
  if (!none && !inside) return false;
  const why = none ? 'of which there is none' : 'which the first has already';
  report('error', 'items-not-one', {
    field,
    written: `two items, each a peer of its own: ${podsWords({ namespace, pods: everyPod.pods })}, and ${podsWords(here)}, ${why}`,
    meant: `one item with both selectors (no dash before the second): ${podsWords(there)} (${together} now)`,
  });
  return true;
}

function lintOneItem(
  world: World,
  own: string,
  { field, pods, namespace }: Item,
  report: Report,
): boolean {
  if (world.podsOf({ namespace, pods }).length > 0) return false;
  const here = world.podsOf({ namespace: own, pods }).length;
  const there = world.podsOf({ namespace, pods: everyPod.pods }).length;
  if (here === 0 || there === 0) return false;
  report('warning', 'one-not-items', {
    field,
    written: `one item with both selectors: ${podsWords({ namespace, pods })}, of which there is none`,
    meant: `two items (a dash before each): ${podsWords({ namespace, pods: everyPod.pods })} (${there} now), and ${podsWords({ namespace: own, pods })} (${here} now)`,
  });
  return true;
}

function lintPodPeer(
  world: World,
  { source }: LintPolicy,
  { field, reach }: { readonly field: string; readonly reach: PodReach },
  report: Report,
): void {
  const { namespace } = reach.pods;
  const inside = source.kind === 'cluster' ? `${field}.pods` : field;
  if (typeof namespace !== 'string')
    if (
      lintNamespaces(
        world,
        source.kind === 'cluster'
          ? namespacesField(field, reach.pods)
          : `${field}.namespaceSelector`,
        namespace,
        report,
      )
    )
      return;
  if (world.podsOf(reach.pods).length > 0) return;
  if (selectorWords(reach.pods.pods) === 'everything') return;
  report('warning', 'selects-nothing', {
    field: `${inside}.podSelector`,
    written: `${podsWords(reach.pods)}: there is none`,
    meant: elsewhere(world, reach),
  });
}

/** ClusterNetworkPolicy names namespaces alone, or pods by both selectors. */
function namespacesField(field: string, { pods }: PodSelector): string {
  const alone = selectorWords(pods) === 'everything';
  return alone ? `${field}.namespaces` : `${field}.pods.namespaceSelector`;
}

/** Where the pods are that a peer looks for in the wrong place. */
function elsewhere(world: World, { pods: { pods } }: PodReach): string {
  const found = world.podsOf({ namespace: everyPod.namespace, pods });
  const names = [...new Set(found.map((one) => one.namespace))].sort();
  if (names.length === 0) return 'labels that pods have';
  const shown = names.slice(0, namesShown).join(', ');
  return `a namespaceSelector: there are such pods in ${shown}${names.length > namesShown ? ' and others' : ''}`;
}

const namesShown = 3;

/** True when no namespace has what the selector wants, and that was said. */
function lintNamespaces(
  world: World,
  field: string,
  selector: LabelSelector,
  report: Report,
): boolean {
  if (world.namespacesOf(selector).length > 0) return false;
  // `name: shop`: the label is the API server's own since Kubernetes 1.21 under another key.
  const named = Object.entries(selector.matchLabels).find(
    ([key, value]) => key !== namespaceNameLabel && world.facts.namespaces.has(value),
  );
  const written = `namespaces with ${selectorWords(selector)}: there is none`;
  if (named === undefined)
    report('warning', 'selects-nothing', { field, written, meant: 'labels that namespaces have' });
  else
    report('error', 'namespace-label', {
      field,
      written,
      meant: `${namespaceNameLabel}: ${named[1]}, the label that namespace ${named[1]} has`,
    });
  return true;
}

function lintBlock(
  world: World,
  { source }: LintPolicy,
  { direction }: LintRule,
  { field, reach }: { readonly field: string; readonly reach: BlockReach },
  report: Report,
): void {
  const at = source.kind === 'cluster' ? field : `${field}.ipBlock`;
  for (const [i, hole] of reach.except.entries())
    lintHole(reach, hole, `${at}.except[${i}]`, report);
  const open = (prefix: Prefix) =>
    prefixesMeet(prefix, reach.cidr) && !reach.except.some((hole) => prefixInside(prefix, hole));
  const services = servicePrefixes(world).filter(open);
  const pods = podPrefixes(world).filter(open);
  const inService = services.find((prefix) => prefixInside(reach.cidr, prefix));
  if (inService !== undefined || (services.length > 0 && pods.length === 0 && !isAll(reach))) {
    report(inService === undefined ? 'warning' : 'error', 'service-address', {
      field: at,
      written: `${reach.cidr} has addresses of Services (${inService ?? services[0]}): they are translated before policies look, so they never match`,
      meant: `${direction === 'egress' ? 'a selector of the pods behind the Service' : 'a selector of the pods that call'}, and their port`,
    });
    return;
  }
  const [first] = pods;
  if (first === undefined) return;
  if (prefixInside(reach.cidr, first)) {
    report('warning', 'pod-address', {
      field: at,
      written: `${reach.cidr} is inside ${first}, which pods get their addresses from: whoever gets them next matches`,
      meant: 'a podSelector or namespaceSelector',
    });
    return;
  }
  report('info', 'pod-address', {
    field: at,
    written: `${reach.cidr} has the addresses of all pods of ${pods.join(', ')} in it`,
    meant:
      source.kind === 'cluster'
        ? 'prefixes without them, if only the world outside is meant'
        : `except: [${pods.join(', ')}], if only the world outside is meant`,
  });
}

function isAll({ cidr }: BlockReach): boolean {
  return prefixLength(cidr) === 0;
}

function lintHole({ cidr }: BlockReach, hole: Prefix, field: string, report: Report): void {
  if (prefixInside(hole, cidr) && hole !== cidr) return;
  report('error', 'except', {
    field,
    written: prefixInside(cidr, hole)
      ? `${hole} leaves nothing of ${cidr}`
      : `${hole} is not inside ${cidr}, so it excepts nothing`,
    meant: `a prefix inside ${cidr}`,
  });
}

function servicePrefixes({ facts }: World): readonly Prefix[] {
  return facts.config.get('config')?.services.cidrs ?? [];
}

function podPrefixes({ facts }: World): readonly Prefix[] {
  const cluster = facts.config.get('config')?.pods.clusterCidrs ?? [];
  const nodes = [...facts.nodes.values()].flatMap((node) => node.podCidrs);
  const others = nodes.filter((one) => !cluster.some((wide) => prefixInside(one, wide)));
  return [...cluster, ...others.sort()];
}
