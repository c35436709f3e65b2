import { type Addr, addrInPrefix, type Family, linkLocalFromMac, type Mac } from '../address.ts';

/** VPP's `sw_if_index` of "no interface". */
export const noInterface = 0xffff_ffff;

/** MTU of a fresh VPP interface, bytes, whatever the link beneath can carry (facts: observed). */
export const defaultMtu = 9000;

export interface InterfaceAddress {
  readonly addr: Addr;
  readonly length: number;
}

/** What VXLAN adds to the ends of a tunnel. */
export interface VxlanTunnel {
  readonly vni: number;
  /** UDP port on which we listen. */
  readonly ownPort: number;
  readonly targetPort: number;
  /** Number of the node that gets opened packets, of `vxlan4-input` or `vxlan6-input`. */
  readonly decapNext: number;
  /** That node is `ethernet-input`; any other drops what a tunnel of a node carries. */
  readonly toEthernet: boolean;
}

/** Both ends of a tunnel that carries IP in IP or in GRE, or Ethernet in VXLAN. */
export interface Tunnel {
  readonly protocol: 'ipip' | 'gre' | 'vxlan';
  readonly instance: number;
  readonly source: Addr;
  readonly target: Addr;
  readonly tableId: number;
  readonly dscp: number;
  readonly flags: number;
  readonly mode: number;
  /** VXLAN only. */
  readonly vxlan: VxlanTunnel | undefined;
}

export interface Counters {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  drops: number;
  rxErrors: number;
  txErrors: number;
  ip4: number;
  ip6: number;
  punts: number;
}

/** Counts by the family of packets. */
export type FeatureCount = { 4: number; 6: number };

/** The features that cnat puts on the arcs of an interface. */
export interface CnatFeatures {
  readonly lookup: FeatureCount;
  readonly input: FeatureCount;
  readonly output: FeatureCount;
  readonly writeback: FeatureCount;
}

export type InterfaceKind = 'local' | 'loopback' | 'af-packet' | 'port' | 'tunnel' | 'memif';

export interface Interface {
  readonly index: number;
  readonly name: string;
  readonly kind: InterfaceKind;
  /** What VPP calls `interface_dev_type`. */
  readonly devType: string;
  /** Absent on tunnels of packets; those of frames have one. */
  mac: Mac | undefined;
  tag: string;
  adminUp: boolean;
  linkUp: boolean;
  /** L3, IPv4, IPv6 and MPLS MTU; 0 in the last three means: the first. */
  mtu: [number, number, number, number];
  readonly addresses: InterfaceAddress[];
  /** Index of the interface whose addresses this one borrows. */
  unnumbered: number | undefined;
  ip6Enabled: boolean;
  tableId: { 4: number; 6: number };
  /**
   * How often each of cnat's features was enabled. VPP puts the nodes on the arcs once for each
   * time (observed), and a second `cnat-lookup` finds what the first one made: nothing is new to
   * `cnat-input`.
   */
  readonly cnat: CnatFeatures;
  mssClamp: { direction: number; ip4: number; ip6: number } | undefined;
  /** Full reassembly on input, by family. */
  reassembly: { 4: boolean; 6: boolean };
  readonly tunnel: Tunnel | undefined;
  /** Takes a frame out of the data plane. */
  transmit: ((frame: Buffer) => void) | undefined;
  /** Kernel name, for af-packet. */
  readonly hostName: string | undefined;
  readonly counters: Counters;
}

export interface InterfaceOptions {
  readonly name: string;
  readonly kind: InterfaceKind;
  readonly devType: string;
  readonly mac?: Mac;
  readonly tunnel?: Tunnel;
  readonly hostName?: string;
  readonly linkUp?: boolean;
  readonly mtu?: number;
}

export interface Interfaces {
  readonly all: ReadonlyMap<number, Interface>;
  get(index: number): Interface | undefined;
  byName(name: string): Interface | undefined;
  add(options: InterfaceOptions): Interface;
  remove(index: number): void;
  /** The interface whose addresses `one` speaks with: itself, or the lender. */
  lender(one: Interface): Interface;
  /** Whether IP packets of the family may enter: it has or borrows an address, or is enabled. */
  speaks(one: Interface, family: Family): boolean;
  /** The best own address to talk to `peer` from this interface, or undefined. */
  sourceFor(one: Interface, peer: Addr): Addr | undefined;
}

