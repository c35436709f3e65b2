import type { Addr, AddrPrefix, Family } from '../address.ts';
import { createPrefixMap } from '../fib/table.ts';
import type { Tuple } from './flow.ts';

/**
 * Whose source address is replaced: VPP's policies of `cnat_set_snat_policy`.
 * Source: v26.06 `cnat_snat_policy.c`. Tables of interfaces: 0 and 1 masquerade what leaves pods
 * (v4, v6), 2 are pods, 3 lead to the host.
 */
export const SnatPolicy = { none: 0, interfacePrefix: 1, k8s: 2 } as const;
export const SnatTable = { include4: 0, include6: 1, pod: 2, host: 3 } as const;

export interface SnatState {
  /** False until addresses were set: VPP then has no policy entry, and some calls kill it. */
  configured: boolean;
  addr4: Addr | undefined;
  addr6: Addr | undefined;
  /** Index of the interface whose addresses are used, or `noInterface`. */
  interface: number;
  flags: number;
  policy: number;
  readonly interfaces: readonly [Set<number>, Set<number>, Set<number>, Set<number>];
  /** VPP takes the policy for new while the bitmap of table 0 has length 0. */
  prepared: boolean;
  excluded: {
    readonly 4: ReturnType<typeof createPrefixMap<true>>;
    readonly 6: ReturnType<typeof createPrefixMap<true>>;
  };
}

export function createSnatState(): SnatState {
  return {
    configured: false,
    addr4: undefined,
    addr6: undefined,
    interface: 0xffff_ffff,
    flags: 0,
    policy: SnatPolicy.none,
    interfaces: [new Set(), new Set(), new Set(), new Set()],
    prepared: false,
    excluded: createExcluded(),
  };
}

function createExcluded(): SnatState['excluded'] {
  return { 4: createPrefixMap<true>(4), 6: createPrefixMap<true>(6) };
}

/** `cnat_snat_policy_entry_init`: makes the table of excluded prefixes, also over a full one. */
function prepare(state: SnatState): void {
  if (state.prepared) return;
  state.prepared = true;
  state.excluded = createExcluded();
}

/**
 * `cnat_snat_policy_add_del_if`. A removal that leaves table 0 empty cuts its bitmap to length
 * 0, so the next call prepares anew and every excluded prefix is lost. Observed on VPP 26.06.
 */
export function setInterface(
  state: SnatState,
  table: 0 | 1 | 2 | 3,
  change: { readonly index: number; readonly add: boolean },
): void {
  if (!change.add && !state.prepared) return;
  prepare(state);
  const members = state.interfaces[table];
  if (change.add) members.add(change.index);
  else members.delete(change.index);
  if (!change.add && state.interfaces[SnatTable.include4].size === 0 && table === 0)
    state.prepared = false;
}

export function setExcluded(state: SnatState, prefix: AddrPrefix, excluded: boolean): void {
  if (!excluded && !state.prepared) return;
  prepare(state);
  const map = prefix.addr.length === 4 ? state.excluded[4] : state.excluded[6];
  if (excluded) map.set(prefix, true);
  else map.delete(prefix);
}

/** Why a flow is masqueraded, or undefined when it keeps its source. */
export function snatReason(
  state: SnatState,
  family: Family,
  tuple: Tuple,
  input: number,
  output: number,
): string | undefined {
  if (state.policy === SnatPolicy.none) return 'the policy masquerades everything';
  const included = state.interfaces[family === 4 ? SnatTable.include4 : SnatTable.include6];
  const excluded = state.excluded[family].match(tuple.target) === true;
  if (state.policy === SnatPolicy.interfacePrefix) {
    return included.has(input) && !excluded ? 'it leaves an included interface' : undefined;
  }
  return k8sReason(state, family, tuple, { input, output, included, excluded });
}

function k8sReason(
  state: SnatState,
  family: Family,
  tuple: Tuple,
  way: { input: number; output: number; included: ReadonlySet<number>; excluded: boolean },
): string | undefined {
  const pods = state.interfaces[SnatTable.pod];
  if (state.interfaces[SnatTable.host].has(way.output)) return undefined;
  if (way.included.has(way.input) && !way.excluded)
    return 'it leaves a pod for a destination that is not excluded';
  if (!pods.has(way.input) && !pods.has(way.output)) {
    const own = family === 4 ? state.addr4 : state.addr6;
    return tuple.source === own ? undefined : 'neither end is a pod of this node';
  }
  if (tuple.source === tuple.target) return 'a pod talks to itself through a service';
  // VPP compares the IPv4 part of IPv6 tuples too: the low 32 bits (facts: observed).
  if (family === 6 && tuple.source.slice(12) === tuple.target.slice(12))
    return 'the low 32 bits of both addresses are equal, which VPP takes for a hairpin';
  return undefined;
}
