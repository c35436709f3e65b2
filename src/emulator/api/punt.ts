import type { FibPath } from '../fib/paths.ts';
import { noInterface } from '../plane/interfaces.ts';
import { puntKey } from '../plane/local.ts';
import { describePath, readPath } from './ip.ts';
import { type Answers, Retval, type World } from './world.ts';

/** What goes to the host. Source: VPP v26.06 `vnet/ip/punt.c`, `ip_punt_drop.c`. */
export function puntAnswers(world: World): Answers {
  const { plane } = world;
  return {
    set_punt(fields) {
      const l4 = fields.punt.type === 0 ? fields.punt.punt.l4 : undefined;
      // Only UDP and TCP by port; a single TCP port is refused. Source: `vnet/ip/punt.c`.
      if (l4 === undefined || (l4.protocol !== 17 && l4.protocol !== 6))
        return { retval: Retval.unspecified };
      if (l4.protocol === 6 && l4.port !== 0xffff) return { retval: Retval.unspecified };
      if (l4.protocol === 17 && l4.port === 0xffff)
        plane.puntUdp[l4.af === 1 ? 6 : 4] = fields.is_add;
      return { retval: 0 };
    },
    add_del_ip_punt_redirect_v2(fields) {
      const { punt } = fields;
      const family = punt.af === 1 ? 6 : 4;
      const key = puntKey(family, punt.rx_sw_if_index);
      const path = punt.paths[0] === undefined ? undefined : readPath(punt.paths[0]);
      if (!fields.is_add || path?.interface === undefined) plane.punts.delete(key);
      else {
        plane.punts.set(key, {
          receivedOn: punt.rx_sw_if_index,
          family,
          interface: path.interface,
          nextHop: path.nextHop,
        });
      }
      return { retval: 0 };
    },
    *ip_punt_redirect_v2_dump(fields) {
      for (const redirect of plane.punts.values()) {
        if (redirect.family !== (fields.af === 1 ? 6 : 4)) continue;
        const wanted =
          fields.sw_if_index === noInterface || fields.sw_if_index === redirect.receivedOn;
        if (!wanted) continue;
        const path: FibPath = {
          type: 0,
          interface: redirect.interface,
          nextHop: redirect.nextHop,
          weight: 1,
          preference: 0,
          flags: 0,
          tableId: 0,
        };
        yield {
          punt: {
            rx_sw_if_index: redirect.receivedOn,
            af: redirect.family === 6 ? 1 : 0,
            paths: [describePath(path, redirect.family)],
          },
        };
      }
    },
  };
}