export function createInterfaces(): Interfaces {
  const all = new Map<number, Interface>();
  const freed: number[] = [];
  const lender = (one: Interface) =>
    one.unnumbered === undefined ? one : (all.get(one.unnumbered) ?? one);
  return {
    all,
    get: (index) => all.get(index),
    byName: (name) => [...all.values()].find((one) => one.name === name),
    add(options) {
      // VPP reuses the index of a deleted interface at once (facts: 60 cycles, the same index).
      const one = createInterface(freed.pop() ?? all.size, options);
      all.set(one.index, one);
      return one;
    },
    remove(index) {
      if (all.delete(index)) freed.push(index);
    },
    lender,
    speaks: (one, family) => {
      const from = lender(one);
      if (family === 6 && (one.ip6Enabled || from.ip6Enabled)) return true;
      return from.addresses.some((a) => a.addr.length === (family === 4 ? 4 : 16));
    },
    sourceFor: (one, peer) => sourceAddress(lender(one), peer) ?? sourceAddress(one, peer),
  };
}

/** Loopbacks and tunnels have a link while they are up, and only then (observed). */
export function isVirtual(kind: InterfaceKind): boolean {
  return kind === 'loopback' || kind === 'tunnel' || kind === 'local';
}

function createInterface(index: number, options: InterfaceOptions): Interface {
  return {
    index,
    name: options.name,
    kind: options.kind,
    devType: options.devType,
    mac: options.mac,
    tag: '',
    adminUp: false,
    linkUp: options.linkUp ?? !isVirtual(options.kind),
    mtu: [options.mtu ?? defaultMtu, 0, 0, 0],
    addresses: [],
    unnumbered: undefined,
    ip6Enabled: false,
    tableId: { 4: 0, 6: 0 },
    cnat: {
      lookup: { 4: 0, 6: 0 },
      input: { 4: 0, 6: 0 },
      output: { 4: 0, 6: 0 },
      writeback: { 4: 0, 6: 0 },
    },
    mssClamp: undefined,
    reassembly: { 4: false, 6: false },
    tunnel: options.tunnel,
    transmit: undefined,
    hostName: options.hostName,
    counters: {
      rxPackets: 0,
      rxBytes: 0,
      txPackets: 0,
      txBytes: 0,
      drops: 0,
      rxErrors: 0,
      txErrors: 0,
      ip4: 0,
      ip6: 0,
      punts: 0,
    },
  };
}

function sourceAddress(one: Interface, peer: Addr): Addr | undefined {
  const sameFamily = one.addresses.filter((a) => a.addr.length === peer.length);
  const covering = sameFamily.find((a) => addrInPrefix(peer, a.addr, a.length));
  const linkLocalPeer = peer.length === 16 && peer.startsWith('\xfe\x80');
  if (linkLocalPeer || (peer.length === 16 && sameFamily.length === 0)) return linkLocalOf(one);
  return (covering ?? sameFamily[0])?.addr;
}

/** The link-local address of an interface on which IPv6 is enabled. */
export function linkLocalOf(one: Interface): Addr | undefined {
  if (!one.ip6Enabled && !one.addresses.some((a) => a.addr.length === 16)) return undefined;
  const configured = one.addresses.find(
    (a) => a.addr.startsWith('\xfe\x80') && a.addr.length === 16,
  );
  return configured?.addr ?? (one.mac === undefined ? undefined : linkLocalFromMac(one.mac));
}

/** Largest L3 packet that may leave, bytes. */
export function mtuFor(one: Interface, family: Family): number {
  const own = family === 4 ? one.mtu[1] : one.mtu[2];
  return own === 0 ? one.mtu[0] : own;
}

/** Enables a feature once more, or once less. */
export function countFeature(count: FeatureCount, family: Family, enable: boolean): void {
  count[family] = Math.max(0, count[family] + (enable ? 1 : -1));
}
