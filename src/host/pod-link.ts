import { familyOf, hostPrefix, type Ip, ip, prefix } from '../core/ip.ts';
import { listAddresses, putAddress } from './addresses.ts';
import {
  createVethPair,
  deleteLink,
  deleteLinkAside,
  findLink,
  linkFlags,
  requireLink,
  setLink,
} from './links.ts';
import { ownNamespace } from './namespace.ts';
import { listNeighbours, putNeighbour } from './neighbours.ts';
import { type Netlink, openNetlink } from './netlink.ts';
import { isErrno } from './netlink-error.ts';
import { disableOffloads, offloads } from './offload.ts';
import { listRoutes, putRoute } from './routes.ts';
import { keepSysctl, writeSysctl } from './sysctl.ts';

/**
 * The Linux half of a pod's interface.
 *
 * The pod has its address as /32 (and /128) and nothing else on the link: everything goes to a
 * gateway that is the same in every pod, 169.254.1.1 and fe80::1, whose MAC is a permanent
 * neighbour. So no packet ever waits for ARP or ND, and VPP needs no proxy ARP (facts measured
 * with VPP 26.06). The host's end is a mere wire to VPP: AF_PACKET taps the frames before the
 * kernel looks at them, and the kernel's own copy must go nowhere: no ARP, no IPv6, no
 * forwarding, and a strict reverse path filter, for which no source is behind this interface.
 */
export interface PodLink {
  readonly kind: 'veth' | 'tap';
  readonly hostInterface: string;
  readonly ifName: string;
  readonly netns: string;
  readonly ips: readonly Ip[];
  readonly mac: string;
  readonly gatewayMac: string;
  readonly mtu: number;
}

/** The pod's gateway of each family. */
export const podGateways: Readonly<Record<4 | 6, Ip>> = { 4: ip('169.254.1.1'), 6: ip('fe80::1') };

const defaultRoutes = { 4: prefix('0.0.0.0/0'), 6: prefix('::/0') } as const;

/** Makes, removes and checks pods' interfaces, with their host's ends in one namespace. */
export interface PodWiring {
  /**
   * Makes the interface; on failure nothing of it is left. Of a tap there is nothing to make:
   * VPP creates it (tap_create_v3) when its row is applied, then `configure` does the rest.
   */
  create(link: PodLink): void;
  /** Addresses, routes and neighbours of an interface that is already in the pod. Idempotent. */
  configure(link: PodLink): void;
  /** Removes the interface, also when the pod's namespace is gone. Idempotent. */
  remove(link: Pick<PodLink, 'kind' | 'hostInterface'>): Promise<void>;
  /** True when the host's end exists; always for a tap, which lives in VPP. */
  exists(link: Pick<PodLink, 'kind' | 'hostInterface'>): boolean;
  /** What is wrong with the interface, as a sentence; undefined when it is as it was made. */
  check(link: PodLink): string | undefined;
}

/** The hosts' ends are in the namespace at `namespace`, by default this process's own. */
export function createPodWiring(namespace: string = ownNamespace): PodWiring {
  return {
    create: (link) => createPodLink(link, namespace),
    configure: configurePodEnd,
    async remove(link) {
      if (link.kind === 'tap') return; // VPP deletes it with its row.
      using host = openNetlink(namespace);
      await deleteLinkAside(host, link.hostInterface);
    },
    exists(link) {
      if (link.kind === 'tap') return true;
      using host = openNetlink(namespace);
      return findLink(host, link.hostInterface) !== undefined;
    },
    check: (link) => checkPodLink(link, namespace),
  };
}

function createPodLink(link: PodLink, namespace: string): void {
  if (link.kind === 'tap') return;
  using host = openNetlink(namespace);
  createVethPair(
    host,
    { name: link.hostInterface, mac: link.gatewayMac, mtu: link.mtu },
    { peer: { name: link.ifName, mac: link.mac, mtu: link.mtu }, peerNamespace: link.netns },
  );
  try {
    silenceKernel(host, link.hostInterface, namespace);
    configurePodEnd(link);
  } catch (error) {
    deleteLink(host, link.hostInterface);
    throw error;
  }
}

