import { randomBytes } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { readIfPresent, writeDurably } from '../core/durable-file.ts';
import { type Family, familyOf, type Ip, type Prefix, prefix, prefixContains } from '../core/ip.ts';
import { refuseAddresses } from '../core/link-addresses.ts';
import type { Uplink } from '../model/facts.ts';
import type { LinkAddress } from './addresses.ts';
import { addressFlags, deleteAddress, listAddresses, putAddress, scopeLink } from './addresses.ts';
import { hostLinkAddresses, isSameRoute, planHostRoutes, usedFamilies } from './host-routes.ts';
import type { Link } from './links.ts';
import { createVethPair, deleteLink, findLink, linkFlags, requireLink, setLink } from './links.ts';
import { ownNamespace } from './namespace.ts';
import { putNeighbour } from './neighbours.ts';
import { type Netlink, openNetlink } from './netlink.ts';
import { NetlinkError } from './netlink-error.ts';
import { disableOffloads, offloads, readOffloads, setOffloads } from './offload.ts';
import { silenceKernel, silentSysctls } from './pod-link.ts';
import { addRoute, type DumpedRoute, deleteRoute, listRoutes } from './routes.ts';
import { putNodePortRules, removeNodePortRules } from './rules.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';
import {
  addressesOf,
  formatUplinkState,
  parseUplinkState,
  type UplinkState,
  uplinkOf,
} from './uplink-state.ts';

/**
 * VPP takes over the node's network interface, and the node stays reachable.
 *
 *     network ── uplink ══ VPP ══ kvr0-vpp ──veth── kvr0: the node's addresses as /32
 *
 * VPP reads and writes the uplink and kvr0-vpp by AF_PACKET; the kernel ignores what comes in
 * on both. The node's own stack talks through kvr0: everything that the uplink's routes reached
 * goes to 169.254.1.1 (fe80::1), which is VPP by a permanent neighbour. VPP hands packets for
 * the node's addresses that it has no use for to 169.254.1.2 (fe80::2), which is the kernel.
 *
 * A claim is a list of idempotent steps from a recorded state towards the picture above. The
 * state is on disk before the first step, so a crash anywhere is healed by claiming again, and
 * `releaseUplink` can always go back; a release that a crash cut short is finished before the
 * next claim. The first step makes kvr0: while it does not exist and
 * the uplink still has addresses, nothing was changed yet (or the machine was booted again),
 * and the state is read afresh. Other interfaces and their routes are not touched.
 */
export interface ClaimOptions {
  /** Kernel name of the network interface. */
  readonly interface: string;
  readonly stateFile: string;
  /** Kernel's end of the link between VPP and the host. */
  readonly hostInterface?: string;
  /** VPP's end. */
  readonly vppInterface?: string;
  /**
   * What else the host reaches through VPP, whatever its default route: the prefixes of the
   * cluster's pods and services.
   */
  readonly prefixes?: readonly Prefix[];
  /** First and last NodePort: local processes reach those of their own node through VPP. */
  readonly nodePorts?: readonly [number, number];
  /** Path of the namespace that holds the interface; by default this process's own. */
  readonly namespace?: string;
}

const defaultHostInterface = 'kvr0';
const defaultVppInterface = 'kvr0-vpp';
/** IFA_F_TEMPORARY, RFC 8981; of an IPv4 address the same bit says that it is a secondary. */
const temporaryAddressFlag = 0x1;
const protocolKernel = 2;
const protocolRouterAdvertisement = 9;
const linkLocal6 = prefix('fe80::/10');
const multicast6 = prefix('ff00::/8');
const loosePathFilter = '2';
/** Sysctls of the uplink that a claim changes. */
const uplinkSysctls = silentSysctls.map(([sysctl]) => sysctl);

/** Claims, or verifies and repairs an earlier claim. May be called again at any time. */
export async function claimUplink(options: ClaimOptions): Promise<Uplink> {
  const found = await readIfPresent(options.stateFile);
  if (found !== undefined && readState(options.stateFile, found).releasing === true) {
    await releaseUplink(options.stateFile, options);
  }
  const text = await readIfPresent(options.stateFile);
  const known = text === undefined ? undefined : readState(options.stateFile, text);
  if (known !== undefined && known.interface !== options.interface) {
    throw new NetlinkError(
      `claim ${options.interface}`,
      0,
      `${options.stateFile} says that ${known.interface} is claimed: release it first`,
    );
  }
  const kernel = openKernel(options.namespace);
  using _netlink = kernel.netlink;
  const state = observe(kernel, options, known);
  const formatted = formatUplinkState(state);
  if (formatted !== text) await writeDurably(options.stateFile, formatted);
  applyClaim(kernel, state, options);
  return uplinkOf(state);
}

