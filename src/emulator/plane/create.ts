import { createAbf } from '../acl/abf.ts';
import { createAccessLists } from '../acl/acl.ts';
import { createSourceLists } from '../acl/macip.ts';
import { createCnat } from '../cnat/nodes.ts';
import type { CnatLimits } from '../cnat/sessions.ts';
import { createFib } from '../fib/fib.ts';
import { createDrops } from './drops.ts';
import { adjacency, ipLookup } from './forward.ts';
import { icmpError } from './icmp.ts';
import { ethernetInput, ipInput, receiveAgain } from './input.ts';
import { createInterfaces } from './interfaces.ts';
import { ipLocal } from './local.ts';
import { createNeighbours } from './neighbours.ts';
import type { Plane } from './plane.ts';
import { createReassembly } from './reassembly.ts';
import { tunnelOutput } from './tunnel.ts';
import { vxlanOutput } from './vxlan.ts';

/** A data plane as VPP starts it: table 0 of both families, and `local0` as interface 0. */
export function createPlane(nowSeconds: () => number, limits: CnatLimits): Plane {
  const interfaces = createInterfaces();
  const fib = createFib({
    kindOf(index) {
      const one = interfaces.get(index);
      if (one === undefined) return undefined;
      if (!one.adminUp || !one.linkUp) return 'down';
      return one.tunnel === undefined || one.tunnel.vxlan !== undefined
        ? 'ethernet'
        : 'point-to-point';
    },
  });
  const acl = createAccessLists(nowSeconds);
  const plane: Plane = {
    interfaces,
    fib,
    neighbours: createNeighbours(),
    cnat: createCnat(limits, nowSeconds),
    acl,
    abf: createAbf(acl),
    sources: createSourceLists(),
    reassembly: createReassembly(nowSeconds),
    drops: createDrops(),
    punts: new Map(),
    udpPorts: new Map(),
    puntUdp: { 4: false, 6: false },
    vxlanPorts: { 4: new Set(), 6: new Set() },
    now: nowSeconds,
    outputs: undefined,
    next: {
      ipInput: (packet) => ipInput(plane, packet),
      ipLookup: (packet) => ipLookup(plane, packet),
      ipLocal: (packet) => ipLocal(plane, packet),
      icmpError: (packet, type, code, word) => icmpError(plane, packet, type, code, word),
      adjacency: (packet, out, nextHop) => adjacency(plane, packet, out, nextHop),
      tunnel: (packet, out) => tunnelOutput(plane, packet, out),
      frameTunnel: (packet, out, frame) => vxlanOutput(plane, packet, { out, frame }),
      ethernetInput: (rx, frame, steps, depth) => ethernetInput(plane, rx, frame, { steps, depth }),
      receiveAgain: (packet, on) => receiveAgain(plane, packet, on),
    },
  };
  interfaces.add({ name: 'local0', kind: 'local', devType: 'local', mtu: 0 });
  return plane;
}
