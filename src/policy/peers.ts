import { hostPrefix, type Ip, type Prefix, parsePrefix } from '../core/ip.ts';
import { compressPrefixes, intersectPrefixes, subtractPrefixes } from '../core/prefix-set.ts';
import type {
  ClusterPeer,
  ClusterRule,
  Pod,
  PodSelector,
  PolicyPeer,
  PolicyRule,
} from '../model/facts.ts';
import { selects } from '../model/labels.ts';
import { type Bucket, everyPod, type Member, selectionId } from '../model/selections.ts';
import type { Facts } from '../model/store.ts';
import {
  anyService,
  type Box,
  boxesOf,
  compressBoxes,
  compressServices,
  everyAddress,
  everything,
  mergeServices,
  namedServices,
  type Part,
  type PortName,
  type Service,
  servicesKey,
} from './boxes.ts';
import { createMemo } from './memo.ts';

export type Direction = 'Ingress' | 'Egress';

/**
 * What a rule of a policy says of packets: peers and ports to unions of boxes. The parts of a
 * rule follow the buckets of its selections (src/model/selections.ts), so that a pod that comes
 * or goes changes few of them, and the others stay the same objects.
 */
export interface RuleContext {
  readonly facts: Facts;
  readonly direction: Direction;
  /** The pod to which the policy applies: names of ports are its own for what it receives. */
  readonly pod: Pod;
}

/** Ports of a rule: those that are known, and those that each peer names for itself. */
interface Ports {
  readonly fixed: readonly Service[];
  readonly named: readonly PortName[];
  /** Names both, for caches. */
  readonly key: string;
}

interface GivenPort {
  readonly protocol?: Service['protocol'];
  readonly port?: number | string;
  readonly endPort?: number;
}

function portsOf({ direction, pod }: RuleContext, given: readonly GivenPort[]): Ports {
  const fixed: Service[] = given.length === 0 ? [...anyService] : [];
  const named: PortName[] = [];
  for (const { protocol, port, endPort } of given) {
    if (typeof port === 'string') {
      const name = {
        name: port,
        ...(protocol === undefined || protocol === 'any' ? {} : { protocol }),
      };
      // NP-11: a name is one of the destination's.
      if (direction === 'Ingress') fixed.push(...namedServices(pod.ports, name));
      else named.push(name);
    } else if (port === undefined) fixed.push({ protocol: protocol ?? 'any' });
    else fixed.push({ protocol: protocol ?? 'TCP', ports: [port, endPort ?? port] });
  }
  const merged = mergeServices(fixed);
  const names = named.map(({ name, protocol }) => `${protocol ?? ''}:${name}`).sort();
  return { fixed: merged, named, key: `${servicesKey(merged)} ${names.join(',')}` };
}

/** A rule of a NetworkPolicy; `namespace` is the policy's. */
export function partsOfRule(context: RuleContext, rule: PolicyRule, namespace: string): Part[] {
  const ports = portsOf(context, rule.ports);
  if (rule.peers.length === 0) return [...everywhere(rule, ports), ...namedAt(context, ports)];
  return rule.peers.flatMap((peer) => {
    if (peer.ipBlock !== undefined) {
      const prefixes = blockPrefixes(peer);
      return [...atPrefixes(prefixes, ports), ...namedAt(context, ports, prefixes)];
    }
    const pods = peer.podSelector ?? everyPod.pods;
    return atPods(context, { namespace: peer.namespaceSelector ?? namespace, pods }, ports);
  });
}

/** A rule of a ClusterNetworkPolicy. */
export function partsOfClusterRule(context: RuleContext, rule: ClusterRule): Part[] {
  const ports = portsOf(context, rule.ports);
  if (rule.peers.length === 0) return [...everywhere(rule, ports), ...namedAt(context, ports)];
  return rule.peers.flatMap((peer) => {
    if (peer.pods !== undefined) return atPods(context, peer.pods, ports);
    const prefixes = peer.networks ?? nodePrefixes(context.facts, peer);
    return [...atPrefixes(prefixes, ports), ...namedAt(context, ports, prefixes)];
  });
}

/** The prefixes of a peer's nodes, as they were last: the same array while they are the same. */
const nodesOfPeers = new WeakMap<ClusterPeer, readonly Prefix[]>();

