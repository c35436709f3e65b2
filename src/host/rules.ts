import { type Family, familyOf, hostPrefix, type Ip, ipBytes, ipFromBytes } from '../core/ip.ts';
import { addressFamily } from './addresses.ts';
import type { Netlink } from './netlink.ts';
import { isErrno } from './netlink-error.ts';
import {
  type Attribute,
  encodeAttributes,
  messageFlags,
  parseAttributes,
  text,
  u8,
  u32,
} from './netlink-wire.ts';
import { addRoute, deleteRoute, formatRoute, type KernelRoute, listRoutes } from './routes.ts';

/**
 * The node's own processes reach NodePorts on the node's own addresses through VPP.
 *
 * Linux looks up its local addresses before anything else (rule 0), so such a packet would never
 * leave the kernel. The rule moves behind ours, which take packets of local processes to the
 * node's addresses and a NodePort to VPP. Where no Service has the port, VPP gives the packet
 * back, and it arrives at the local process after all.
 */
export interface NodePortRules {
  /** Index of the kernel's end of the host link. */
  readonly link: number;
  readonly addresses: readonly Ip[];
  /** First and last NodePort. */
  readonly ports: readonly [number, number];
  /** VPP on the host link. */
  readonly gateways: Readonly<Record<Family, Ip>>;
}

/** Our routing table; any number that nobody else uses. */
export const nodePortTable = 10_256;
/** Preference of our rules, and the one to which the kernel's rule for local addresses moves. */
const ownPreference = 50;
const localPreference = 100;
const tableLocal = 255;
const protocols = [6, 17, 132] as const;

const rtmNewRule = 32;
const rtmDelRule = 33;
const rtmGetRule = 34;
const fra = {
  destination: 1,
  inputInterface: 3,
  preference: 6,
  table: 15,
  ipProtocol: 22,
  ports: 24,
} as const;
const actionToTable = 1;

interface Rule {
  readonly family: Family;
  readonly preference: number;
  readonly table: number;
  readonly destination?: Ip;
  readonly protocol?: number;
  readonly ports?: readonly [number, number];
}

/** Adds what is missing, takes away what is too much, and says so, a line each. */
export function putNodePortRules(netlink: Netlink, wanted: NodePortRules): string[] {
  const changes: string[] = [];
  const change = (rule: Rule, add: boolean) => {
    changeRule(netlink, rule, add);
    changes.push(`${formatRule(rule)}${add ? '' : ' gone'}`);
  };
  for (const family of [4, 6] as const) {
    const addresses = wanted.addresses.filter((address) => familyOf(address) === family);
    const held = listRules(netlink, family);
    changes.push(...putTable(netlink, wanted, family, addresses));
    if (addresses.length === 0) continue;
    const own = addresses.flatMap((destination) =>
      protocols.map(
        (protocol): Rule => ({
          family,
          preference: ownPreference,
          table: nodePortTable,
          destination,
          protocol,
          ports: wanted.ports,
        }),
      ),
    );
    const local: Rule = { family, preference: localPreference, table: tableLocal };
    for (const rule of [local, ...own]) if (!includes(held, rule)) change(rule, true);
    for (const rule of held) if (isOurs(rule) && !includes(own, rule)) change(rule, false);
    // The kernel's own goes last: at no moment is there none for local addresses.
    const first: Rule = { family, preference: 0, table: tableLocal };
    if (includes(held, first)) change(first, false);
  }
  return changes;
}

/** Puts the kernel's rule back in its place and takes ours away. */
export function removeNodePortRules(netlink: Netlink): void {
  for (const family of [4, 6] as const) {
    const held = listRules(netlink, family);
    const moved: Rule = { family, preference: localPreference, table: tableLocal };
    if (!includes(held, moved) && !held.some(isOurs)) continue;
    const first: Rule = { family, preference: 0, table: tableLocal };
    if (!includes(held, first)) changeRule(netlink, first, true);
    for (const rule of held)
      if (isOurs(rule) || includes([moved], rule)) changeRule(netlink, rule, false);
    for (const route of listRoutes(netlink, family, undefined, nodePortTable))
      deleteRoute(netlink, route);
  }
}

