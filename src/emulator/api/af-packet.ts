import { randomBytes } from 'node:crypto';
import { type Mac, mac } from '../address.ts';
import { ethernetInput } from '../plane/input.ts';
import { type Interface, noInterface } from '../plane/interfaces.ts';
import { type Link, LinkError, type LinkEvents } from '../port/link.ts';
import { removeInterface } from './interface.ts';
import { sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** Host interfaces. Source: VPP v26.06 `plugins/af_packet/af_packet.c`. */
export function afPacketAnswers(world: World): Answers {
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
