import fc from 'fast-check';
import {
  familyOf,
  type Ip,
  ip,
  ipFromBigInt,
  ipToBigInt,
  type Prefix,
  parsePrefix,
  prefixAddress,
  prefixLength,
} from '../../src/core/ip.ts';
import { nodeAddresses, podAddresses, protocol } from './arbitraries.ts';
import type { Cluster, Packet } from './reference.ts';

/** Of nobody, at the ends of what addresses there are. */
const otherAddresses = ['198.51.100.7', '0.0.0.1', '255.255.255.254', '::5', '4000::1', 'fe80::9'];

/** What becomes a packet in a cluster: numbers choose from the addresses and ports that matter. */
export interface Choice {
  readonly pod: number;
  readonly peer: number;
  readonly isSent: boolean;
  /** To or from another pod, by what some rule or container says; else anything with anything. */
  readonly isLikely: boolean;
  readonly protocol: Packet['protocol'];
  readonly port: number;
}

export const picks = (count: number): fc.Arbitrary<readonly Choice[]> =>
  fc.array(
    fc.record({
      pod: fc.nat(1_000),
      peer: fc.nat(1_000),
      isSent: fc.boolean(),
      isLikely: fc.boolean(),
      protocol: fc.oneof(protocol, protocol, fc.constantFrom('ICMP' as const, 47, 50)),
      port: fc.nat(1_000),
    }),
    { minLength: count, maxLength: count },
  );

/**
 * Makes picks packets of the cluster: from or to an address, by default of some pod; the other end
 * and the port are at the edge of what some object says.
 */
export function packetsOf(cluster: Cluster): (pick: Choice, own?: Ip) => Packet {
  const pods = cluster.pods.flatMap((one) => (one.hostNetwork ? [] : one.ips));
  const peers = addressesOf(cluster);
  const written = servicesOf(cluster);
  const ports = [...new Set([1, 65535, ...written.map(({ port }) => port)])];
  return (pick, given) => {
    const own = given ?? (pods.length === 0 ? ip('10.244.1.3') : choose(pods, pick.pod));
    const near = pick.isLikely ? ofFamily(own, pods) : [];
    const other = choose(near.length > 0 ? near : ofFamily(own, peers), pick.peer);
    const ends = pick.isSent ? { from: own, to: other } : { from: other, to: own };
    const { protocol } = pick;
    const likely = [portsAt(cluster, ends.to), written].filter((one) => one.length > 0);
    if (pick.isLikely && likely.length > 0)
      return { ...ends, ...choose(choose(likely, pick.port), Math.floor(pick.port / 2)) };
    if (protocol === 'ICMP' || typeof protocol === 'number') return { ...ends, protocol, port: 0 };
    return { ...ends, protocol, port: choose(ports, pick.port) };
  };
}

type Service = Pick<Packet, 'protocol' | 'port'>;

/** Ports of the containers there. */
function portsAt({ pods }: Cluster, address: Ip): Service[] {
  return pods
    .filter(({ ips }) => ips.includes(address))
    .flatMap((one) => one.ports)
    .map(({ protocol, containerPort: port }) => ({ protocol, port }));
}

function ofFamily(own: Ip, all: readonly Ip[]): Ip[] {
  return all.filter((one) => familyOf(one) === familyOf(own));
}

function choose<T>(all: readonly T[], number: number): T {
  return all[number % all.length] as T;
}

/** Each of the cluster, and the first and last of each block with their neighbours. */
function addressesOf({ pods, policies, clusterPolicies }: Cluster): Ip[] {
  const peers = policies.flatMap(({ ingress, egress }) =>
    [...ingress, ...egress].flatMap((one) => one.peers),
  );
  const written = peers.flatMap(({ ipBlock: one }) =>
    one === undefined ? [] : [one.cidr, ...one.except],
  );
  const networks = clusterPolicies.flatMap(({ egress }) =>
    egress.flatMap((one) => one.peers.flatMap((each) => each.networks ?? [])),
  );
  const edges = [...written, ...networks].flatMap((text) => {
    const block = parsePrefix(text);
    return block === undefined ? [] : edgesOf(block);
  });
  const fixed = [...podAddresses.flat(), ...nodeAddresses.flat(), ...otherAddresses.map(ip)];
  const known = pods.flatMap((one) => one.ips);
  return [...new Set([...fixed, ...known, ...edges])];
}

function edgesOf(block: Prefix): Ip[] {
  const family = familyOf(block);
  const bits = family === 4 ? 32 : 128;
  const first = ipToBigInt(prefixAddress(block));
  const last = first + (1n << BigInt(bits - prefixLength(block))) - 1n;
  return [first - 1n, first, last, last + 1n]
    .filter((one) => one >= 0n && one < 1n << BigInt(bits))
    .map((one) => ipFromBigInt(one, family));
}

/**
 * Ports of containers, and those at the edges of what rules say, each of its protocol. Never port 0,
 * which nobody uses (RFC 6335, 6; RFC 9260, 3.1): filters know later fragments by it (NP-22).
 */
function servicesOf({ pods, policies, clusterPolicies }: Cluster): Service[] {
  const named = pods.flatMap((one) =>
    one.ports.map(({ protocol, containerPort: port }) => ({ protocol, port })),
  );
  const written = [...policies, ...clusterPolicies].flatMap(({ ingress, egress }) =>
    [...ingress, ...egress].flatMap((rule) =>
      rule.ports.flatMap(({ protocol = 'TCP', port, endPort }) =>
        [port, endPort]
          .filter((edge) => typeof edge === 'number')
          .flatMap((edge) => [edge - 1, edge, edge + 1].map((each) => ({ protocol, port: each }))),
      ),
    ),
  );
  return [...named, ...written].filter(({ port }) => 1 <= port && port <= 65_535);
}