/** Puts everything back as it was and forgets the state. Nothing claimed: nothing happens. */
export async function releaseUplink(
  stateFile: string,
  options: Pick<ClaimOptions, 'namespace'> = {},
): Promise<void> {
  const text = await readIfPresent(stateFile);
  if (text === undefined) return;
  const state = readState(stateFile, text);
  await writeDurably(stateFile, formatUplinkState({ ...state, releasing: true }));
  const kernel = openKernel(options.namespace);
  using netlink = kernel.netlink;
  removeNodePortRules(netlink);
  deleteLink(netlink, state.hostLink.hostInterface);
  const link = findLink(netlink, state.interface);
  if (link !== undefined) restore(kernel, link, state);
  await unlink(stateFile);
}

/** One namespace's kernel: its netlink socket, and its path for sysctls and offloads. */
interface Kernel {
  readonly netlink: Netlink;
  readonly namespace: string;
}

function openKernel(namespace: string = ownNamespace): Kernel {
  return { netlink: openNetlink(namespace), namespace };
}

function readState(path: string, text: string): UplinkState {
  const state = parseUplinkState(text);
  if (!state.ok) throw new NetlinkError(`read uplink state ${path}`, 0, state.problem);
  return state.value;
}

/** The state to claim from: what was recorded, and what the uplink has besides. */
function observe(
  kernel: Kernel,
  options: ClaimOptions,
  known: UplinkState | undefined,
): UplinkState {
  const { netlink } = kernel;
  const link = requireLink(netlink, options.interface);
  const addresses = listAddresses(netlink, link.index).filter(isNodeAddress);
  const hostLinkExists =
    known !== undefined && findLink(netlink, known.hostLink.hostInterface) !== undefined;
  const routes = uplinkRoutes(netlink, link);
  if (known === undefined || (!hostLinkExists && addresses.length > 0)) {
    if (addresses.length === 0) {
      throw new NetlinkError(`claim ${link.name}`, 0, 'it has no address of the node');
    }
    return freshState(kernel, link, { options, addresses: addresses.map(withoutLink), routes });
  }
  // A DHCP client, or a person, may have given the uplink something new since the claim.
  const newAddresses = addresses.filter((a) => !known.addresses.some((k) => k.ip === a.ip));
  const newRoutes = routes.filter((r) => !known.routes.some((k) => isSameRoute(k, r)));
  // A host link that has to be made again gets new MACs: so VPP's row changes and VPP, whose
  // socket died with the old interface, opens the new one.
  const hostLink = hostLinkExists ? known.hostLink : { ...known.hostLink, ...randomMacs() };
  return {
    ...known,
    hostLink,
    addresses: [...known.addresses, ...newAddresses.map(withoutLink)],
    routes: [...known.routes, ...newRoutes],
  };
}

function freshState(
  { namespace }: Kernel,
  link: Link,
  found: Pick<UplinkState, 'addresses' | 'routes'> & { readonly options: ClaimOptions },
): UplinkState {
  const { options, ...held } = found;
  const sysctls: Record<string, string> = {};
  for (const sysctl of uplinkSysctls) {
    const value = readSysctl({ ...sysctl, interface: link.name }, namespace);
    if (value !== undefined) sysctls[`${sysctl.family}/${sysctl.name}`] = value;
  }
  return {
    version: 1,
    interface: link.name,
    mac: link.mac,
    mtu: link.mtu,
    noArp: (link.flags & linkFlags.noArp) !== 0,
    allMulticast: (link.flags & linkFlags.allMulticast) !== 0,
    ...held,
    offloads: readOffloads(link.name, namespace),
    sysctls,
    hostLink: {
      hostInterface: options.hostInterface ?? defaultHostInterface,
      vppInterface: options.vppInterface ?? defaultVppInterface,
      ...randomMacs(),
    },
  };
}

function isNodeAddress({ ip: address, scope, flags }: LinkAddress): boolean {
  const temporary = familyOf(address) === 6 && (flags & temporaryAddressFlag) !== 0;
  return scope === 0 && !temporary;
}

/** Unicast routes that need moving; the link-local ones belong to the interface itself. */
function uplinkRoutes(netlink: Netlink, link: Link): Omit<DumpedRoute, 'link'>[] {
  const families: readonly Family[] = [4, 6];
  return families
    .flatMap((family) => listRoutes(netlink, family, link.index))
    .filter((route) => !isLinkLocal(route))
    .map(withoutLink);
}

