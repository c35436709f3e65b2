import { randomBytes } from 'node:crypto';
import { addressWithLength, splitAddressWithPrefix } from '../../../native/vpp-api/address.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import {
  type Addr,
  addrFromIp,
  addrInPrefix,
  formatMac,
  ipFromAddr,
  isLinkLocal,
  lastAddr,
  type Mac,
  mac,
  maskAddr,
} from '../address.ts';
import { FibSourceId } from '../fib/fib.ts';
import type { FibPath } from '../fib/paths.ts';
import { ethernetInput } from '../plane/input.ts';
import { type Interface, isVirtual, noInterface } from '../plane/interfaces.ts';
import { type Link, LinkError, type LinkEvents } from '../port/link.ts';
import { type Answers, Retval, type World } from './world.ts';

/** `vl_api_if_status_flags_t`. */
const statusFlag = { adminUp: 1, linkUp: 2 } as const;

/** Interfaces and their properties. Source: VPP v26.06 `vnet/interface_api.c`. */
export function interfaceAnswers(world: World): Answers {
  return {
    ...propertyAnswers(world),
    ...ownAddressAnswers(world),
    ...loopbackAnswers(world),
    ...afPacketAnswers(world),
  };
}

/** Runs `act` on an interface, or gives VPP's error for an unknown one. */
function onInterface(world: World, index: number, act: (one: Interface) => number) {
  const one = world.plane.interfaces.get(index);
  return { retval: one === undefined ? Retval.invalidSwIfIndex : act(one) };
}

function propertyAnswers(world: World): Answers {
  const { interfaces, fib } = world.plane;
  return {
    *sw_interface_dump(fields) {
      const { sw_if_index: wanted, name_filter_valid: filtered } = fields;
      const filter = fields.name_filter.toLowerCase();
      for (const one of sorted(world)) {
        const single = !filtered && wanted !== noInterface && wanted !== 0;
        if (single && one.index !== wanted) continue;
        if (filtered && !one.name.toLowerCase().includes(filter)) continue;
        yield describe(one);
      }
    },
    sw_interface_tag_add_del: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        one.tag = fields.is_add ? fields.tag : '';
        return 0;
      }),
    sw_interface_set_flags: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        const up = (fields.flags & statusFlag.adminUp) !== 0;
        if (one.adminUp === up) return 0;
        one.adminUp = up;
        if (isVirtual(one.kind)) one.linkUp = up;
        fib.touch();
        world.interfaceChanged(one, false);
        return 0;
      }),
    sw_interface_set_mtu: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        const [l3 = 0, ip4 = 0, ip6 = 0, mpls = 0] = fields.mtu;
        one.mtu = [l3, ip4, ip6, mpls];
        return 0;
      }),
    sw_interface_set_mac_address: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        one.mac = mac(fields.mac_address);
        return 0;
      }),
    sw_interface_get_mac_address: (fields) => ({
      ...onInterface(world, fields.sw_if_index, () => 0),
      mac_address: formatMac(interfaces.get(fields.sw_if_index)?.mac ?? noMac),
    }),
    sw_interface_set_table: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        const family = fields.is_ipv6 ? 6 : 4;
        if (fib.table(family, fields.vrf_id) === undefined) return Retval.noSuchFib;
        one.tableId[family] = fields.vrf_id;
        return 0;
      }),
    sw_interface_get_table: (fields) => ({
      ...onInterface(world, fields.sw_if_index, () => 0),
      vrf_id: interfaces.get(fields.sw_if_index)?.tableId[fields.is_ipv6 ? 6 : 4] ?? 0,
    }),
    want_interface_events(fields, caller) {
      caller.subscribe('sw_interface_event', fields.pid, fields.enable_disable !== 0);
      return { retval: 0 };
    },
  };
}

function ownAddressAnswers(world: World): Answers {
  const { interfaces } = world.plane;
  return {
    sw_interface_add_del_address: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        if (fields.del_all) {
          for (const address of [...one.addresses]) removeAddress(world, one, address);
          return 0;
        }
        const { address, length } = splitAddressWithPrefix(fields.prefix);
        const given = { addr: addrFromIp(address), length };
        return fields.is_add ? addAddress(world, one, given) : removeAddress(world, one, given);
      }),
    sw_interface_set_unnumbered(fields) {
      // The names in the message are the wrong way round: `sw_if_index` lends.
      const borrower = interfaces.get(fields.unnumbered_sw_if_index);
      if (borrower === undefined) return { retval: Retval.invalidSwIfIndex };
      if (fields.is_add && interfaces.get(fields.sw_if_index) === undefined)
        return { retval: Retval.invalidSwIfIndex2 };
      borrower.unnumbered = fields.is_add ? fields.sw_if_index : undefined;
      return { retval: 0 };
    },
    sw_interface_ip6_enable_disable: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        if (fields.enable === one.ip6Enabled)
          return fields.enable ? Retval.valueExist : Retval.ip6NotEnabled;
        one.ip6Enabled = fields.enable;
        return 0;
      }),
  };
}

