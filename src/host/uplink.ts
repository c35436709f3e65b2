import { randomBytes } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { readIfPresent, writeDurably } from '../core/durable-file.ts';
import { familyOf } from '../core/ip.ts';
import type { Uplink } from '../model/facts.ts';
import type { LinkAddress } from './addresses.ts';
import { addressFlags, listAddresses, putAddress } from './addresses.ts';
import { type AppliedClaim, applyClaim, type Kernel, uplinkRoutes } from './claim.ts';
import type { ClaimWishes } from './host-routes.ts';
import type { Link } from './links.ts';
import { deleteLink, findLink, linkFlags, requireLink, setLink } from './links.ts';
import { ownNamespace } from './namespace.ts';
import { openNetlink } from './netlink.ts';
import { NetlinkError } from './netlink-error.ts';
import { readOffloads, setOffloads } from './offload.ts';
import { silentSysctls } from './pod-link.ts';
import { addRoute } from './routes.ts';
import { removeNodePortRules } from './rules.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';
import { takeOver } from './take-over.ts';
import {
  formatUplinkState,
  parseUplinkState,
  type RecordedRoute,
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
export interface ClaimOptions extends ClaimWishes {
  /** Kernel name of the network interface. */
  readonly interface: string;
  readonly stateFile: string;
  /** Kernel's end of the link between VPP and the host. */
  readonly hostInterface?: string;
  /** VPP's end. */
  readonly vppInterface?: string;
  /** Path of the namespace that holds the interface; by default this process's own. */
  readonly namespace?: string;
}

export interface Claimed extends AppliedClaim {
  readonly uplink: Uplink;
}

const defaultHostInterface = 'kvr0';
const defaultVppInterface = 'kvr0-vpp';
/** IFA_F_TEMPORARY, RFC 8981; of an IPv4 address the same bit says that it is a secondary. */
const temporaryAddressFlag = 0x1;
const protocolRouterAdvertisement = 9;
/** Sysctls of the uplink that a claim changes. */
const uplinkSysctls = silentSysctls.map(([sysctl]) => sysctl);

/** Claims, or verifies and repairs an earlier claim. May be called again at any time. */
export async function claimUplink(options: ClaimOptions): Promise<Uplink> {
  return (await repairUplink(options)).uplink;
}

/** The same, and tells what it had to do; `again` is the claim that this process made before. */
export async function repairUplink(options: ClaimOptions, again = false): Promise<Claimed> {
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
  const state = observe(kernel, { options, again }, known);
  const formatted = formatUplinkState(state);
  if (formatted !== text) await writeDurably(options.stateFile, formatted);
  return { uplink: uplinkOf(state), ...applyClaim(kernel, state, options) };
}

/**
 * Puts everything back as it was and forgets the state. Nothing claimed: nothing happens.
 * Says which routes Linux refused to take back, and why, a line each.
 */
export async function releaseUplink(
  stateFile: string,
  options: Pick<ClaimOptions, 'namespace'> = {},
): Promise<string[]> {
  const text = await readIfPresent(stateFile);
  if (text === undefined) return [];
  const state = readState(stateFile, text);
  await writeDurably(stateFile, formatUplinkState({ ...state, releasing: true }));
  const kernel = openKernel(options.namespace);
  using netlink = kernel.netlink;
  removeNodePortRules(netlink);
  deleteLink(netlink, state.hostLink.hostInterface);
  const link = findLink(netlink, state.interface);
  const refused = link === undefined ? [] : restore(kernel, link, state);
  await unlink(stateFile);
  return refused;
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
  { options, again }: { readonly options: ClaimOptions; readonly again: boolean },
  known: UplinkState | undefined,
): UplinkState {
  const { netlink } = kernel;
  const link = requireLink(netlink, options.interface);
  const addresses = listAddresses(netlink, link.index).filter(isNodeAddress);
  const hostLinkExists =
    known !== undefined && findLink(netlink, known.hostLink.hostInterface) !== undefined;
  const found = {
    addresses: addresses.map(withoutLink),
    routes: uplinkRoutes(netlink, link.index).map(withoutLink),
  };
  if (known === undefined || (!hostLinkExists && addresses.length > 0)) {
    if (addresses.length === 0) {
      throw new NetlinkError(`claim ${link.name}`, 0, 'it has no address of the node');
    }
    return freshState(kernel, link, { options, ...found });
  }
  // A host link that has to be made again gets new MACs: so VPP's row changes and VPP, whose
  // socket died with the old interface, opens the new one.
  const hostLink = hostLinkExists ? known.hostLink : { ...known.hostLink, ...randomMacs() };
  return { ...known, hostLink, ...takeOver(known, found, again) };
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

/** The kernel makes the subnets' routes with the addresses, and RAs bring theirs back. */
function restore({ netlink, namespace }: Kernel, link: Link, state: UplinkState): string[] {
  for (const sysctl of uplinkSysctls) {
    const value = state.sysctls[`${sysctl.family}/${sysctl.name}`];
    if (value !== undefined) writeSysctl({ ...sysctl, interface: link.name }, value, namespace);
  }
  setOffloads(link.name, state.offloads, namespace);
  const { noArp, allMulticast, mtu } = state;
  setLink(netlink, link.index, { noArp, allMulticast, mtu, up: true });
  for (const { flags, ...address } of state.addresses) {
    const prefixRoute = (flags & addressFlags.noPrefixRoute) === 0;
    putAddress(netlink, { ...address, link: link.index, prefixRoute });
  }
  const refused: string[] = [];
  for (const { outbid: _outbid, ...route } of inOrderOfNeed(state.routes)) {
    if (route.protocol === protocolRouterAdvertisement) continue;
    try {
      addRoute(netlink, { ...route, link: link.index });
    } catch (error) {
      // One that can no longer be must not keep the others, and the node, cut off.
      if (!(error instanceof NetlinkError)) throw error;
      refused.push(error.message);
    }
  }
  return refused;
}

/** A gateway can only be named once there is a direct route to it. */
function inOrderOfNeed(routes: readonly RecordedRoute[]): readonly RecordedRoute[] {
  const isDirect = (route: RecordedRoute) =>
    (route.hops ?? [route]).every(({ gateway }) => gateway === undefined);
  return [...routes.filter(isDirect), ...routes.filter((route) => !isDirect(route))];
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
