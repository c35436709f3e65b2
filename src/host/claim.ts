import { type Family, familyOf, type Ip, prefix, prefixContains } from '../core/ip.ts';
import { refuseAddresses } from '../core/link-addresses.ts';
import { deleteAddress, listAddresses, putAddress, scopeLink } from './addresses.ts';
import {
  type ClaimWishes,
  hostLinkAddresses,
  isSameRoute,
  ownProtocol,
  planHostRoutes,
  routeText,
  usedFamilies,
} from './host-routes.ts';
import type { Watched } from './kernel-events.ts';
import { createVethPair, findLink, type Link, linkFlags, requireLink, setLink } from './links.ts';
import { listNeighbours, putNeighbour } from './neighbours.ts';
import type { Netlink } from './netlink.ts';
import { disableOffloads, offloads } from './offload.ts';
import { silenceKernel } from './pod-link.ts';
import {
  addRoute,
  type DumpedRoute,
  deleteRoute,
  formatRoute,
  listRoutes,
  tableLocal,
} from './routes.ts';
import { nodePortTable, putNodePortRules } from './rules.ts';
import { keepSysctl } from './sysctl.ts';
import { addressesOf, type UplinkState } from './uplink-state.ts';

/**
 * The steps of a claim. Each compares first and writes only what differs, so a claim that finds
 * everything in place writes nothing, and says nothing: repairs cannot set each other off.
 */
export interface AppliedClaim {
  /** What was written, a line each, in the order of writing. */
  readonly changes: readonly string[];
  /** Which events of the kernel may mean that the claim was undone. */
  readonly watched: Watched;
}

/** One namespace's kernel: its netlink socket, and its path for sysctls and offloads. */
export interface Kernel {
  readonly netlink: Netlink;
  readonly namespace: string;
}

const linkLocal6 = prefix('fe80::/10');
const multicast6 = prefix('ff00::/8');
const loosePathFilter = '2';
const families: readonly Family[] = [4, 6];

/** Unicast routes that need moving, of all tables; the link-local ones belong to the interface. */
export function uplinkRoutes(netlink: Netlink, uplink: number): DumpedRoute[] {
  return families
    .flatMap((family) => listRoutes(netlink, family, uplink, 'all'))
    .filter((route) => !isLinkLocal(route));
}

/** Brings the kernel from wherever it is to `state`. */
export function applyClaim(kernel: Kernel, state: UplinkState, wishes: ClaimWishes): AppliedClaim {
  const { netlink, namespace } = kernel;
  const { hostInterface, vppInterface } = state.hostLink;
  const changes = makeHostLink(netlink, state);
  changes.push(...silenceKernel(netlink, vppInterface, namespace));
  const host = requireLink(netlink, hostInterface);
  changes.push(...prepareHostEnd(kernel, state, host));
  const uplink = requireLink(netlink, state.interface);
  // From here the node is cut off until its routes lead through kvr0: a few hundred µs.
  changes.push(...clearUplink(kernel, state, uplink.index));
  const wanted = planHostRoutes(state, host.index, wishes);
  changes.push(...putHostRoutes(netlink, host, wanted));
  if (wishes.nodePorts !== undefined)
    changes.push(
      ...putNodePortRules(netlink, {
        link: host.index,
        addresses: state.addresses.map((address) => address.ip),
        ports: wishes.nodePorts,
        gateways: { 4: hostLinkAddresses[4].vpp, 6: hostLinkAddresses[6].vpp },
      }),
    );
  const vpp = requireLink(netlink, vppInterface);
  return {
    changes,
    watched: {
      links: new Set([uplink.index, host.index, vpp.index]),
      names: new Set([state.interface, hostInterface, vppInterface]),
      prefixes: new Set(wanted.map((route) => route.prefix)),
      tables: new Set([nodePortTable, tableLocal]),
    },
  };
}

function makeHostLink(netlink: Netlink, state: UplinkState): string[] {
  const { hostInterface, vppInterface, hostMac, vppMac } = state.hostLink;
  if (findLink(netlink, hostInterface) !== undefined) return [];
  createVethPair(
    netlink,
    { name: hostInterface, mac: hostMac, mtu: state.mtu },
    { peer: { name: vppInterface, mac: vppMac, mtu: state.mtu } },
  );
  return [`link ${hostInterface} made`];
}

/** kvr0: up, without offloads, with VPP as its permanent neighbour and the node's addresses. */
function prepareHostEnd({ netlink, namespace }: Kernel, state: UplinkState, link: Link): string[] {
  const { hostMac, vppMac } = state.hostLink;
  const sixOff = addressesOf(state, 6).length === 0;
  const changes = keepHostSysctls(link.name, sixOff, namespace);
  const switchedOff = disableOffloads(link.name, offloads, namespace);
  for (const offload of switchedOff) changes.push(`${offload} off on ${link.name}`);
  const isUp = (link.flags & linkFlags.up) !== 0;
  if (!isUp) changes.push(`link ${link.name} up`);
  // Setting the MAC, even to what it is, makes the kernel forget the interface's neighbours.
  const mac = link.mac === hostMac ? {} : { mac: hostMac };
  const mtu = link.mtu === state.mtu ? {} : { mtu: state.mtu };
  if ('mac' in mac) changes.push(`MAC ${hostMac} of ${link.name}`);
  if ('mtu' in mtu) changes.push(`MTU ${state.mtu} of ${link.name}`);
  if (!isUp || 'mac' in mac || 'mtu' in mtu)
    setLink(netlink, link.index, { ...mac, ...mtu, up: true });
  changes.push(...putHostAddresses(netlink, state, link));
  const known = listNeighbours(netlink, link.index);
  for (const family of usedFamilies(state)) {
    const ip = hostLinkAddresses[family].vpp;
    if (known.some((neighbour) => neighbour.ip === ip && neighbour.mac === vppMac)) continue;
    putNeighbour(netlink, { link: link.index, ip, mac: vppMac });
    changes.push(`neighbour ${ip} on ${link.name}`);
  }
  return changes;
}

