import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { addrFromIp, formatMac, ipFromAddr, mac } from '../address.ts';
import { noInterface } from '../plane/interfaces.ts';
import type { Neighbour } from '../plane/neighbours.ts';
import { type Answers, Retval, type World } from './world.ts';

/** ARP and ND entries. Source: VPP v26.06 `vnet/ip-neighbor/ip_neighbor_api.c`. */
export function neighbourAnswers(world: World): Answers {
  const { interfaces, neighbours } = world.plane;
  return {
    ip_neighbor_add_del(fields) {
      const { neighbor } = fields;
      const failed = { retval: Retval.invalidSwIfIndex, stats_index: noInterface };
      if (interfaces.get(neighbor.sw_if_index) === undefined) return failed;
      const addr = addrFromIp(neighbor.ip_address);
      if (!fields.is_add) {
        const removed = neighbours.remove(neighbor.sw_if_index, addr);
        return { retval: removed ? 0 : Retval.noSuchEntry, stats_index: noInterface };
      }
      neighbours.put({
        interface: neighbor.sw_if_index,
        addr,
        mac: mac(neighbor.mac_address),
        isStatic: (neighbor.flags & 1) !== 0,
        flags: neighbor.flags & 3,
        seen: world.plane.now(),
      });
      return { retval: 0, stats_index: 0 };
    },
    *ip_neighbor_dump(fields) {
      for (const one of neighbours.all.values()) {
        const wanted = fields.sw_if_index === noInterface || fields.sw_if_index === one.interface;
        if (!wanted || (one.addr.length === 16) !== (fields.af === 1)) continue;
        yield {
          age: world.plane.now() - one.seen,
          neighbor: describeNeighbour(one),
        };
      }
    },
    ip_neighbor_flush(fields) {
      for (const one of [...neighbours.all.values()]) {
        const onIt = fields.sw_if_index === noInterface || fields.sw_if_index === one.interface;
        const isIp6 = one.addr.length === 16;
        if (onIt && isIp6 === (fields.af === 1) && !one.isStatic)
          neighbours.remove(one.interface, one.addr);
      }
      return { retval: 0 };
    },
    want_ip_neighbor_events_v2(fields, caller) {
      caller.subscribe('ip_neighbor_event_v2', fields.pid, fields.enable);
      return { retval: 0 };
    },
  };
}

/** A neighbour as dumps and events carry it. */
export function describeNeighbour(one: Neighbour): FieldsOf<'ip_neighbor_details'>['neighbor'] {
  return {
    sw_if_index: one.interface,
    flags: one.flags,
    mac_address: formatMac(one.mac),
    ip_address: ipFromAddr(one.addr),
  };
}