function configurePodEnd(link: PodLink): void {
  using pod = openNetlink(link.netns);
  const { index } = requireLink(pod, link.ifName);
  setLink(pod, requireLink(pod, 'lo').index, { up: true });
  if (link.kind === 'veth') disableOffloads(link.ifName, offloads, link.netns);
  const families = new Set(link.ips.map(familyOf));
  const interfaceName = link.ifName;
  writeSysctl(
    { family: 'ipv6', interface: interfaceName, name: 'disable_ipv6' },
    families.has(6) ? '0' : '1',
    link.netns,
  );
  // Routes come from us alone: a router advertisement would add others.
  writeSysctl({ family: 'ipv6', interface: interfaceName, name: 'accept_ra' }, '0', link.netns);
  setLink(pod, index, { mac: link.mac, mtu: link.mtu, up: true });
  for (const address of link.ips) {
    putAddress(pod, { link: index, ip: address, length: familyOf(address) === 4 ? 32 : 128 });
  }
  for (const family of families) {
    const gateway = podGateways[family];
    putNeighbour(pod, { link: index, ip: gateway, mac: link.gatewayMac });
    putRoute(pod, { prefix: hostPrefix(gateway), link: index });
    putRoute(pod, { prefix: defaultRoutes[family], link: index, gateway, onLink: true });
  }
}

function checkPodLink(link: PodLink, namespace: string): string | undefined {
  if (link.kind === 'veth') {
    using host = openNetlink(namespace);
    const hostEnd = findLink(host, link.hostInterface);
    if (hostEnd === undefined) return `host interface ${link.hostInterface} is missing`;
    if ((hostEnd.flags & linkFlags.up) === 0) return `${link.hostInterface} is down`;
    if (hostEnd.mac !== link.gatewayMac) return `${link.hostInterface} has MAC ${hostEnd.mac}`;
  }
  try {
    using pod = openNetlink(link.netns);
    return checkPodEnd(pod, link);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return `network namespace ${link.netns} is missing`;
    throw error;
  }
}

function checkPodEnd(pod: Netlink, link: PodLink): string | undefined {
  const podEnd = findLink(pod, link.ifName);
  if (podEnd === undefined) return `${link.ifName} is missing in the pod`;
  if ((podEnd.flags & linkFlags.up) === 0) return `${link.ifName} is down`;
  if (podEnd.mac !== link.mac) return `${link.ifName} has MAC ${podEnd.mac}`;
  const addresses = new Set(listAddresses(pod, podEnd.index).map((address) => address.ip));
  const neighbours = listNeighbours(pod, podEnd.index);
  for (const address of link.ips) {
    if (!addresses.has(address)) return `${link.ifName} lost its address ${address}`;
    const family = familyOf(address);
    const gateway = podGateways[family];
    const routes = listRoutes(pod, family, podEnd.index);
    if (!routes.some((r) => r.prefix === defaultRoutes[family] && r.gateway === gateway)) {
      return `${link.ifName} lost its default route via ${gateway}`;
    }
    if (!neighbours.some((n) => n.ip === gateway && n.mac === link.gatewayMac)) {
      return `${link.ifName} lost the neighbour ${gateway}`;
    }
  }
  return undefined;
}

/**
 * Makes an interface a wire: up, and its frames reach AF_PACKET sockets only. Used for every
 * interface that VPP opens by af_packet. Strict reverse path filtering (value 1) drops what no
 * route points back to, and no route points to such an interface (ip-sysctl.rst, rp_filter).
 * Says what it had to change, a line each.
 */
export function silenceKernel(netlink: Netlink, name: string, namespace: string): string[] {
  const { index, flags } = requireLink(netlink, name);
  const changes = silentSysctls.flatMap(([sysctl, value]) =>
    keepSysctl({ ...sysctl, interface: name }, value, namespace),
  );
  const switchedOff = disableOffloads(name, offloads, namespace);
  for (const offload of switchedOff) changes.push(`${offload} off on ${name}`);
  const isSilent = (flags & linkFlags.noArp) !== 0;
  const isUp = (flags & linkFlags.up) !== 0;
  if (!isSilent) changes.push(`no ARP on ${name}`);
  if (!isUp) changes.push(`link ${name} up`);
  if (!isSilent || !isUp) setLink(netlink, index, { noArp: true, up: true });
  return changes;
}

/** The sysctls of `silenceKernel`. */
export const silentSysctls = [
  [{ family: 'ipv6', name: 'disable_ipv6' }, '1'],
  [{ family: 'ipv4', name: 'rp_filter' }, '1'],
  [{ family: 'ipv4', name: 'forwarding' }, '0'],
] as const;
