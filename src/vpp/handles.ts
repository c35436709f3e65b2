import type { InterfaceName } from '../desired/rows.ts';

/**
 * Names to numbers. `sw_if_index` and translation ids are VPP's, valid for one run of VPP, and
 * live only here: filled by replies and, after a reconnect, by dumps.
 */
export interface Handles {
  readonly interfaces: ReadonlyMap<InterfaceName, number>;
  /** Translation ids by the key of their row. */
  readonly translations: Map<string, number>;
  /** Keys of those of the translations that choose by the client's address alone. */
  readonly affine: Set<string>;
  /** Indices of VPP's ACLs by the names of filters. */
  readonly filters: Map<string, number>;
  /** Indices of VPP's MACIP ACLs by the interfaces that they are for. */
  readonly sources: Map<InterfaceName, number>;
  /** Interfaces that have filters in VPP. */
  readonly filtered: Set<InterfaceName>;
  setInterface(name: InterfaceName, swIfIndex: number): void;
  removeInterface(name: InterfaceName): void;
  clearInterfaces(): void;
  nameOf(swIfIndex: number): InterfaceName | undefined;
  /** Throws `WaitingForInterface` when VPP has no such interface yet: a later round heals it. */
  need(name: InterfaceName): number;
}

/** A row refers to an interface that is not there yet. */
export class WaitingForInterface extends Error {
  override readonly name = 'WaitingForInterface';

  constructor(interfaceName: InterfaceName) {
    super(`waiting for interface ${interfaceName}`);
  }
}

/** A link of which nothing may be let through unfiltered. */
export class WaitingForFilters extends Error {
  override readonly name = 'WaitingForFilters';

  constructor(interfaceName: InterfaceName) {
    super(`waiting for the filters of ${interfaceName}`);
  }
}

export function createHandles(): Handles {
  const interfaces = new Map<InterfaceName, number>();
  const names = new Map<number, InterfaceName>();
  const filtered = new Set<InterfaceName>();
  return {
    interfaces,
    translations: new Map(),
    affine: new Set(),
    filters: new Map(),
    sources: new Map(),
    filtered,
    setInterface(name, swIfIndex) {
      interfaces.set(name, swIfIndex);
      names.set(swIfIndex, name);
    },
    removeInterface(name) {
      const swIfIndex = interfaces.get(name);
      interfaces.delete(name);
      filtered.delete(name);
      if (swIfIndex !== undefined && names.get(swIfIndex) === name) names.delete(swIfIndex);
    },
    clearInterfaces() {
      interfaces.clear();
      names.clear();
    },
    nameOf: (swIfIndex) => names.get(swIfIndex),
    need(name) {
      const swIfIndex = interfaces.get(name);
      if (swIfIndex === undefined) throw new WaitingForInterface(name);
      return swIfIndex;
    },
  };
}