function loopbackAnswers(world: World): Answers {
  return {
    create_loopback: (fields) => createLoopback(world, fields.mac_address, undefined),
    create_loopback_instance: (fields) =>
      createLoopback(
        world,
        fields.mac_address,
        fields.is_specified ? fields.user_instance : undefined,
      ),
    delete_loopback: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        if (one.kind !== 'loopback') return Retval.invalidSwIfIndex;
        removeInterface(world, one);
        return 0;
      }),
  };
}

const noMac = '\0\0\0\0\0\0' as Mac;

export function sorted(world: World): Interface[] {
  return [...world.plane.interfaces.all.values()].toSorted((a, b) => a.index - b.index);
}

function describe(one: Interface): FieldsOf<'sw_interface_details'> {
  const flags = (one.adminUp ? statusFlag.adminUp : 0) | (one.linkUp ? statusFlag.linkUp : 0);
  return {
    sw_if_index: one.index,
    sup_sw_if_index: one.index,
    l2_address: formatMac(one.mac ?? noMac),
    flags,
    type: 0,
    link_duplex: 0,
    link_speed: 0,
    link_mtu: linkMtu(one),
    mtu: one.mtu,
    sub_id: 0,
    sub_number_of_tags: 0,
    sub_outer_vlan_id: 0,
    sub_inner_vlan_id: 0,
    sub_if_flags: 0,
    vtr_op: 0,
    vtr_push_dot1q: 0,
    vtr_tag1: 0,
    vtr_tag2: 0,
    outer_tag: 0,
    b_dmac: formatMac(noMac),
    b_smac: formatMac(noMac),
    b_vlanid: 0,
    i_sid: 0,
    interface_name: one.name,
    interface_dev_type: one.devType,
    tag: one.tag,
  };
}

function linkMtu(one: Interface): number {
  if (one.kind === 'local') return 0;
  return one.kind === 'tunnel' ? 65_516 : 9000;
}

interface Given {
  readonly addr: Addr;
  readonly length: number;
}

function addAddress(world: World, one: Interface, given: Given): number {
  if (one.addresses.some((a) => a.addr === given.addr)) {
    // Two checks of VPP meet here; which one speaks depends on the family (observed).
    return given.addr.length === 4 ? Retval.addressInUse : Retval.duplicateIfAddress;
  }
  for (const other of world.plane.interfaces.all.values()) {
    if (other === one || given.addr.length !== 4) continue;
    const clash = other.addresses.some(
      (a) =>
        addrInPrefix(a.addr, given.addr, given.length) ||
        addrInPrefix(given.addr, a.addr, a.length),
    );
    // VPP refuses subnets that overlap on two interfaces of one table.
    if (clash && other.tableId[4] === one.tableId[4]) return Retval.addressInUse;
  }
  one.addresses.push(given);
  putAddressRoutes(world, one, given, true);
  return 0;
}

function removeAddress(world: World, one: Interface, given: Given): number {
  const at = one.addresses.findIndex((a) => a.addr === given.addr && a.length === given.length);
  if (at < 0) return Retval.addressNotFound;
  one.addresses.splice(at, 1);
  putAddressRoutes(world, one, given, false);
  return 0;
}

/** The subnet is attached, the address is local; both under the source "interface". */
function putAddressRoutes(world: World, one: Interface, given: Given, add: boolean): void {
  const bits = given.addr.length * 8;
  const tableId = one.tableId[bits === 32 ? 4 : 6];
  const put = (addr: Addr, length: number, fields: Partial<FibPath>) => {
    const path: FibPath = {
      type: 0,
      interface: one.index,
      nextHop: undefined,
      weight: 1,
      preference: 0,
      flags: 0,
      tableId: 0,
      ...fields,
    };
    world.plane.fib.put(tableId, { addr, length }, FibSourceId.interface, add ? [path] : []);
  };
  const shares = (other: Given) =>
    other.length === given.length && addrInPrefix(other.addr, given.addr, given.length);
  // The subnet stays while another address of the interface is in it.
  const ownsSubnet = add || !one.addresses.some(shares);
  if (ownsSubnet && given.length < bits && !isLinkLocal(given.addr))
    put(given.addr, given.length, {});
  if (ownsSubnet && bits === 32 && given.length <= 30) {
    // The first and the last address of an IPv4 subnet are nobody's.
    const first = maskAddr(given.addr, given.length);
    put(first, 32, { type: 2, interface: undefined });
    put(lastAddr(first, given.length), 32, { type: 2, interface: undefined });
  }
  put(given.addr, bits, { type: 1, nextHop: given.addr });
}