function keepHostSysctls(name: string, sixOff: boolean, namespace: string): string[] {
  const ipv4 = { family: 'ipv4', interface: name } as const;
  const ipv6 = { family: 'ipv6', interface: name } as const;
  return [
    // Loose: replies come in here from wherever, whatever other interfaces' routes say.
    [{ ...ipv4, name: 'rp_filter' }, loosePathFilter] as const,
    // A NodePort of the node answers the node itself: from its own address, through VPP.
    [{ ...ipv4, name: 'accept_local' }, '1'] as const,
    [{ ...ipv6, name: 'disable_ipv6' }, sixOff ? '1' : '0'] as const,
    [{ ...ipv6, name: 'accept_ra' }, '0'] as const,
    [{ ...ipv6, name: 'addr_gen_mode' }, '1'] as const, // none: fe80::2 is ours
  ].flatMap(([sysctl, value]) => keepSysctl(sysctl, value, namespace));
}

/** The link's own addresses, and the node's; what the node no longer has goes. */
function putHostAddresses(netlink: Netlink, state: UplinkState, link: Link): string[] {
  type Wanted = Omit<Parameters<typeof putAddress>[1], 'link'>;
  const wanted: Wanted[] = usedFamilies(state).map((family) => {
    const { host, length } = hostLinkAddresses[family];
    return { ip: host, length, scope: scopeLink };
  });
  if (addressesOf(state, 6).length > 0)
    wanted.push({ ip: refuseAddresses[6], length: 128, deprecated: true });
  for (const { ip } of state.addresses) wanted.push({ ip, length: familyOf(ip) === 4 ? 32 : 128 });
  const changes: string[] = [];
  const held = listAddresses(netlink, link.index);
  for (const address of wanted) {
    if (held.some(({ ip, length }) => ip === address.ip && length === address.length)) continue;
    putAddress(netlink, { ...address, link: link.index });
    changes.push(`address ${address.ip} on ${link.name}`);
  }
  for (const gone of state.goneAddresses ?? []) {
    const left = held.find(({ ip }) => ip === gone);
    if (left === undefined || wanted.some(({ ip }) => ip === gone)) continue;
    deleteAddress(netlink, left);
    changes.push(`address ${gone} gone from ${link.name}`);
  }
  return changes;
}

/** Nothing of the node's stays on the uplink, and the kernel ignores what it hears. */
function clearUplink({ netlink, namespace }: Kernel, state: UplinkState, uplink: number): string[] {
  const name = state.interface;
  const changes: string[] = [];
  for (const route of uplinkRoutes(netlink, uplink)) {
    if (state.routes.some((known) => known.outbid === true && isSameRoute(known, route))) continue;
    deleteRoute(netlink, route);
    changes.push(`route ${formatRoute(route)} taken from ${name}`);
  }
  for (const address of listAddresses(netlink, uplink)) {
    if (address.scope !== 0) continue;
    deleteAddress(netlink, address);
    changes.push(`address ${address.ip}/${address.length} taken from ${name}`);
  }
  changes.push(...silenceKernel(netlink, name, namespace));
  // VPP must see neighbour solicitations, which are multicast.
  if ((requireLink(netlink, name).flags & linkFlags.allMulticast) === 0) {
    setLink(netlink, uplink, { allMulticast: true });
    changes.push(`all multicast on ${name}`);
  }
  return changes;
}

function putHostRoutes(
  netlink: Netlink,
  host: Link,
  wanted: ReturnType<typeof planHostRoutes>,
): string[] {
  const changes: string[] = [];
  const held = families.flatMap((family) => listRoutes(netlink, family, host.index, 'all'));
  const wantedTexts = new Set(wanted.map(routeText));
  const heldTexts = new Set(held.map(routeText));
  for (const route of held) {
    if (route.protocol !== ownProtocol || route.table === nodePortTable) continue;
    if (wantedTexts.has(routeText(route))) continue;
    deleteRoute(netlink, route);
    changes.push(`route ${formatRoute(route)} gone from ${host.name}`);
  }
  for (const route of wanted) {
    if (heldTexts.has(routeText(route))) continue;
    addRoute(netlink, route);
    changes.push(`route ${formatRoute(route)} on ${host.name}`);
  }
  return changes;
}

function isLinkLocal(route: Pick<DumpedRoute, 'prefix'>): boolean {
  const address = route.prefix.slice(0, route.prefix.indexOf('/')) as Ip;
  return prefixContains(linkLocal6, address) || prefixContains(multicast6, address);
}
