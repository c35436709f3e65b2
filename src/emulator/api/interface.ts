import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { formatMac, type Mac, mac } from '../address.ts';
import { type Interface, isVirtual, noInterface } from '../plane/interfaces.ts';
import { removeAddress } from './address.ts';
import { onInterface, sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** `vl_api_if_status_flags_t`. */
const statusFlag = { adminUp: 1, linkUp: 2 } as const;

/** Interfaces and their properties. Source: VPP v26.06 `vnet/interface_api.c`. */
export function interfaceAnswers(world: World): Answers {
  return { ...propertyAnswers(world), ...loopbackAnswers(world) };
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
  return one.kind === 'tunnel' && one.mac === undefined ? 65_516 : 9000;
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
  plane.acl.removeInterface(one.index);
  plane.sources.unbind(one.index);
  plane.abf.removeInterface(one.index);
  world.bfd.removeInterface(one.index);
  plane.neighbours.removeInterface(one.index);
  for (const other of plane.interfaces.all.values())
    if (other.unnumbered === one.index) other.unnumbered = undefined;
  plane.interfaces.remove(one.index);
  plane.fib.touch();
  world.interfaceChanged(one, true);
}
