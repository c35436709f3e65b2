import { familyOf, hostPrefix, type Ip, ip, type Prefix, prefix, prefixOf } from '../core/ip.ts';
import { dropAddresses, refuseAddresses } from '../core/link-addresses.ts';
import {
  hostGateName,
  hostName,
  podsGateName,
  uplinkGateName,
  uplinkName,
} from '../desired/names.ts';
import { emptyPlan, type Plan, type Planner } from '../desired/plan.ts';
import type {
  AddressRow,
  InterfaceRow,
  NatInterfaceRow,
  PuntRow,
  RoutePath,
  RouteRow,
} from '../desired/rows.ts';
import { sortPaths } from '../desired/tables.ts';
import type { Config } from '../model/config.ts';
import type { Uplink } from '../model/facts.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';

/** Addresses of the kernel's end of the host link, as VPP knows them; src/host sets them. */
export const hostLinkAddresses: { readonly [F in 4 | 6]: Ip } = {
  4: ip('169.254.1.2'),
  6: ip('fe80::2'),
};

const defaultRoutes: { readonly [F in 4 | 6]: Prefix } = {
  4: prefix('0.0.0.0/0'),
  6: prefix('::/0'),
};

/**
 * The node itself: the uplink with the node's addresses, the link to the host's own network
 * stack, masquerading, and the ranges that must not leave the node by the default route.
 */
export const uplinkPlanner: Planner<Facts, ChangedKeys> = {
  name: 'uplink',
  kind: 'Uplink',
  owners: () => [uplinkName],
  touched(facts, changed) {
    const own = facts.config.get('config')?.nodeName;
    const ownNode = own !== undefined && changed.nodes?.has(own) === true;
    return changed.uplink || changed.config || changed.gated || ownNode ? [uplinkName] : [];
  },
  plan(facts) {
    const uplink = facts.uplink.get(uplinkName);
    const config = facts.config.get('config');
    if (uplink === undefined || config === undefined) return emptyPlan;
    const podCidrs = facts.nodes.get(config.nodeName)?.podCidrs ?? [];
    const links = planInterfaces(uplink);
    const gates = planGates(facts, uplink);
    return {
      rows: {
        ...links,
        interfaces: [...links.interfaces, ...gates.interfaces],
        addresses: [...links.addresses, ...gates.addresses],
        ...planNat(uplink, [...config.pods.clusterCidrs, ...podCidrs]),
        linkStates: [...links.linkStates, ...gates.linkStates],
        natInterfaces: gates.natInterfaces,
        routes: [...planRoutes(uplink, config, podCidrs), ...planSinks(uplink)],
      },
      problems: [],
    } satisfies Plan;
  },
};

function familiesOf(uplink: Uplink): (4 | 6)[] {
  return ([4, 6] as const).filter((family) =>
    uplink.addresses.some((address) => familyOf(address.ip) === family),
  );
}

function planInterfaces(uplink: Uplink) {
  const { hostLink, mtu } = uplink;
  const families = familiesOf(uplink);
  const addresses: AddressRow[] = uplink.addresses.map((address) => ({
    kind: 'own',
    interface: uplinkName,
    ip: address.ip,
    length: address.length,
  }));
  addresses.push({ kind: 'borrowed', interface: hostName, from: uplinkName });
  const punts: PuntRow[] = families.map((family) => ({
    family,
    interface: hostName,
    nextHop: hostLinkAddresses[family],
  }));
  return {
    interfaces: [
      {
        name: uplinkName,
        kind: 'afPacket' as const,
        role: 'uplink' as const,
        hostInterface: uplink.interface,
        mac: uplink.mac,
        mtu,
      },
      {
        name: hostName,
        kind: 'afPacket' as const,
        role: 'host' as const,
        hostInterface: hostLink.vppInterface,
        mac: hostLink.vppMac,
        mtu,
      },
    ],
    addresses,
    punts,
    neighbours: families.map((family) => ({
      interface: hostName,
      ip: hostLinkAddresses[family],
      mac: hostLink.hostMac,
    })),
    linkStates: [
      { interface: uplinkName, up: true },
      { interface: hostName, up: true },
    ],
  };
}

/** `inside` are the prefixes to which nothing is masqueraded. */
function planNat(uplink: Uplink, inside: readonly Prefix[]) {
  const first = (family: 4 | 6) =>
    uplink.addresses.find((address) => familyOf(address.ip) === family)?.ip;
  return {
    nat: [{ ip4: first(4), ip6: first(6) }],
    natExclusions: [...new Set(inside)].map((cidr) => ({ prefix: cidr })),
  };
}

/** Locally administered, each its own; nobody on a wire ever sees them. */
const gateMacs: Readonly<Record<string, string>> = {
  [uplinkGateName]: '02:6b:76:70:00:01',
  [hostGateName]: '02:6b:76:70:00:02',
  [podsGateName]: '02:6b:76:70:00:03',
};

