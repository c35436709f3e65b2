import { addressWithLength, splitAddressWithPrefix } from '../../../native/vpp-api/address.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import {
  type Addr,
  addrFromIp,
  addrInPrefix,
  ipFromAddr,
  isLinkLocal,
  lastAddr,
  maskAddr,
} from '../address.ts';
import { FibSourceId } from '../fib/fib.ts';
import type { FibPath } from '../fib/paths.ts';
import { type Interface, noInterface } from '../plane/interfaces.ts';
import { onInterface, sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** Addresses of interfaces, own and borrowed. Source: VPP v26.06 `vnet/ip/ip4_forward.c`. */
export function addressAnswers(world: World): Answers {
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
    // This plane announces nothing.
    sw_interface_ip6nd_ra_config: (fields) => onInterface(world, fields.sw_if_index, () => 0),
    sw_interface_ip6_enable_disable: (fields) =>
      onInterface(world, fields.sw_if_index, (one) => {
        if (fields.enable === one.ip6Enabled)
          return fields.enable ? Retval.valueExist : Retval.ip6NotEnabled;
        one.ip6Enabled = fields.enable;
        return 0;
      }),
    ip_address_dump: (fields) => addressDetails(world, fields.sw_if_index, fields.is_ipv6),
    *ip_unnumbered_dump(fields) {
      for (const one of sorted(world)) {
        const wanted = fields.sw_if_index === noInterface || fields.sw_if_index === one.index;
        if (!wanted || one.unnumbered === undefined) continue;
        yield { sw_if_index: one.index, ip_sw_if_index: one.unnumbered };
      }
    },
  };
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

/** VPP's return value; the routes of the address go with it. */
export function removeAddress(world: World, one: Interface, given: Given): number {
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

/** The addresses of an interface as the API gives them. */
function* addressDetails(
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