function nodePrefixes(facts: Facts, peer: ClusterPeer): readonly Prefix[] {
  const { nodes } = peer;
  if (nodes === undefined) return [];
  const selected = [...facts.nodes.values()].filter((node) => selects(nodes, node.labels));
  const found = compressPrefixes(selected.flatMap((node) => node.internalIps.map(hostPrefix)));
  const before = nodesOfPeers.get(peer);
  if (before !== undefined && before.join() === found.join()) return before;
  nodesOfPeers.set(peer, found);
  return found;
}

/** Sets of ports by which one bucket, peer or rule is asked for, mostly: more are made again. */
const portsMax = 16;

/** Parts by what they follow from: a bucket, a peer or a rule, and the ports. */
const remembered = createMemo<Part>(portsMax);

function everywhere(rule: object, { fixed }: Ports): Part[] {
  if (fixed === anyService) return [everything];
  if (fixed.length === 0) return [];
  return [remembered(rule, servicesKey(fixed), () => boxesOf(everyAddress, fixed))];
}

function atPrefixes(prefixes: readonly Prefix[], { fixed }: Ports): Part[] {
  if (fixed.length === 0 || prefixes.length === 0) return [];
  return [remembered(prefixes, servicesKey(fixed), () => boxesOf(prefixes, fixed))];
}

const blocks = new WeakMap<PolicyPeer, readonly Prefix[]>();

/** NP-07: the block without its exceptions. */
function blockPrefixes(peer: PolicyPeer): readonly Prefix[] {
  let prefixes = blocks.get(peer);
  if (prefixes === undefined) {
    const cidr = parsePrefix(peer.ipBlock?.cidr ?? '');
    const except = (peer.ipBlock?.except ?? []).map(parsePrefix).filter((one) => one !== undefined);
    prefixes = cidr === undefined ? [] : subtractPrefixes(cidr, except);
    blocks.set(peer, prefixes);
  }
  return prefixes;
}

function atPods({ facts }: RuleContext, selector: PodSelector, ports: Ports): Part[] {
  if (ports.fixed.length + ports.named.length === 0) return [];
  const selection = facts.selections.get(selectionId(selector));
  const parts = (selection?.buckets ?? []).map((bucket) =>
    remembered(bucket, ports.key, () =>
      ports.named.length === 0 ? atHosts(bucket, ports.fixed) : atMembers(bucket, ports),
    ),
  );
  return parts.filter((part) => part.length > 0);
}

/** Where no pods are meant, a name means the port of whatever pod is there. */
function namedAt(
  { facts, direction }: RuleContext,
  ports: Ports,
  inside?: readonly Prefix[],
): Part[] {
  if (ports.named.length === 0 || direction === 'Ingress') return [];
  const only = { ...ports, fixed: [] };
  const selection = facts.selections.get(selectionId(everyPod));
  // No prefix at all is nobody; no prefixes given is everybody.
  const key = `named ${ports.key} ${inside?.join(' ') ?? 'anywhere'}`;
  const isInside = ({ ip }: Member) =>
    inside === undefined || inside.some((one) => holdsAddress(one, ip));
  const parts = (selection?.buckets ?? []).map((bucket) =>
    remembered(bucket, key, () => atMembers(bucket, only, isInside)),
  );
  return parts.filter((part) => part.length > 0);
}

function holdsAddress(outer: Prefix, address: Ip): boolean {
  const host = hostPrefix(address);
  return intersectPrefixes(outer, host) === host;
}

const hosts = new WeakMap<Bucket, readonly Prefix[]>();

/** What `atMembers` says where all members have the same services; the addresses once a bucket. */
function atHosts(bucket: Bucket, services: readonly Service[]): Part {
  let prefixes = hosts.get(bucket);
  if (prefixes === undefined) {
    prefixes = compressPrefixes(bucket.members.map(({ ip }) => hostPrefix(ip)));
    hosts.set(bucket, prefixes);
  }
  return compressServices(prefixes, services);
}

function atMembers(
  bucket: Bucket,
  { fixed, named }: Ports,
  isMeant: (member: Member) => boolean = () => true,
): Part {
  const boxes: Box[] = [];
  for (const member of bucket.members) {
    if (!isMeant(member)) continue;
    const services = named.flatMap((name) => namedServices(member.pod.ports, name));
    boxes.push(...boxesOf([hostPrefix(member.ip)], [...fixed, ...services]));
  }
  return compressBoxes(boxes);
}