/**
 * While some Service lets not everybody in, its packets are filtered before they are translated:
 * see src/proxy/gate.ts for who and why.
 */
function planGates(facts: Facts, uplink: Uplink) {
  const ranges = facts.gated.ranges.size > 0;
  const names: string[] = [];
  if (ranges || facts.gated.local.size > 0) names.push(uplinkGateName);
  if (ranges) names.push(hostGateName, podsGateName);
  const interfaces: InterfaceRow[] = names.map((name) => ({
    name,
    kind: 'loopback',
    role: 'gate',
    mac: gateMacs[name] ?? '',
    mtu: uplink.mtu,
  }));
  const addresses: AddressRow[] = names.map((name) => ({
    kind: 'borrowed',
    interface: name,
    from: uplinkName,
  }));
  const through = (gate: string) => (names.includes(gate) ? { via: gate } : {});
  const refuses = facts.config.get('config')?.policy.denied === 'refuse';
  const answers = refuses ? { answers: true as const } : {};
  const natInterfaces: NatInterfaceRow[] = [
    { interface: uplinkName, role: 'uplink', ...through(uplinkGateName) },
    { interface: hostName, role: 'host', ...answers, ...through(hostGateName) },
  ];
  const linkStates = names.map((name) => ({ interface: name, up: true }));
  return { interfaces, addresses, natInterfaces, linkStates };
}

/** Where packets go that no endpoint takes: src/core/link-addresses.ts. */
function planSinks(uplink: Uplink): RouteRow[] {
  return familiesOf(uplink).flatMap((family): RouteRow[] => [
    {
      prefix: hostPrefix(refuseAddresses[family]),
      paths: [{ kind: 'forward', interface: hostName, nextHop: hostLinkAddresses[family] }],
    },
    { prefix: hostPrefix(dropAddresses[family]), paths: [{ kind: 'drop' }] },
  ]);
}

function overUplink(gateways: readonly Ip[]): RoutePath[] {
  return sortPaths(
    gateways.map((nextHop) => ({ kind: 'forward', interface: uplinkName, nextHop })),
  );
}

function planRoutes(uplink: Uplink, config: Config, podCidrs: readonly Prefix[]): RouteRow[] {
  const routes: RouteRow[] = [];
  for (const family of [4, 6] as const) {
    const gateways = uplink.gateways.filter((gateway) => familyOf(gateway) === family);
    const prefix = defaultRoutes[family];
    if (gateways.length > 0) routes.push({ prefix, paths: overUplink(gateways) });
  }
  const inside = new Set([...config.services.cidrs, ...podCidrs]);
  for (const { prefix: to, gateways } of uplink.routes ?? [])
    if (!inside.has(to) && !isOwnAddress(uplink, to))
      routes.push({ prefix: to, paths: overUplink(gateways) });
  // What no translation or pod takes must not follow the default route (facts: a NO_CLIENT
  // translation leaves other ports of its address to the FIB).
  for (const cidr of inside) routes.push({ prefix: cidr, paths: [{ kind: 'reject' }] });
  return routes;
}

/**
 * What is asked of one uplink for each of very many routes. The answers depend on nothing but
 * the uplink, which never changes as a value, so they are remembered with it.
 */
interface UplinkAnswers {
  readonly onLink: Map<Ip, boolean>;
  readonly own: ReadonlySet<Prefix>;
}

const answers = new WeakMap<Uplink, UplinkAnswers>();
/** Next hops that are remembered; there are a few, unless somebody means harm. */
const onLinkMax = 10_000;

function answersOf(uplink: Uplink): UplinkAnswers {
  let known = answers.get(uplink);
  if (known === undefined) {
    const own = new Set(uplink.addresses.map((address) => hostPrefix(address.ip)));
    known = { onLink: new Map(), own };
    answers.set(uplink, known);
  }
  return known;
}

/** Whether a next hop is reached without a router. */
export function isOnLink(uplink: Uplink, nextHop: Ip): boolean {
  const { onLink } = answersOf(uplink);
  const known = onLink.get(nextHop);
  if (known !== undefined) return known;
  const found = uplink.addresses.some(
    (address) =>
      familyOf(address.ip) === familyOf(nextHop) &&
      prefixOf(address.ip, address.length) === prefixOf(nextHop, address.length),
  );
  if (onLink.size >= onLinkMax) onLink.clear();
  onLink.set(nextHop, found);
  return found;
}

/** Whether a prefix is the /32 or /128 of one of the node's own addresses. */
export function isOwnAddress(uplink: Uplink, prefix: Prefix): boolean {
  return answersOf(uplink).own.has(prefix);
}
