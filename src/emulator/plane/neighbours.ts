import type { Addr, Mac } from '../address.ts';

export interface Neighbour {
  readonly interface: number;
  readonly addr: Addr;
  mac: Mac;
  /** Set by the API: never replaced by what is learned, never aged. */
  isStatic: boolean;
  /** VPP's `ip_neighbor_flags`: 1 static, 2 no FIB entry. */
  flags: number;
  /** Seconds, when it was learned or refreshed. */
  seen: number;
}

/** Neighbours at most; VPP's default limit a family is 50,000. */
const neighboursMax = 100_000;

/** Time between two solicitations of the same address, seconds: VPP's glean throttle is shorter. */
const solicitSeconds = 0.1;

export interface Neighbours {
  /** Told about every neighbour that is learned anew or moves. */
  onLearned: ((neighbour: Neighbour) => void) | undefined;
  readonly all: ReadonlyMap<string, Neighbour>;
  find(interfaceIndex: number, addr: Addr): Neighbour | undefined;
  put(neighbour: Neighbour): void;
  remove(interfaceIndex: number, addr: Addr): boolean;
  removeInterface(interfaceIndex: number): void;
  /** Records what a packet told, unless a static entry says otherwise. */
  learn(interfaceIndex: number, addr: Addr, mac: Mac, now: number): void;
  /** Whether it is time to ask for an address again. */
  mayAsk(interfaceIndex: number, addr: Addr, now: number): boolean;
}

export function createNeighbours(): Neighbours {
  const all = new Map<string, Neighbour>();
  const asked = new Map<string, number>();
  const key = (interfaceIndex: number, addr: Addr) => `${interfaceIndex} ${addr}`;
  const neighbours: Neighbours = {
    onLearned: undefined,
    all,
    find: (interfaceIndex, addr) => all.get(key(interfaceIndex, addr)),
    put(neighbour) {
      all.set(key(neighbour.interface, neighbour.addr), neighbour);
    },
    remove: (interfaceIndex, addr) => all.delete(key(interfaceIndex, addr)),
    removeInterface(interfaceIndex) {
      for (const [k, one] of all) if (one.interface === interfaceIndex) all.delete(k);
    },
    learn(interfaceIndex, addr, mac, now) {
      const k = key(interfaceIndex, addr);
      const known = all.get(k);
      if (known?.isStatic === true) return;
      if (known === undefined && all.size >= neighboursMax) return;
      asked.delete(k);
      const learned = {
        interface: interfaceIndex,
        addr,
        mac,
        isStatic: false,
        flags: 0,
        seen: now,
      };
      all.set(k, learned);
      if (known?.mac !== mac) neighbours.onLearned?.(learned);
    },
    mayAsk(interfaceIndex, addr, now) {
      const k = key(interfaceIndex, addr);
      const last = asked.get(k);
      if (last !== undefined && now - last < solicitSeconds) return false;
      if (asked.size >= neighboursMax) asked.clear();
      asked.set(k, now);
      return true;
    },
  };
  return neighbours;
}
