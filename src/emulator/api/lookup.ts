import type { Interface } from '../plane/interfaces.ts';
import { Retval, type World } from './world.ts';

/** Runs `act` on an interface, or gives VPP's error for an unknown one. */
export function onInterface(world: World, index: number, act: (one: Interface) => number) {
  const one = world.plane.interfaces.get(index);
  return { retval: one === undefined ? Retval.invalidSwIfIndex : act(one) };
}

/** All interfaces by index, as VPP's dumps give them. */
export function sorted(world: World): Interface[] {
  return [...world.plane.interfaces.all.values()].toSorted((a, b) => a.index - b.index);
}
