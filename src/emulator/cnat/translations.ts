import type { Addr, Family } from '../address.ts';
import { flowHash, flowHashDefault } from '../packet/flow-hash.ts';
import type { Tracker } from './flow.ts';
import { buildMaglev } from './maglev.ts';

/** Path and translation flags of the API. Source: VPP v26.06 `cnat.api`, `cnat_translation.h`. */
export const PathFlag = { noNat: 2, active: 4 } as const;
export const TranslationFlag = { noReturnSession: 4, noClient: 8, exclusive: 16 } as const;

export interface TranslationPath {
  readonly addr: Addr;
  readonly port: number;
  readonly sourceAddr: Addr;
  readonly sourcePort: number;
  readonly flags: number;
}

export interface Translation {
  readonly id: number;
  readonly vip: Addr;
  readonly port: number;
  readonly protocol: number;
  /** 0 default, 1 Maglev; VPP takes it, and the hash, only when the translation is made. */
  readonly lbType: number;
  readonly flowHash: number;
  flags: number;
  trackers: readonly Tracker[];
  maglev: Int32Array | undefined;
  packets: number;
  bytes: number;
}

/** Everything but the identity of a translation, as the API gives it. */
export interface TranslationInput {
  readonly vip: Addr;
  readonly port: number;
  readonly protocol: number;
  readonly flags: number;
  readonly lbType: number;
  readonly flowHash: number;
  readonly paths: readonly TranslationPath[];
}

/** The translations of FIB table 0, found by (address, port, protocol) or by id. */
export interface Translations {
  readonly all: ReadonlyMap<number, Translation>;
  /** Makes or changes; keeps the trackers of paths that stay. */
  put(input: TranslationInput): Translation;
  remove(id: number): boolean;
  find(vip: Addr, port: number, protocol: number): Translation | undefined;
  /** Whether any translation has this address. */
  isVip(addr: Addr): boolean;
  purge(): void;
}

export function createTranslations(maglevLength: number): Translations {
  const all = new Map<number, Translation>();
  const byKey = new Map<string, Translation>();
  const vips = new Map<Addr, number>();
  const freed: number[] = [];

  const create = (input: TranslationInput): Translation => {
    const created: Translation = {
      id: freed.pop() ?? all.size,
      vip: input.vip,
      port: input.port,
      protocol: input.protocol,
      lbType: input.lbType,
      flowHash: input.flowHash === 0 ? flowHashDefault : input.flowHash,
      flags: input.flags,
      trackers: [],
      maglev: undefined,
      packets: 0,
      bytes: 0,
    };
    all.set(created.id, created);
    byKey.set(keyOf(input.vip, input.port, input.protocol), created);
    vips.set(input.vip, (vips.get(input.vip) ?? 0) + 1);
    return created;
  };

  return {
    all,
    put(input) {
      const one = byKey.get(keyOf(input.vip, input.port, input.protocol)) ?? create(input);
      one.flags = input.flags;
      const kept = new Map(one.trackers.map((tracker) => [pathKey(tracker), tracker]));
      one.trackers = input.paths.map((path) => {
        const known = kept.get(pathKey(path));
        kept.delete(pathKey(path));
        return known ?? { ...path, flags: path.flags | PathFlag.active, deleted: false };
      });
      for (const gone of kept.values()) gone.deleted = true;
      one.maglev = one.lbType === 1 ? buildMaglev(one.trackers, maglevLength) : undefined;
      return one;
    },
    remove(id) {
      const one = all.get(id);
      if (one === undefined) return false;
      for (const tracker of one.trackers) tracker.deleted = true;
      all.delete(id);
      freed.push(id);
      byKey.delete(keyOf(one.vip, one.port, one.protocol));
      const left = (vips.get(one.vip) ?? 1) - 1;
      if (left === 0) vips.delete(one.vip);
      else vips.set(one.vip, left);
      return true;
    },
    find: (vip, port, protocol) => byKey.get(keyOf(vip, port, protocol)),
    isVip: (addr) => vips.has(addr),
    purge() {
      for (const one of all.values()) for (const tracker of one.trackers) tracker.deleted = true;
      all.clear();
      byKey.clear();
      vips.clear();
      freed.length = 0;
    },
  };
}

/** The backend for a packet that starts a flow. */
export function chooseBackend(one: Translation, l3: Buffer, family: Family): Tracker | undefined {
  if (one.trackers.length === 0) return undefined;
  const hash = flowHash(l3, family, one.flowHash);
  if (one.maglev !== undefined) return one.trackers[one.maglev[hash % one.maglev.length] ?? -1];
  return one.trackers[hash % one.trackers.length];
}

function keyOf(vip: Addr, port: number, protocol: number): string {
  return vip + String.fromCharCode(port, protocol);
}

function pathKey(path: TranslationPath | Tracker): string {
  return path.addr + path.sourceAddr + String.fromCharCode(path.port, path.sourcePort);
}