function createLoopback(world: World, wanted: string, instance: number | undefined) {
  const { interfaces } = world.plane;
  let number = instance ?? 0;
  while (instance === undefined && interfaces.byName(`loop${number}`) !== undefined) number++;
  if (interfaces.byName(`loop${number}`) !== undefined)
    return { retval: Retval.invalidValue, sw_if_index: noInterface };
  const given = mac(wanted);
  const own = given === noMac ? (`\xde\xad\0\0\0${String.fromCharCode(number)}` as Mac) : given;
  const one = interfaces.add({
    name: `loop${number}`,
    kind: 'loopback',
    devType: 'Loopback',
    mac: own,
  });
  return { retval: 0, sw_if_index: one.index };
}

/** Removes an interface and what VPP removes with it; routes and cnat's maps stay (facts). */
export function removeInterface(world: World, one: Interface): void {
  const { plane } = world;
  for (const address of [...one.addresses]) removeAddress(world, one, address);
  plane.acl.bind(one.index, { input: [], output: [] });
  plane.neighbours.removeInterface(one.index);
  for (const other of plane.interfaces.all.values())
    if (other.unnumbered === one.index) other.unnumbered = undefined;
  plane.interfaces.remove(one.index);
  plane.fib.touch();
  world.interfaceChanged(one, true);
}

function afPacketAnswers(world: World): Answers {
  const { interfaces } = world.plane;
  const closers = new Map<string, () => void>();
  const byHost = (hostName: string) =>
    sorted(world).find((one) => one.kind === 'af-packet' && one.hostName === hostName);
  return {
    af_packet_create_v3(fields) {
      const hostName = fields.host_if_name;
      const known = byHost(hostName);
      if (known !== undefined) return { retval: Retval.ifAlreadyExists, sw_if_index: known.index };
      const own = fields.use_random_hw_addr ? randomMac() : mac(fields.hw_addr);
      let one: Interface | undefined;
      const link = openLink(world, hostName, own, {
        received: (frame) => {
          if (one !== undefined) ethernetInput(world.plane, one, frame);
        },
        // VPP stays alive, and the interface stays "up" in its dump (facts).
        vanished: () => {
          if (one !== undefined) one.transmit = undefined;
        },
      });
      if (typeof link === 'number') return { retval: link, sw_if_index: noInterface };
      one = interfaces.add({
        name: `host-${hostName}`,
        kind: 'af-packet',
        devType: 'af-packet',
        mac: own,
        hostName,
      });
      one.transmit = (frame) => link.transmit(frame);
      closers.set(hostName, () => link.close());
      return { retval: 0, sw_if_index: one.index };
    },
    af_packet_delete(fields) {
      const one = byHost(fields.host_if_name);
      if (one === undefined) return { retval: Retval.syscallError1 };
      closers.get(fields.host_if_name)?.();
      closers.delete(fields.host_if_name);
      removeInterface(world, one);
      return { retval: 0 };
    },
    *af_packet_dump() {
      for (const one of sorted(world)) {
        if (one.kind !== 'af-packet') continue;
        yield { sw_if_index: one.index, host_if_name: one.hostName ?? '' };
      }
    },
    af_packet_set_l4_cksum_offload: (fields) => ({
      retval: interfaces.get(fields.sw_if_index) === undefined ? Retval.invalidSwIfIndex : 0,
    }),
  };
}

/** The link, or VPP's return value when there is none. */
function openLink(world: World, hostName: string, own: Mac, events: LinkEvents): Link | number {
  try {
    return world.openLink(hostName, own, events) ?? Retval.invalidInterface;
  } catch (error) {
    if (error instanceof LinkError) return Retval.syscallError1;
    throw error;
  }
}

/** Locally administered, unicast. */
function randomMac(): Mac {
  return `\x02\xfe${randomBytes(4).toString('latin1')}` as Mac;
}

/** The addresses of an interface as the API gives them. */
export function* addressDetails(
  world: World,
  index: number,
  isIp6: boolean,
): Iterable<FieldsOf<'ip_address_details'>> {
  const one = world.plane.interfaces.get(index);
  for (const { addr, length } of one?.addresses ?? []) {
    if ((addr.length === 16) !== isIp6) continue;
    yield { sw_if_index: index, prefix: addressWithLength(ipFromAddr(addr), length) };
  }
}
