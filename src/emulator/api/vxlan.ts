import { randomBytes } from 'node:crypto';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { addrFromIp, ipFromAddr, isMulticast, mac } from '../address.ts';
import { type Interface, noInterface, type Tunnel, type VxlanTunnel } from '../plane/interfaces.ts';
import { removeInterface } from './interface.ts';
import { sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** Where a fresh `vxlan4-input` or `vxlan6-input` can hand packets to, by number. */
const decapNexts = ['error-drop', 'l2-input'] as const;
/** The nodes that can be added to them; anything else is not in this graph. */
const knownNodes = ['ethernet-input', 'ip4-input', 'ip6-input'] as const;

const defaultPort = 4789;

type Add = FieldsOf<'vxlan_add_del_tunnel_v3'>;
type VxlanInterface = Interface & { readonly tunnel: Tunnel & { readonly vxlan: VxlanTunnel } };

/** VXLAN tunnels. Source: VPP v26.06 `plugins/vxlan/{vxlan,vxlan_api}.c`, `vlib_api.c`. */
export function vxlanAnswers(world: World): Answers {
  const nexts: Readonly<Record<string, string[]>> = {
    'vxlan4-input': [...decapNexts],
    'vxlan6-input': [...decapNexts],
  };
  const tunnels = () =>
    sorted(world).filter((one): one is VxlanInterface => one.tunnel?.vxlan !== undefined);
  const change = (fields: Add) => {
    const failed = (retval: number) => ({ retval, sw_if_index: noInterface });
    const problem = problemOf(world, fields);
    if (problem !== undefined) return failed(problem);
    const wanted = describeWanted(fields, nexts);
    const known = tunnels().find((one) => sameTunnel(one.tunnel, wanted));
    if (!fields.is_add) {
      if (known === undefined) return failed(Retval.noSuchEntry);
      removeInterface(world, known);
      return { retval: 0, sw_if_index: known.index };
    }
    if (known !== undefined) return failed(Retval.tunnelExists);
    const family = wanted.source.length === 4 ? 4 : 6;
    if (wanted.vxlan.decapNext >= (nexts[`vxlan${family}-input`] ?? []).length)
      return failed(Retval.invalidDecapNext);
    const instance = freeInstance(fields.instance, tunnels());
    if (instance === undefined) return failed(Retval.instanceInUse);
    world.plane.vxlanPorts[family].add(wanted.vxlan.ownPort);
    return { retval: 0, sw_if_index: addInterface(world, { ...wanted, instance }).index };
  };
  return {
    add_node_next({ node_name: node, next_name: next }) {
      const list = nexts[node];
      if (list === undefined) return { retval: Retval.noSuchNode, next_index: noInterface };
      if (!list.includes(next)) {
        if (!knownNodes.some((one) => one === next))
          return { retval: Retval.noSuchNode2, next_index: noInterface };
        list.push(next);
      }
      return { retval: 0, next_index: list.indexOf(next) };
    },
    vxlan_add_del_tunnel_v3: change,
    *vxlan_tunnel_v2_dump(fields) {
      for (const one of tunnels())
        if (fields.sw_if_index === noInterface || fields.sw_if_index === one.index)
          yield describe(one);
    },
  };
}

function problemOf(world: World, fields: Add): number | undefined {
  const source = addrFromIp(fields.src_address);
  const target = addrFromIp(fields.dst_address);
  const family = source.length === 4 ? 4 : 6;
  if (world.plane.fib.table(family, fields.encap_vrf_id) === undefined) return Retval.noSuchFib;
  if (source.length !== target.length) return Retval.invalidValue;
  if (source === target) return Retval.sameSourceAndTarget;
  // Groups need multicast routing, which this data plane does not have.
  if (isMulticast(target)) return Retval.invalidSwIfIndex;
  // Tunnels of packets without a frame carry one family only: nobody here wants them.
  return fields.is_l3 ? Retval.invalidValue : undefined;
}

function describeWanted(
  fields: Add,
  nexts: Readonly<Record<string, readonly string[]>>,
): Omit<VxlanInterface['tunnel'], 'instance'> {
  const source = addrFromIp(fields.src_address);
  const input = `vxlan${source.length === 4 ? 4 : 6}-input`;
  const decapNext =
    fields.decap_next_index === noInterface
      ? decapNexts.indexOf('l2-input')
      : fields.decap_next_index;
  return {
    protocol: 'vxlan',
    source,
    target: addrFromIp(fields.dst_address),
    tableId: fields.encap_vrf_id,
    dscp: 0,
    flags: 0,
    mode: 0,
    vxlan: {
      vni: fields.vni,
      ownPort: fields.src_port === 0 ? defaultPort : fields.src_port,
      targetPort: fields.dst_port === 0 ? defaultPort : fields.dst_port,
      decapNext,
      toEthernet: nexts[input]?.[decapNext] === 'ethernet-input',
    },
  };
}

/** VPP's key of a tunnel; over IPv6 without the own address. */
function sameTunnel(
  one: VxlanInterface['tunnel'],
  other: typeof one | ReturnType<typeof describeWanted>,
) {
  return (
    one.target === other.target &&
    (one.source === other.source || one.source.length === 16) &&
    one.tableId === other.tableId &&
    one.vxlan.vni === other.vxlan.vni &&
    one.vxlan.ownPort === other.vxlan.ownPort
  );
}

function freeInstance(wanted: number, tunnels: readonly VxlanInterface[]): number | undefined {
  const taken = new Set(tunnels.map((one) => one.tunnel.instance));
  if (wanted !== noInterface) return taken.has(wanted) ? undefined : wanted;
  let instance = 0;
  while (taken.has(instance)) instance++;
  return instance;
}

/** VPP brings it up at once, with a MAC address of its own choice. */
function addInterface(world: World, tunnel: Tunnel): Interface {
  const one = world.plane.interfaces.add({
    name: `vxlan_tunnel${tunnel.instance}`,
    kind: 'tunnel',
    devType: 'VXLAN',
    mac: mac(
      `02:fe:${randomBytes(4)
        .toString('hex')
        .replace(/(..)(?=.)/g, '$1:')}`,
    ),
    linkUp: true,
    tunnel,
  });
  one.adminUp = true;
  world.plane.fib.touch();
  return one;
}

function describe(one: VxlanInterface): FieldsOf<'vxlan_tunnel_v2_details'> {
  const { tunnel } = one;
  return {
    sw_if_index: one.index,
    instance: tunnel.instance,
    src_address: ipFromAddr(tunnel.source),
    dst_address: ipFromAddr(tunnel.target),
    src_port: tunnel.vxlan.ownPort,
    dst_port: tunnel.vxlan.targetPort,
    mcast_sw_if_index: noInterface,
    encap_vrf_id: tunnel.tableId,
    decap_next_index: tunnel.vxlan.decapNext,
    vni: tunnel.vxlan.vni,
  };
}
