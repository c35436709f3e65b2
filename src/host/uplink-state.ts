import {
  type Family,
  familyOf,
  type Ip,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixLength,
} from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import type { Uplink } from '../model/facts.ts';
import type { LinkAddress } from './addresses.ts';
import type { Offload } from './offload.ts';
import type { DumpedRoute } from './routes.ts';

/**
 * What the uplink was like before VPP took it: enough to put everything back, and to finish a
 * claim that a crash cut short. Written durably before the first change.
 */
export interface UplinkState {
  readonly version: 1;
  /** A release is under way: it must be finished before anything else. */
  readonly releasing?: true;
  readonly interface: string;
  readonly mac: string;
  readonly mtu: number;
  readonly noArp: boolean;
  readonly allMulticast: boolean;
  readonly addresses: readonly Omit<LinkAddress, 'link' | 'scope'>[];
  readonly routes: readonly RecordedRoute[];
  /** Addresses that the node had under this claim and has no longer. */
  readonly goneAddresses?: readonly Ip[];
  readonly offloads: Partial<Record<Offload, boolean>>;
  /** `family/name` → value, of the sysctls that a claim changes. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly hostLink: {
    readonly hostInterface: string;
    readonly vppInterface: string;
    readonly hostMac: string;
    readonly vppMac: string;
  };
}

/** A route of the uplink, as it was there. */
export interface RecordedRoute extends Omit<DumpedRoute, 'link'> {
  /**
   * Its owner put it back after we had moved it. It may stay then: ours has a better metric.
   */
  readonly outbid?: true;
}

export function formatUplinkState(state: UplinkState): string {
  return `${JSON.stringify(state, undefined, 2)}\n`;
}

/** Reads our own file back; it may be damaged or made by another version. */
export function parseUplinkState(text: string): Parsed<UplinkState> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return rejected(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const state = value as UplinkState; // Every field that is used is looked at below.
  if (typeof value !== 'object' || value === null) return rejected('not an object');
  if (state.version !== 1) return rejected(`version ${JSON.stringify(state.version)} is not 1`);
  const { hostLink } = state;
  const texts = {
    interface: state.interface,
    mac: state.mac,
    'hostLink.hostInterface': hostLink?.hostInterface,
    'hostLink.vppInterface': hostLink?.vppInterface,
    'hostLink.hostMac': hostLink?.hostMac,
    'hostLink.vppMac': hostLink?.vppMac,
  };
  for (const [field, entry] of Object.entries(texts)) {
    if (typeof entry !== 'string' || entry === '') return rejected(`${field} is missing`);
  }
  if (!Number.isInteger(state.mtu)) return rejected('mtu is not a number');
  if (!Array.isArray(state.addresses) || !state.addresses.every(isAddress)) {
    return rejected('addresses are damaged');
  }
  if (!Array.isArray(state.routes) || !state.routes.every(isRoute)) {
    return rejected('routes are damaged');
  }
  if (typeof state.offloads !== 'object' || typeof state.sysctls !== 'object') {
    return rejected('offloads or sysctls are missing');
  }
  return parsed(state);
}

/** The fact for the planners. */
export function uplinkOf(state: UplinkState): Uplink {
  const routes = bestRoutes(state.routes);
  const gateways = routes.filter(isDefault).flatMap((route) => route.gateways);
  return {
    interface: state.interface,
    addresses: state.addresses.map(({ ip, length }) => ({ ip, length })),
    gateways,
    routes: routes.filter((route) => !isDefault(route)),
    mtu: state.mtu,
    mac: state.mac,
    hostLink: {
      vppInterface: state.hostLink.vppInterface,
      vppMac: state.hostLink.vppMac,
      hostMac: state.hostLink.hostMac,
    },
  };
}

/**
 * Of each destination in the main table the route that Linux would use, if it has a gateway.
 * What is on the link itself, but in no subnet of the node, found no answer through VPP 26.06.
 */
function bestRoutes(all: readonly RecordedRoute[]) {
  const best = new Map<Prefix, RecordedRoute>();
  for (const route of all) {
    if (route.table !== undefined || route.tos !== undefined) continue;
    const known = best.get(route.prefix);
    if (known === undefined || (route.metric ?? 0) < (known.metric ?? 0))
      best.set(route.prefix, route);
  }
  return [...best.values()].flatMap((route) => {
    const hops = route.hops ?? [route];
    const gateways = hops.flatMap(({ gateway }) => (gateway === undefined ? [] : [gateway]));
    return gateways.length === 0 ? [] : [{ prefix: route.prefix, gateways }];
  });
}

/** The node's addresses of one family, in the kernel's order. */
export function addressesOf(state: UplinkState, family: Family): UplinkState['addresses'] {
  return state.addresses.filter(({ ip }) => familyOf(ip) === family);
}

export function isDefault(route: Pick<DumpedRoute, 'prefix'>): boolean {
  return prefixLength(route.prefix) === 0;
}

function isAddress(value: { ip?: unknown; length?: unknown; flags?: unknown }): boolean {
  return (
    typeof value?.ip === 'string' &&
    parseIp(value.ip) === value.ip &&
    Number.isInteger(value.length) &&
    Number.isInteger(value.flags)
  );
}

function isRoute(value: { prefix?: unknown; gateway?: unknown; hops?: unknown }): boolean {
  if (typeof value?.prefix !== 'string' || parsePrefix(value.prefix) !== value.prefix) return false;
  const hops = value.hops ?? [value];
  return Array.isArray(hops) && hops.every((hop) => isGateway(hop?.gateway));
}

function isGateway(value: unknown): value is Ip | undefined {
  return value === undefined || (typeof value === 'string' && parseIp(value) === value);
}
