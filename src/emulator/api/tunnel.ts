import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { addrFromIp, ipFromAddr } from '../address.ts';
import { type Interface, noInterface, type Tunnel } from '../plane/interfaces.ts';
import { removeInterface } from './interface.ts';
import { sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** IPIP and GRE tunnels. Source: VPP v26.06 `vnet/ipip/ipip_api.c`, `plugins/gre/gre_api.c`. */
export function tunnelAnswers(world: World): Answers {
  const add = (tunnel: Omit<Tunnel, 'instance'>, wanted: number) => {
    const failed = (retval: number) => ({ retval, sw_if_index: noInterface });
    const family = tunnel.source.length === 4 ? 4 : 6;
    if (world.plane.fib.table(family, tunnel.tableId) === undefined)
      return failed(Retval.noSuchFib);
    if (tunnels(world, tunnel.protocol).some((one) => sameEnds(one, tunnel)))
      return failed(Retval.ifAlreadyExists);
    const taken = new Set(tunnels(world, tunnel.protocol).map((one) => one.tunnel?.instance));
    let instance = wanted === noInterface ? 0 : wanted;
    while (wanted === noInterface && taken.has(instance)) instance++;
    if (taken.has(instance)) return failed(Retval.ifAlreadyExists);
    const one = world.plane.interfaces.add({
      name: `${tunnel.protocol}${instance}`,
      kind: 'tunnel',
      devType: tunnel.protocol === 'ipip' ? 'IPIP tunnel device' : 'GRE tunnel device',
      tunnel: { ...tunnel, instance },
    });
    return { retval: 0, sw_if_index: one.index };
  };
  const remove = (one: Interface | undefined) => {
    if (one?.tunnel === undefined) return { retval: Retval.noSuchEntry };
    removeInterface(world, one);
    return { retval: 0 };
  };
  return {
    ipip_add_tunnel: ({ tunnel }) =>
      add(
        {
          ...ends(tunnel),
          protocol: 'ipip',
          tableId: tunnel.table_id,
          dscp: tunnel.dscp,
          flags: tunnel.flags,
          mode: tunnel.mode,
          vxlan: undefined,
        },
        tunnel.instance,
      ),
    ipip_del_tunnel: (fields) => remove(world.plane.interfaces.get(fields.sw_if_index)),
    *ipip_tunnel_dump(fields) {
      for (const one of tunnels(world, 'ipip', fields.sw_if_index)) yield describeIpip(one);
    },
    gre_tunnel_add_del_v2({ is_add: isAdd, tunnel }) {
      // Ethernet and ERSPAN tunnels carry frames, and keys tell tunnels apart: not in this plane.
      if (tunnel.type !== 0 || tunnel.key !== 0)
        return { retval: Retval.invalidValue, sw_if_index: noInterface };
      const wanted: Omit<Tunnel, 'instance'> = {
        ...ends(tunnel),
        protocol: 'gre',
        tableId: tunnel.outer_table_id,
        dscp: 0,
        flags: tunnel.flags,
        mode: tunnel.mode,
        vxlan: undefined,
      };
      if (isAdd) return add(wanted, tunnel.instance);
      const one = tunnels(world, 'gre').find((other) => sameEnds(other, wanted));
      return { ...remove(one), sw_if_index: one?.index ?? noInterface };
    },
    *gre_tunnel_v2_dump(fields) {
      for (const one of tunnels(world, 'gre', fields.sw_if_index)) yield describeGre(one);
    },
  };
}

function ends(tunnel: Pick<FieldsOf<'ipip_add_tunnel'>['tunnel'], 'src' | 'dst'>) {
  return { source: addrFromIp(tunnel.src), target: addrFromIp(tunnel.dst) };
}

function sameEnds(one: Interface, other: Pick<Tunnel, 'source' | 'target' | 'tableId'>): boolean {
  const { tunnel } = one;
  return (
    tunnel?.source === other.source &&
    tunnel.target === other.target &&
    tunnel.tableId === other.tableId
  );
}

type TunnelInterface = Interface & { readonly tunnel: Tunnel };

function tunnels(
  world: World,
  protocol: Tunnel['protocol'],
  wanted = noInterface,
): TunnelInterface[] {
  const isOne = (one: Interface): one is TunnelInterface => one.tunnel?.protocol === protocol;
  const all = sorted(world).filter(isOne);
  return wanted === noInterface ? all : all.filter((one) => one.index === wanted);
}

function describeIpip(one: TunnelInterface): FieldsOf<'ipip_tunnel_details'> {
  const { tunnel } = one;
  return {
    tunnel: {
      instance: tunnel.instance,
      src: ipFromAddr(tunnel.source),
      dst: ipFromAddr(tunnel.target),
      sw_if_index: one.index,
      table_id: tunnel.tableId,
      flags: tunnel.flags,
      mode: tunnel.mode,
      dscp: tunnel.dscp,
    },
  };
}

function describeGre(one: TunnelInterface): FieldsOf<'gre_tunnel_v2_details'> {
  const { tunnel } = one;
  return {
    tunnel: {
      type: 0,
      mode: tunnel.mode,
      flags: tunnel.flags,
      session_id: 0,
      instance: tunnel.instance,
      outer_table_id: tunnel.tableId,
      sw_if_index: one.index,
      src: ipFromAddr(tunnel.source),
      dst: ipFromAddr(tunnel.target),
      key: 0,
    },
  };
}