function putTable(
  netlink: Netlink,
  wanted: NodePortRules,
  family: Family,
  addresses: readonly Ip[],
): string[] {
  const routes = addresses.map((address) => ({
    prefix: hostPrefix(address),
    link: wanted.link,
    gateway: wanted.gateways[family],
    onLink: true,
    source: address,
    table: nodePortTable,
  }));
  const held = listRoutes(netlink, family, undefined, nodePortTable);
  const changes: string[] = [];
  for (const route of held)
    if (!routes.some((one) => isSameWay(one, route))) {
      deleteRoute(netlink, route);
      changes.push(`route ${formatRoute(route)} gone`);
    }
  for (const route of routes)
    if (!held.some((one) => isSameWay(one, route))) {
      addRoute(netlink, route);
      changes.push(`route ${formatRoute(route)}`);
    }
  return changes;
}

/** The kernel takes the source off an IPv6 route when somebody deletes the address. */
function isSameWay(one: KernelRoute, other: KernelRoute): boolean {
  const { prefix, link, gateway, source } = one;
  if (prefix !== other.prefix || link !== other.link) return false;
  return gateway === other.gateway && source === other.source;
}

function isOurs(rule: Rule): boolean {
  return rule.table === nodePortTable;
}

function includes(rules: readonly Rule[], rule: Rule): boolean {
  return rules.some((one) => formatRule(one) === formatRule(rule));
}

function formatRule({ family, preference, table, destination, protocol, ports }: Rule): string {
  const where = `${destination ?? 'all'} ${protocol ?? 'any'} ${ports?.join('-') ?? 'any'}`;
  return `IPv${family} rule ${preference} ${where} table ${table}`;
}

function changeRule(netlink: Netlink, rule: Rule, add: boolean): void {
  const what = `${add ? 'add' : 'delete'} ${formatRule(rule)}`;
  try {
    if (add)
      netlink.request(what, rtmNewRule, {
        flags: messageFlags.create,
        payload: rulePayload(rule),
      });
    else netlink.request(what, rtmDelRule, { payload: rulePayload(rule) });
  } catch (error) {
    if (!isErrno(error, 'EEXIST', 'ENOENT')) throw error;
  }
}

/** struct fib_rule_hdr: u8 family, two lengths, tos, table, two reserved, action; u32 flags. */
function rulePayload(rule: Rule): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(rule.family), 0);
  header.writeUInt8(rule.destination === undefined ? 0 : rule.family === 4 ? 32 : 128, 1);
  header.writeUInt8(rule.table < 256 ? rule.table : 0, 4);
  header.writeUInt8(actionToTable, 7);
  const attributes: Attribute[] = [
    [fra.preference, u32(rule.preference)],
    [fra.table, u32(rule.table)],
  ];
  if (rule.destination !== undefined)
    attributes.push([fra.destination, ipBytes(rule.destination)], [fra.inputInterface, text('lo')]);
  if (rule.protocol !== undefined) attributes.push([fra.ipProtocol, u8(rule.protocol)]);
  if (rule.ports !== undefined) attributes.push([fra.ports, portRange(rule.ports)]);
  return Buffer.concat([header, encodeAttributes(attributes)]);
}

/** struct fib_rule_port_range: u16 start, u16 end. */
function portRange([first, last]: readonly [number, number]): Buffer {
  const range = Buffer.alloc(4);
  range.writeUInt16LE(first, 0);
  range.writeUInt16LE(last, 2);
  return range;
}

/** Rules that only name a table, or what ours name. */
function listRules(netlink: Netlink, family: Family): Rule[] {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  return netlink.dump('list rules', rtmGetRule, header).map(({ payload }): Rule => {
    const attributes = parseAttributes(payload.subarray(12));
    const number = (type: number) => attributes.get(type)?.readUInt32LE(0);
    const destination = attributes.get(fra.destination);
    const ports = attributes.get(fra.ports);
    const protocol = attributes.get(fra.ipProtocol)?.readUInt8(0);
    return {
      family,
      preference: number(fra.preference) ?? 0,
      table: number(fra.table) ?? payload.readUInt8(4),
      ...(destination === undefined ? {} : { destination: ipFromBytes(destination) }),
      ...(protocol === undefined ? {} : { protocol }),
      ...(ports === undefined
        ? {}
        : { ports: [ports.readUInt16LE(0), ports.readUInt16LE(2)] as const }),
    };
  });
}
