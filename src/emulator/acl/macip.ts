import { type Addr, addrInPrefix } from '../address.ts';
import { sourceOf } from '../packet/headers.ts';
import { note, type Packet } from '../plane/packet.ts';

/** Of any MAC address: others are not emulated. */
export interface SourceRule {
  readonly permits: boolean;
  readonly source: { readonly addr: Addr; readonly length: number };
}

export interface SourceList {
  readonly index: number;
  readonly tag: string;
  readonly rules: readonly SourceRule[];
}

/**
 * MACIP ACLs: from which addresses an interface may receive. The longest prefix decides, and what
 * has none is dropped; of a family without rules everything passes.
 * Source: VPP v26.06 `plugins/acl/acl.c`, `macip_create_classify_tables`.
 */
export interface SourceLists {
  readonly all: ReadonlyMap<number, SourceList>;
  /** Indices of lists by interfaces. */
  readonly bindings: ReadonlyMap<number, number>;
  put(index: number | undefined, tag: string, rules: readonly SourceRule[]): SourceList;
  /** Also from the interfaces that have it. */
  remove(index: number): void;
  bind(interfaceIndex: number, index: number): void;
  /** False when the interface has none. */
  unbind(interfaceIndex: number): boolean;
  permits(packet: Packet): boolean;
}

export function createSourceLists(): SourceLists {
  const all = new Map<number, SourceList>();
  const bindings = new Map<number, number>();
  return {
    all,
    bindings,
    put(given, tag, rules) {
      let index = given ?? 0;
      while (given === undefined && all.has(index)) index++;
      const list = { index, tag, rules };
      all.set(index, list);
      return list;
    },
    remove(index) {
      all.delete(index);
      for (const [on, bound] of bindings) if (bound === index) bindings.delete(on);
    },
    bind: (interfaceIndex, index) => void bindings.set(interfaceIndex, index),
    unbind: (interfaceIndex) => bindings.delete(interfaceIndex),
    permits(packet) {
      const index = bindings.get(packet.rx.index);
      if (index === undefined) return true;
      const source = sourceOf(packet.l3, packet.family);
      const ofFamily = (all.get(index)?.rules ?? []).filter(
        (rule) => rule.source.addr.length === source.length,
      );
      const [found] = ofFamily
        .filter((rule) => addrInPrefix(source, rule.source.addr, rule.source.length))
        .toSorted((a, b) => b.source.length - a.source.length);
      const permits = ofFamily.length === 0 || found?.permits === true;
      if (!permits) note(packet, `ip${packet.family}-inacl`, 'not an address of the interface');
      return permits;
    },
  };
}
