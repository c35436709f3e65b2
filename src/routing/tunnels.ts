import { familyOf, type Ip, ipBytes, type Prefix } from '../core/ip.ts';
import { farEndAddresses } from '../core/link-addresses.ts';
import { permitAll } from '../desired/filters.ts';
import {
  edgeName,
  receivingTunnelName,
  tunnelName,
  uplinkName,
  wayOutName,
} from '../desired/names.ts';
import type { Rows } from '../desired/plan.ts';
import type { NeighbourRow, RoutePath, TunnelRow } from '../desired/rows.ts';
import type { Config } from '../model/config.ts';
import { type Encapsulation, encapsulationTo, overheadOf } from '../model/encapsulation.ts';
import type { Node, Uplink } from '../model/facts.ts';
import { isOnLink } from './uplink.ts';

interface Ends {
  readonly source: Ip;
  readonly destination: Ip;
}

interface Ground {
  readonly uplink: Uplink;
  readonly config: Config;
}

/** What is needed to exchange packets of pods with another node, `self` being this one. */
export function planTunnels(node: Node, self: Node | undefined, { uplink, config }: Ground): Rows {
  const sends = encapsulationTo(node, config);
  const receives = [...new Set([encapsulationTo(self, config), ...config.overlay.accept])];
  const tunnels = node.internalIps
    .filter((remote) => needsTunnel(uplink, config, remote))
    .flatMap((destination) => {
      const own = uplink.addresses.find((a) => familyOf(a.ip) === familyOf(destination));
      if (own === undefined) return [];
      const ends = { source: own.ip, destination };
      const all = [sending(sends, ends, { uplink, config })];
      for (const kind of receives) all.push(receiving(kind, ends, { uplink, config }));
      // Of most kinds, what sends receives too.
      return [...new Map(all.map((tunnel) => [tunnel.name, tunnel])).values()];
    });
  const names = tunnels.map((tunnel) => tunnel.name);
  const wayOut = tunnels.some((tunnel) => tunnel.kind === 'vxlan' && tunnel.direction === 'out');
  const loopback = wayOut ? [wayOutName] : [];
  return {
    interfaces: loopback.map((name) => ({
      name,
      kind: 'loopback',
      role: 'gate',
      mac: wayOutMac,
      mtu: uplink.mtu,
    })),
    tunnels,
    addresses: [...loopback, ...names].map((name) => ({
      kind: 'borrowed',
      interface: name,
      from: uplinkName,
    })),
    neighbours: [
      ...loopback.flatMap((name) => neighboursOn(name, wayOutMac)),
      ...tunnels.flatMap(farEndsOf),
    ],
    filterLists: names.map((name) => ({
      interface: name,
      input: [edgeName, permitAll.name],
      output: [],
    })),
    natInterfaces: names.map((name) => ({ interface: name, role: 'tunnel' })),
    tunnelStates: names.map((name) => ({ interface: name, up: true })),
    linkStates: loopback.map((name) => ({ interface: name, up: true })),
  };
}

function sending(kind: Encapsulation, ends: Ends, ground: Ground): TunnelRow {
  const { destination, source } = ends;
  const common = { name: tunnelName(kind, destination), ...ends, mtu: mtuOf(kind, ends, ground) };
  if (kind !== 'vxlan') return { ...common, kind };
  const vni = ground.config.overlay.vxlanVni;
  return { ...common, kind, direction: 'out', vni, mac: frameMac(source) };
}

function receiving(kind: Encapsulation, ends: Ends, ground: Ground): TunnelRow {
  const row = sending(kind, ends, ground);
  if (row.kind !== 'vxlan') return row;
  return { ...row, name: receivingTunnelName(row.kind, ends.destination), direction: 'in' };
}

function mtuOf(kind: Encapsulation, { destination }: Ends, { uplink }: Ground): number {
  return uplink.mtu - overheadOf(kind, familyOf(destination));
}

/** VXLAN carries frames, so the other end has a MAC address, which both ends know beforehand. */
function farEndsOf(row: TunnelRow): NeighbourRow[] {
  if (row.kind !== 'vxlan' || row.direction === 'in') return [];
  return neighboursOn(row.name, frameMac(row.destination));
}

function neighboursOn(name: string, mac: string): NeighbourRow[] {
  return ([4, 6] as const).map((family) => ({
    interface: name,
    ip: farEndAddresses[family],
    mac,
  }));
}

/** Locally administered; nobody on a wire ever sees it. */
const wayOutMac = '02:6b:76:70:00:04';

/** Locally administered, from the last 32 bits of the node's address; seen inside of VXLAN only. */
function frameMac(address: Ip): string {
  const bytes = Buffer.from(ipBytes(address)).subarray(-4);
  return `02:6b:${bytes.toString('hex').replace(/(..)(?=.)/g, '$1:')}`;
}

/** The way of packets for `prefix` to another node, as that node wants them. */
export function tunnelPath(
  kind: Encapsulation,
  { prefix, nextHop }: { readonly prefix: Prefix; readonly nextHop: Ip },
): RoutePath {
  const name = tunnelName(kind, nextHop);
  return kind === 'vxlan'
    ? { kind: 'forward', interface: name, nextHop: farEndAddresses[familyOf(prefix)] }
    : { kind: 'forward', interface: name };
}

/** Whether packets for a node's pods are encapsulated. */
export function needsTunnel(uplink: Uplink, config: Config, nodeAddress: Ip): boolean {
  switch (config.overlay.mode) {
    case 'none':
      return false;
    case 'full':
      return true;
    case 'subnet':
      return !isOnLink(uplink, nodeAddress);
  }
}