function applyClaim(kernel: Kernel, state: UplinkState, options: ClaimOptions): void {
  const { netlink, namespace } = kernel;
  const { hostInterface, vppInterface, hostMac, vppMac } = state.hostLink;
  const uplink = requireLink(netlink, state.interface);
  if (findLink(netlink, hostInterface) === undefined) {
    createVethPair(
      netlink,
      { name: hostInterface, mac: hostMac, mtu: state.mtu },
      { peer: { name: vppInterface, mac: vppMac, mtu: state.mtu } },
    );
  }
  silenceKernel(netlink, vppInterface, namespace);
  const host = prepareHostEnd(kernel, state);
  for (const { ip: address } of state.addresses) {
    const length = familyOf(address) === 4 ? 32 : 128;
    putAddress(netlink, { link: host.index, ip: address, length });
  }
  // From here the node is cut off until its routes lead through kvr0: a few hundred µs.
  for (const family of [4, 6] as const) {
    for (const route of listRoutes(netlink, family, uplink.index)) {
      if (!isLinkLocal(route)) deleteRoute(netlink, route);
    }
  }
  for (const address of listAddresses(netlink, uplink.index)) {
    if (address.scope === 0) deleteAddress(netlink, address);
  }
  silenceKernel(netlink, state.interface, namespace);
  // VPP must see neighbour solicitations, which are multicast.
  setLink(netlink, uplink.index, { allMulticast: true });
  const wanted = planHostRoutes(state, host.index, options.prefixes ?? []);
  for (const family of [4, 6] as const) {
    for (const held of listRoutes(netlink, family, host.index)) {
      if (isLinkLocal(held) || wanted.some((route) => isSameRoute(route, held))) continue;
      deleteRoute(netlink, held);
    }
  }
  for (const route of wanted) addRoute(netlink, route);
  if (options.nodePorts === undefined) return;
  putNodePortRules(netlink, {
    link: host.index,
    addresses: state.addresses.map((address) => address.ip),
    ports: options.nodePorts,
    gateways: { 4: hostLinkAddresses[4].vpp, 6: hostLinkAddresses[6].vpp },
  });
}

/** kvr0: up, without offloads, with VPP as its permanent neighbour. */
function prepareHostEnd({ netlink, namespace }: Kernel, state: UplinkState): Link {
  const { hostInterface, hostMac, vppMac } = state.hostLink;
  const link = requireLink(netlink, hostInterface);
  // Loose: replies come in here from wherever, whatever other interfaces' routes say.
  writeSysctl(
    { family: 'ipv4', interface: hostInterface, name: 'rp_filter' },
    loosePathFilter,
    namespace,
  );
  // A NodePort of the node answers the node itself: from its own address, through VPP.
  writeSysctl({ family: 'ipv4', interface: hostInterface, name: 'accept_local' }, '1', namespace);
  const ipv6 = { family: 'ipv6', interface: hostInterface } as const;
  const sixOff = addressesOf(state, 6).length === 0;
  writeSysctl({ ...ipv6, name: 'disable_ipv6' }, sixOff ? '1' : '0', namespace);
  writeSysctl({ ...ipv6, name: 'accept_ra' }, '0', namespace);
  writeSysctl({ ...ipv6, name: 'addr_gen_mode' }, '1', namespace); // none: fe80::2 is ours
  disableOffloads(hostInterface, offloads, namespace);
  // Setting the MAC, even to what it is, makes the kernel forget the interface's neighbours.
  const mac = link.mac === hostMac ? {} : { mac: hostMac };
  setLink(netlink, link.index, { ...mac, mtu: state.mtu, up: true });
  for (const family of usedFamilies(state)) {
    const { vpp, host, length } = hostLinkAddresses[family];
    putAddress(netlink, { link: link.index, ip: host, length, scope: scopeLink });
    putNeighbour(netlink, { link: link.index, ip: vpp, mac: vppMac });
  }
  if (!sixOff)
    putAddress(netlink, {
      link: link.index,
      ip: refuseAddresses[6],
      length: 128,
      deprecated: true,
    });
  return link;
}

/** The kernel makes the subnets' routes with the addresses, and RAs bring theirs back. */
function restore({ netlink, namespace }: Kernel, link: Link, state: UplinkState): void {
  for (const sysctl of uplinkSysctls) {
    const value = state.sysctls[`${sysctl.family}/${sysctl.name}`];
    if (value !== undefined) writeSysctl({ ...sysctl, interface: link.name }, value, namespace);
  }
  setOffloads(link.name, state.offloads, namespace);
  const { noArp, allMulticast, mtu } = state;
  setLink(netlink, link.index, { noArp, allMulticast, mtu, up: true });
  for (const { ip: address, length, flags } of state.addresses) {
    const prefixRoute = (flags & addressFlags.noPrefixRoute) === 0;
    putAddress(netlink, { link: link.index, ip: address, length, prefixRoute });
  }
  const made = new Set<number>([protocolKernel, protocolRouterAdvertisement]);
  for (const route of state.routes) {
    if (!made.has(route.protocol)) addRoute(netlink, { ...route, link: link.index });
  }
}

function isLinkLocal(route: Pick<DumpedRoute, 'prefix'>): boolean {
  const address = route.prefix.slice(0, route.prefix.indexOf('/')) as Ip;
  return prefixContains(linkLocal6, address) || prefixContains(multicast6, address);
}

function withoutLink<T extends { readonly link: number }>(value: T): Omit<T, 'link'> {
  const { link: _link, ...rest } = value;
  return rest;
}

function randomMacs() {
  return { hostMac: randomMac(), vppMac: randomMac() };
}

/** Locally administered, unicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}
